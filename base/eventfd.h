#pragma once

// eventfds: how a sleeping process is woken. Counters do not matter, only "readable".

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// Non-blocking, close-on-exec.
[[nodiscard]] Result<UniqueFd> create_eventfd();

// Whether a descriptor that somebody sent us is an eventfd.
[[nodiscard]] Result<void> check_eventfd(int fd);

// True unless the descriptor is closed or no longer an anonymous inode (a test closed it and the number was
// reused for a file, pipe or socket). Cheap: one fstat.
[[nodiscard]] bool looks_like_eventfd(int fd);

// Makes it readable. Never blocks: a counter at its maximum is readable already.
void signal_eventfd(int fd);

// Makes it unreadable again.
void drain_eventfd(int fd);

enum class Waited {
    kReadable,
    kTimeout,
    kInterrupted,  // a signal handler ran
    kLost,         // the descriptor is closed
};

// Sleeps until `fd` is readable; timeout_ms < 0: for ever.
[[nodiscard]] Waited wait_readable(int fd, int timeout_ms);

}  // namespace tach::base
