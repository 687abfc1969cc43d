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

base::Result<void> write_stdout(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd writable{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
            ::poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return printed(errno);
        }
    }
    return {};
}

base::Result<void> printed(int error) {
    if (error == 0 || error == EPIPE) return {};
    return base::fail({error, fmt::format("stdout: {}: what was to be printed there is not complete",
                                          std::strerror(error))});  // NOLINT
}

}  // namespace tach::supervisor
