#pragma once

// Which pages of this process were written to: userfaultfd's asynchronous write-protection, found with PAGEMAP_SCAN
// (both Linux 6.7). The kernel resolves the faults itself, its own writes on behalf of system calls included, so no
// handler is needed and UFFD_USER_MODE_ONLY is enough: an ordinary user may do this. After a fork the child is not
// tracked.
//
// scan() and protect() allocate nothing and are meant for code that runs while the process' memory is being rewound.
// Errors: code of the failed system call. Thread-bound.

#include <cstdint>
#include <span>

#include "base/address_range.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// Categories of pages, the values of PAGE_IS_* in <linux/fs.h> of Linux 6.7.
enum PageCategory : std::uint64_t {
    kPageWatched = 1U << 0,  // in a mapping that watch() was called for (the kernel's WPALLOWED)
    kPageWritten = 1U << 1,  // not write-protected; all pages of mappings that are not watched count as written
    kPageOfFile = 1U << 2,   // not (or not yet) a private copy
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
};

struct ScanProgress {
    std::size_t runs = 0;
    Address reached = 0;  // where to go on if `runs` filled the whole output
};

class WriteTracker {
  public:
    // Its descriptors are numbered `lowest_fd` or higher. Fails with EPERM where a container's seccomp profile or a
    // sysctl denies it, with EOPNOTSUPP on an older kernel.
    [[nodiscard]] static Result<WriteTracker> create(int lowest_fd = 0);

    // From now on writes to the mappings in the range are noticed; they must be private, anything but MAP_DROPPABLE.
    [[nodiscard]] Result<void> watch(AddressRange range) const;
    // Forgets what was written there: the pages in the range are unwritten.
    [[nodiscard]] Result<void> protect(AddressRange range) const;
    // The opposite: all its pages count as written.
    [[nodiscard]] Result<void> unprotect(AddressRange range) const;
    // The pages in the range that match, in order of address, as many as fit into `out`.
    [[nodiscard]] Result<ScanProgress> scan(AddressRange range, const ScanQuery& query, std::span<PageRun> out) const;

    // Whether nobody has closed the descriptors behind its back.
    [[nodiscard]] bool is_open() const;

  private:
    WriteTracker(UniqueFd userfault, UniqueFd pagemap)
        : userfault_(std::move(userfault)), pagemap_(std::move(pagemap)) {}

    [[nodiscard]] Result<void> set_protection(AddressRange range, std::uint64_t mode) const;

    UniqueFd userfault_;
    UniqueFd pagemap_;
};

}  // namespace tach::base
