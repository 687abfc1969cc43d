#include "base/write_tracking.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace tach::base {
namespace {

// Where the build machine's kernel headers may be older than the kernel: struct pm_scan_arg of include/uapi/linux/fs.h,
// Linux 6.7.
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

Result<ScanProgress> scan_pagemap(int pagemap, AddressRange range, const ScanQuery& query, std::span<PageRun> out) {
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
    const int runs = ::ioctl(pagemap, kPagemapScan, &arguments);
    if (runs < 0) return fail(errno_error("PAGEMAP_SCAN"));
    return ScanProgress{static_cast<std::size_t>(runs), arguments.walk_end};
}

Result<UniqueFd> open_pagemap(int lowest_fd) {
    UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap.valid()) return fail(errno_error("/proc/self/pagemap"));
    const ScanQuery query{.any_of = kPageWritten, .reported = kPageWritten};
    if (auto scanned = scan_pagemap(pagemap.get(), {0, kPageSize}, query, {}); !scanned) {
        return fail(errno_error("PAGEMAP_SCAN (Linux 6.7)", EOPNOTSUPP));
    }
    return pagemap.duplicate(lowest_fd);
}

}  // namespace tach::base
