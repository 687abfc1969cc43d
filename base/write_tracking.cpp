#include "base/write_tracking.h"

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

// struct pm_scan_arg of include/uapi/linux/fs.h, Linux 6.7
struct ScanArguments {
    std::uint64_t size;
    std::uint64_t flags;
    std::uint64_t start;
    std::uint64_t end;
    std::uint64_t walk_end;
    std::uint64_t vec;
    std::uint64_t vec_len;
    std::uint64_t max_pages;
    std::uint64_t category_inverted;
    std::uint64_t category_mask;
    std::uint64_t category_anyof_mask;
    std::uint64_t return_mask;
};
static_assert(sizeof(ScanArguments) == 96);
constexpr std::uint64_t kScanProtectMatching = 1U << 0;  // PM_SCAN_WP_MATCHING
// PAGEMAP_SCAN
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);  // NOLINT(google-runtime-int): ioctl(2)'s type

}  // namespace

Result<WriteTracker> WriteTracker::create(int lowest_fd) {
    UniqueFd userfault(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
    if (!userfault.valid()) return fail(errno_error("userfaultfd"));
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = kFeatureWpAsync;
    if (::ioctl(userfault.get(), UFFDIO_API, &api) != 0) {
        return fail(errno_error("userfaultfd: asynchronous write-protection (Linux 6.7)",
                                errno == EINVAL ? EOPNOTSUPP : errno));
    }
    UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap.valid()) return fail(errno_error("/proc/self/pagemap"));
    auto high_userfault = userfault.duplicate(lowest_fd);
    if (!high_userfault) return fail(high_userfault.error());
    auto high_pagemap = pagemap.duplicate(lowest_fd);
    if (!high_pagemap) return fail(high_pagemap.error());
    WriteTracker tracker(*std::move(high_userfault), *std::move(high_pagemap));
    if (auto scanned = tracker.scan({0, kPageSize}, {.any_of = kPageWritten, .reported = kPageWritten}, {}); !scanned) {
        return fail(errno_error("PAGEMAP_SCAN (Linux 6.7)", EOPNOTSUPP));
    }
    return tracker;
}

bool WriteTracker::is_open() const {
    return ::fcntl(userfault_.get(), F_GETFD) >= 0 && ::fcntl(pagemap_.get(), F_GETFD) >= 0;
}

Result<void> WriteTracker::watch(AddressRange range) const {
    uffdio_register arguments{};
    arguments.range = {.start = range.begin, .len = range.size()};
    arguments.mode = UFFDIO_REGISTER_MODE_WP;
    if (::ioctl(userfault_.get(), UFFDIO_REGISTER, &arguments) != 0) return fail(errno_error("UFFDIO_REGISTER"));
    return {};
}

Result<void> WriteTracker::protect(AddressRange range) const {
    return set_protection(range, UFFDIO_WRITEPROTECT_MODE_WP);
}

Result<void> WriteTracker::unprotect(AddressRange range) const {
    return set_protection(range, 0);
}

Result<void> WriteTracker::set_protection(AddressRange range, std::uint64_t mode) const {
    uffdio_writeprotect arguments{};
    arguments.range = {.start = range.begin, .len = range.size()};
    arguments.mode = mode;
    if (::ioctl(userfault_.get(), UFFDIO_WRITEPROTECT, &arguments) != 0) {
        return fail(errno_error("UFFDIO_WRITEPROTECT"));
    }
    return {};
}

Result<ScanProgress> WriteTracker::scan(AddressRange range, const ScanQuery& query, std::span<PageRun> out) const {
    ScanArguments arguments{};
    arguments.size = sizeof arguments;
    arguments.flags = query.protect ? kScanProtectMatching : 0;
    arguments.start = range.begin;
    arguments.end = range.end;
    arguments.vec = out.empty() ? 0 : address_of(out.data());
    arguments.vec_len = out.size();
    arguments.category_inverted = query.inverted;
    arguments.category_mask = query.all_of;
    arguments.category_anyof_mask = query.any_of;
    arguments.return_mask = query.reported;
    const int runs = ::ioctl(pagemap_.get(), kPagemapScan, &arguments);
    if (runs < 0) return fail(errno_error("PAGEMAP_SCAN"));
    return ScanProgress{static_cast<std::size_t>(runs), arguments.walk_end};
}

}  // namespace tach::base
