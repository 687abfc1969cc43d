#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace tach::base {

void UniqueFd::reset(int fd) {
    const int old = std::exchange(fd_, fd);
    if (old < 0) return;
    const int saved = errno;
    // Linux releases the number even when close() reports EINTR; a retry could close somebody else's
    // descriptor.
    ::close(old);
    errno = saved;
}

Result<UniqueFd> UniqueFd::duplicate(int lowest) const {
    const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, lowest);
    if (fd < 0) return fail(errno_error("duplicate descriptor " + std::to_string(fd_)));
    return UniqueFd(fd);
}

}  // namespace tach::base
