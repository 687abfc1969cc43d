#include "base/write_protection.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace tach::base {
namespace {

// Where the build machine's kernel headers may be older than the kernel.
// include/uapi/linux/userfaultfd.h, Linux 6.7
constexpr std::uint64_t kFeatureWpAsync = 1U << 15;
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

}  // namespace

Result<WriteProtection> WriteProtection::create(int lowest_fd) {
    UniqueFd userfault(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
    if (!userfault.valid()) return fail(errno_error("userfaultfd"));
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = kFeatureWpAsync;
    if (::ioctl(userfault.get(), UFFDIO_API, &api) != 0) {
        return fail(errno_error("userfaultfd: asynchronous write-protection (Linux 6.7)",
                                errno == EINVAL ? EOPNOTSUPP : errno));
    }
    auto high = userfault.duplicate(lowest_fd);
    if (!high) return fail(high.error());
    auto pagemap = open_pagemap(lowest_fd);
    if (!pagemap) return fail(pagemap.error());
    return WriteProtection(*std::move(high), *std::move(pagemap));
}

bool WriteProtection::is_open() const {
    return ::fcntl(userfault_.get(), F_GETFD) >= 0 && ::fcntl(pagemap_.get(), F_GETFD) >= 0;
}

Result<void> WriteProtection::watch(AddressRange range) const {
    uffdio_register arguments{};
    arguments.range = {.start = range.begin, .len = range.size()};
    arguments.mode = UFFDIO_REGISTER_MODE_WP;
    if (::ioctl(userfault_.get(), UFFDIO_REGISTER, &arguments) != 0) return fail(errno_error("UFFDIO_REGISTER"));
    return {};
}

Result<void> WriteProtection::protect(AddressRange range) const {
    return set_protection(range, UFFDIO_WRITEPROTECT_MODE_WP);
}

Result<void> WriteProtection::unprotect(AddressRange range) const {
    return set_protection(range, 0);
}

Result<void> WriteProtection::set_protection(AddressRange range, std::uint64_t mode) const {
    uffdio_writeprotect arguments{};
    arguments.range = {.start = range.begin, .len = range.size()};
    arguments.mode = mode;
    if (::ioctl(userfault_.get(), UFFDIO_WRITEPROTECT, &arguments) != 0) {
        return fail(errno_error("UFFDIO_WRITEPROTECT"));
    }
    return {};
}

Result<ScanProgress> WriteProtection::scan(AddressRange range, const ScanQuery& query, std::span<PageRun> out) const {
    return scan_pagemap(pagemap_.get(), range, query, out);
}

}  // namespace tach::base
