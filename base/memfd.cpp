#include "base/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace tach::base {

namespace {

// linux/memfd.h of Linux 6.3. With sysctl vm.memfd_noexec=2 a memfd without it is refused.
constexpr unsigned kMfdNoexecSeal = 0x0008U;

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Result<UniqueFd> create_sealed_memfd(const char* name, std::size_t size) {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdNoexecSeal));
    // Kernels before 6.3 do not know the flag and need none.
    if (!fd.valid() && errno == EINVAL) fd = UniqueFd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid()) return fail(errno_error("memfd_create"));
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail(errno_error("size a memfd"));
    if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) return fail(errno_error("seal a memfd"));
    return fd;
}

Result<void> check_sealed_memfd(int fd, std::size_t size) {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0) return fail(errno_error("descriptor " + std::to_string(fd) + " is not a memfd"));
    if ((seals & kSizeSeals) != kSizeSeals) return fail(protocol_error("memfd is not sealed"));
    struct stat status {};
    if (::fstat(fd, &status) != 0) return fail(errno_error("fstat of a memfd"));
    if (static_cast<std::size_t>(status.st_size) != size) {
        return fail(
            protocol_error("memfd has " + std::to_string(status.st_size) + " bytes, not " + std::to_string(size)));
    }
    return {};
}

}  // namespace tach::base
