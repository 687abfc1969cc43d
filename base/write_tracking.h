#pragma once

// Which pages of this process were written to, found without anybody's help: an ordinary user may do this.
//
// Two ways to know it, WriteProtection and PageSharing, see write_protection.h and page_sharing.h. Both answer in the
// terms of PAGEMAP_SCAN (Linux 6.7, Documentation/admin-guide/mm/pagemap.rst). scan() and protect() allocate nothing
// and are meant for code that runs while the process' memory is being rewound. Errors: code of the failed system call.
// Thread-bound. After a fork the child is not tracked.

#include <cstdint>
#include <span>

#include "base/address_range.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// Categories of pages, the values of PAGE_IS_* in <linux/fs.h> of Linux 6.7.
enum PageCategory : std::uint64_t {
    kPageWatched = 1U << 0,  // in a mapping that watch() was called for (the kernel's WPALLOWED)
    kPageWritten = 1U << 1,
    kPageOfFile = 1U << 2,  // not (or not yet) a private copy
    kPagePresent = 1U << 3,
    kPageSwapped = 1U << 4,
    kPageZero = 1U << 5,  // the kernel's shared page of zeros
};

// As the kernel returns it (struct page_region): neighbouring pages of equal categories.
struct PageRun {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t categories;

    [[nodiscard]] AddressRange range() const { return {begin, end}; }
};
static_assert(sizeof(PageRun) == 24);

struct ScanQuery {
    std::uint64_t inverted = 0;  // categories that count when they do not hold
    std::uint64_t all_of = 0;
    std::uint64_t any_of = 0;
    std::uint64_t reported = 0;  // which categories a PageRun tells, as they hold
    bool protect = false;        // write-protect what matches, in the same pass

    [[nodiscard]] bool matches(std::uint64_t categories) const {
        const std::uint64_t seen = categories ^ inverted;
        return (seen & all_of) == all_of && (any_of == 0 || (seen & any_of) != 0);
    }
};

struct ScanProgress {
    std::size_t runs = 0;
    Address reached = 0;  // where to go on if `runs` filled the whole output
};

class WriteTracker {
  public:
    virtual ~WriteTracker() = default;

    // From now on writes to the mappings in the range are noticed; they must be private. EINVAL: they cannot be
    // watched.
    [[nodiscard]] virtual Result<void> watch(AddressRange range) const = 0;
    // Forgets what was written there: the pages in the range are unwritten.
    [[nodiscard]] virtual Result<void> protect(AddressRange range) const = 0;
    // The opposite: all its pages count as written.
    [[nodiscard]] virtual Result<void> unprotect(AddressRange range) const = 0;
    // The pages in the range that match, in order of address, as many as fit into `out`.
    [[nodiscard]] virtual Result<ScanProgress> scan(AddressRange range, const ScanQuery& query,
                                                    std::span<PageRun> out) const = 0;
    // Whether nobody has closed the descriptors behind its back.
    [[nodiscard]] virtual bool is_open() const = 0;

    // Whether protect() and unprotect() do what they say, and a mapping in the place of a watched one is told from it.
    // Otherwise a page that was written once stays written, and the map must be compared.
    [[nodiscard]] virtual bool forgets() const = 0;
};

// PAGEMAP_SCAN on a descriptor of /proc/self/pagemap.
[[nodiscard]] Result<ScanProgress> scan_pagemap(int pagemap, AddressRange range, const ScanQuery& query,
                                                std::span<PageRun> out);

// /proc/self/pagemap, with a number of `lowest_fd` or higher; EOPNOTSUPP: the kernel is older than 6.7.
[[nodiscard]] Result<UniqueFd> open_pagemap(int lowest_fd);

}  // namespace tach::base
