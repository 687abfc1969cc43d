#include "base/page_sharing.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tach::base {
namespace {

// include/uapi/linux/prctl.h, Linux 6.4
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

// An entry of /proc/self/pagemap, see Documentation/admin-guide/mm/pagemap.rst.
constexpr std::uint64_t kEntryExclusive = std::uint64_t{1} << 56;
constexpr std::uint64_t kEntryOfFile = std::uint64_t{1} << 61;
constexpr std::uint64_t kEntrySwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kEntryPresent = std::uint64_t{1} << 63;

constexpr std::size_t kEntriesAtOnce = 2048;
constexpr std::size_t kRunsAtOnce = 512;

// What is swapped out, or is not a copy of ours, may have taken the place of a page that was: only its contents tell.
std::uint64_t categories_of(std::uint64_t entry) {
    if ((entry & kEntryPresent) == 0) return (entry & kEntrySwapped) != 0 ? kPageSwapped | kPageWritten : 0;
    if ((entry & kEntryOfFile) != 0) return kPagePresent | kPageOfFile | kPageWritten;
    return (entry & kEntryExclusive) != 0 ? kPagePresent | kPageWritten : std::uint64_t{kPagePresent};
}

Result<std::size_t> read_entries(int pagemap, AddressRange range, std::span<std::uint64_t> entries) {
    const std::size_t wanted = std::min(entries.size(), range.pages());
    const auto offset = static_cast<off_t>(range.begin / kPageSize * sizeof(std::uint64_t));
    const ssize_t got = ::pread(pagemap, entries.data(), wanted * sizeof(std::uint64_t), offset);
    if (got <= 0) return fail(errno_error("/proc/self/pagemap", got == 0 ? EIO : errno));
    return static_cast<std::size_t>(got) / sizeof(std::uint64_t);
}

// Joins neighbouring pages into runs, and keeps those that were asked for.
class RunWriter {
  public:
    RunWriter(const ScanQuery& query, std::span<PageRun> out) : query_(query), out_(out) {}

    // False: `out` is full, and this range is not in it.
    [[nodiscard]] bool add(AddressRange range, std::uint64_t categories) {
        if (!query_.matches(categories)) return true;
        const std::uint64_t told = categories & query_.reported;
        if (count_ > 0 && out_[count_ - 1].end == range.begin && out_[count_ - 1].categories == told) {
            out_[count_ - 1].end = range.end;
            return true;
        }
        if (count_ == out_.size()) return false;
        out_[count_++] = {range.begin, range.end, told};
        return true;
    }

    [[nodiscard]] std::size_t count() const { return count_; }

  private:
    const ScanQuery& query_;
    std::span<PageRun> out_;
    std::size_t count_ = 0;
};

// Pages that are present and not of zeros. Returns where the writer was full, or the end of the range.
Result<Address> add_present(int pagemap, AddressRange range, RunWriter& writer) {
    std::array<std::uint64_t, kEntriesAtOnce> entries{};
    while (!range.empty()) {
        const auto got = read_entries(pagemap, range, entries);
        if (!got) return fail(got.error());
        for (std::size_t i = 0; i < *got; ++i) {
            const AddressRange page{range.begin, range.begin + kPageSize};
            if (!writer.add(page, categories_of(entries.at(i)) | kPageWatched)) return range.begin;
            range.begin = page.end;
        }
    }
    return range.end;
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
                const auto added = add_present(pagemap_.get(), run.range(), writer);
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
