#include "base/page_sharing.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/pagemap_entries.h"

namespace tach::base {
namespace {

// include/uapi/linux/prctl.h, Linux 6.4
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

constexpr std::size_t kRunsAtOnce = 512;

// What is swapped out, or is not a copy of ours, may have taken the place of a page that was: only its contents tell.
std::uint64_t categories_of(std::uint64_t entry) {
    if ((entry & kEntryPresent) == 0) {
        return kPageWatched | ((entry & kEntrySwapped) != 0 ? kPageSwapped | kPageWritten : 0);
    }
    if ((entry & kEntryOfFile) != 0) return kPageWatched | kPagePresent | kPageOfFile | kPageWritten;
    return kPageWatched | kPagePresent | ((entry & kEntryExclusive) != 0 ? std::uint64_t{kPageWritten} : 0);
}

}  // namespace

Result<PageSharing> PageSharing::create(int lowest_fd) {
    if (::prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) > 0) return fail(errno_error("kernel same-page merging", EBUSY));
    auto pagemap = open_pagemap(lowest_fd);
    if (!pagemap) return fail(pagemap.error());
    return PageSharing(*std::move(pagemap));
}

bool PageSharing::is_open() const {
    return ::fcntl(pagemap_.get(), F_GETFD) >= 0;
}

Result<ScanProgress> PageSharing::scan(AddressRange range, const ScanQuery& query, std::span<PageRun> out) const {
    // PAGEMAP_SCAN finds what there is in an address space of terabytes, and alone can tell the page of zeros.
    const ScanQuery everything{.reported = kPagePresent | kPageSwapped | kPageZero};
    std::array<PageRun, kRunsAtOnce> found{};
    RunWriter writer(query, out);
    while (!range.empty()) {
        const auto scanned = scan_pagemap(pagemap_.get(), range, everything, found);
        if (!scanned) return fail(scanned.error());
        for (const PageRun& run : std::span(found).first(scanned->runs)) {
            Address reached = run.begin;
            if ((run.categories & kPagePresent) != 0 && (run.categories & kPageZero) == 0) {
                const auto added = add_entries(pagemap_.get(), run.range(), writer, categories_of);
                if (!added) return fail(added.error());
                reached = *added;
            } else {
                const std::uint64_t written = run.categories != 0 ? std::uint64_t{kPageWritten} : 0;
                if (writer.add(run.range(), run.categories | written | kPageWatched)) reached = run.end;
            }
            if (reached < run.end) return ScanProgress{writer.count(), reached};
        }
        range.begin = scanned->runs < found.size() ? range.end : scanned->reached;
    }
    return ScanProgress{writer.count(), range.end};
}

Result<bool> PageSharing::is_shared(Address page) const {
    std::uint64_t entry = 0;
    const auto got = read_entries(pagemap_.get(), {page, page + kPageSize}, {&entry, 1});
    if (!got) return fail(got.error());
    return (entry & kEntryExclusive) == 0;
}

}  // namespace tach::base
