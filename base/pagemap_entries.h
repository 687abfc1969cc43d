#pragma once

// The entries of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst), one for each page, as runs of pages:
// for trackers that PAGEMAP_SCAN does not serve. No allocation.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/write_tracking.h"

namespace tach::base {

inline constexpr std::uint64_t kEntryExclusive = std::uint64_t{1} << 56;
inline constexpr std::uint64_t kEntryOfFile = std::uint64_t{1} << 61;
inline constexpr std::uint64_t kEntrySwapped = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kEntryPresent = std::uint64_t{1} << 63;

// Entries of the pages from range.begin on, at least one. EIO: there are none.
[[nodiscard]] Result<std::size_t> read_entries(int pagemap, AddressRange range, std::span<std::uint64_t> entries);

// Joins neighbouring pages into runs, and keeps those that were asked for.
class RunWriter {
  public:
    RunWriter(const ScanQuery& query, std::span<PageRun> out) : query_(query), out_(out) {}

    // False: `out` is full, and this range is not in it.
    [[nodiscard]] bool add(AddressRange range, std::uint64_t categories);
    [[nodiscard]] std::size_t count() const { return count_; }

  private:
    const ScanQuery& query_;
    std::span<PageRun> out_;
    std::size_t count_ = 0;
};

// Adds the pages of the range, each as `categories_of(entry)`. Returns where the writer was full, or the range's end.
template <class CategoriesOf>
[[nodiscard]] Result<Address> add_entries(int pagemap, AddressRange range, RunWriter& writer,
                                          const CategoriesOf& categories_of) {
    std::array<std::uint64_t, 2048> entries{};
    while (!range.empty()) {
        const auto got = read_entries(pagemap, range, entries);
        if (!got) return fail(got.error());
        for (const std::uint64_t entry : std::span(entries).first(*got)) {
            const AddressRange page{range.begin, range.begin + kPageSize};
            if (!writer.add(page, categories_of(entry))) return range.begin;
            range.begin = page.end;
        }
    }
    return range.end;
}

}  // namespace tach::base
