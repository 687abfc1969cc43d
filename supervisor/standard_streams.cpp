#include "supervisor/standard_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace tach::supervisor {
namespace {

bool is_closed(int fd) {
    return ::fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

}  // namespace

void hold_standard_streams() {
    // In ascending order each open gets the number that it is for. A descriptor of the wrong direction gives EBADF, as
    // a closed one does.
    if (is_closed(STDIN_FILENO)) static_cast<void>(::open("/dev/null", O_WRONLY));
    if (is_closed(STDOUT_FILENO)) static_cast<void>(::open("/dev/null", O_RDONLY));
    if (is_closed(STDERR_FILENO)) static_cast<void>(::open("/dev/null", O_WRONLY));
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            // The terminal is shared with whoever made it non-blocking.
            pollfd writable{.fd = fd, .events = POLLOUT, .revents = 0};
            ::poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

base::Result<void> write_stdout(std::string_view text) {
    return printed(write_all(STDOUT_FILENO, text) ? 0 : errno);
}

base::Result<void> printed(int error) {
    if (error == 0 || error == EPIPE) return {};
    return base::fail({error, fmt::format("stdout: {}: what was to be printed there is not complete",
                                          std::strerror(error))});  // NOLINT
}

}  // namespace tach::supervisor
