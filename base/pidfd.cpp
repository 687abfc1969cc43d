#include "base/pidfd.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "base/fd_info.h"

namespace tach::base {

// glibc 2.36 has wrappers in <sys/pidfd.h>, but not every libc that ships these syscalls (Linux 5.3) has
// them.

Result<UniqueFd> open_pidfd(pid_t pid) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd.valid()) return fail(errno_error("pidfd_open " + std::to_string(pid)));
    return fd;
}

Result<void> send_signal(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) {
        return fail(errno_error("pidfd_send_signal " + std::to_string(signal)));
    }
    return {};
}

Result<pid_t> pidfd_pid(int fd) {
    auto field = fd_info_field(fd, "Pid");
    if (!field) return fail(std::move(field.error()));
    pid_t pid = 0;
    const char* end = field->data() + field->size();
    const auto parsed = std::from_chars(field->data(), end, pid);
    if (parsed.ec != std::errc() || parsed.ptr != end) return fail(protocol_error("fdinfo: bad Pid " + *field));
    return pid;
}

}  // namespace tach::base
