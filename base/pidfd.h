#pragma once

// pidfds: a process that cannot be confused with a later one of the same number. Readable (poll, epoll) once
// the process has ended.

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// Close-on-exec. Code ESRCH if there is no such process.
[[nodiscard]] Result<UniqueFd> open_pidfd(pid_t pid);

// Code ESRCH if the process has ended.
[[nodiscard]] Result<void> send_signal(int pidfd, int signal);

// The process that a pidfd stands for, in our pid namespace; -1 when it has ended and been reaped. An error
// if `fd` is no pidfd: this is how a pidfd that somebody sent us is checked.
[[nodiscard]] Result<pid_t> pidfd_pid(int fd);

}  // namespace tach::base
