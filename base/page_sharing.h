#pragma once

// Written pages told from the kernel's copying on write, where userfaultfd is denied (Docker's default profile): as
// long as another process holds a forked copy of our memory, a page that nobody wrote is mapped by both, and one that
// was written is ours alone. /proc/self/pagemap tells which (bit 56, Documentation/admin-guide/mm/pagemap.rst).
//
// The copy is the caller's to make, and must live as long as this is used. Two things would hide a write: a further
// process with a copy of our memory (a fork that has not executed anything yet), which is_shared() tells of a page that
// was written since, and kernel same-page merging, with which create() fails. Costs about 0.1 us for each page that is
// present *(measured: the kernel looks at its descriptor)*.

#include "base/write_tracking.h"

namespace tach::base {

class PageSharing final : public WriteTracker {
  public:
    // EOPNOTSUPP: the kernel is older than 6.7, which is needed to tell the page of zeros; EBUSY: same-page merging.
    [[nodiscard]] static Result<PageSharing> create(int lowest_fd = 0);

    // Cannot tell MAP_DROPPABLE memory.
    [[nodiscard]] Result<void> watch(AddressRange) const override { return {}; }
    [[nodiscard]] Result<void> protect(AddressRange) const override { return {}; }
    [[nodiscard]] Result<void> unprotect(AddressRange) const override { return {}; }
    [[nodiscard]] Result<ScanProgress> scan(AddressRange range, const ScanQuery& query,
                                            std::span<PageRun> out) const override;
    [[nodiscard]] bool is_open() const override;
    [[nodiscard]] bool forgets() const override { return false; }

    // Whether the page, which must be present, is mapped by another process as well.
    [[nodiscard]] Result<bool> is_shared(Address page) const;

  private:
    explicit PageSharing(UniqueFd pagemap) : pagemap_(std::move(pagemap)) {}

    UniqueFd pagemap_;
};

}  // namespace tach::base
