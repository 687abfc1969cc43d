#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor_limit.h"

namespace tach::base {
namespace {

// How many descriptors may be wanted from one number on: a snapshot keeps a copy of each that a test may spoil. A
// guess.
constexpr rlim_t kRoomAbove = 256;

}  // namespace

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
    int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, lowest);
    if (fd < 0 && errno == EINVAL && lowest > 0) {
        // Numbers from `lowest` on are beyond the limit of open files, which is the tests'.
        const DescriptorRoom room(static_cast<rlim_t>(lowest) + kRoomAbove);
        fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, lowest);
    }
    if (fd < 0) return fail(errno_error("duplicate descriptor " + std::to_string(fd_)));
    return UniqueFd(fd);
}

}  // namespace tach::base
