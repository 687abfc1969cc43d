#include "base/eventfd.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "base/fd_info.h"

namespace tach::base {

Result<UniqueFd> create_eventfd() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.valid()) return fail(errno_error("eventfd"));
    return fd;
}

Result<void> check_eventfd(int fd) {
    auto count = fd_info_field(fd, "eventfd-count");
    if (!count) return fail(std::move(count.error()));
    return {};
}

bool looks_like_eventfd(int fd) {
    struct stat status {};
    // Anonymous inodes (eventfd, epoll, timerfd, ...) are the only ones whose mode has no file type.
    return ::fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == 0;
}

void signal_eventfd(int fd) {
    const std::uint64_t one = 1;
    // EAGAIN means readable already; any other failure has no remedy here, and the sleeper's own timeout
    // covers it.
    [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof(one));
}

void drain_eventfd(int fd) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd, &count, sizeof(count));
}

Waited wait_readable(int fd, int timeout_ms) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, timeout_ms);
    if (ready < 0) return errno == EINTR ? Waited::kInterrupted : Waited::kLost;
    if (ready == 0) return Waited::kTimeout;
    return (entry.revents & POLLIN) != 0 ? Waited::kReadable : Waited::kLost;
}

}  // namespace tach::base
