#pragma once

// Touched pages told by their presence, for kernels that cannot write-protect asynchronously (5.18 to 6.6): what was
// dropped, and is there again, somebody has touched. Whoever has the userfaultfd puts a page where one is missed, see
// zygote/fault_server.h; 72 us each *(measured)*, so a page that was touched once had better stay.
//
// Only anonymous memory can miss pages. What a forked child misses, what a test moves (mremap), drops or unmaps is told
// as events, which needs CAP_SYS_PTRACE; a test's own system calls touch pages in the kernel's name, which
// UFFD_USER_MODE_ONLY would answer with EFAULT.

#include "base/write_tracking.h"

namespace tach::base {

class MissingPages final : public WriteTracker {
  public:
    // EPERM: the user may not. EOPNOTSUPP: an older kernel.
    [[nodiscard]] static Result<MissingPages> create(int lowest_fd = 0);

    [[nodiscard]] Result<void> watch(AddressRange) const override { return {}; }
    [[nodiscard]] Result<void> protect(AddressRange) const override { return {}; }
    [[nodiscard]] Result<void> unprotect(AddressRange) const override { return {}; }
    // The range must be mapped: each page of it is looked at.
    [[nodiscard]] Result<ScanProgress> scan(AddressRange range, const ScanQuery& query,
                                            std::span<PageRun> out) const override;
    [[nodiscard]] bool is_open() const override;
    [[nodiscard]] bool forgets() const override { return false; }

    // From now on what is missing there is asked for. EINVAL: not one anonymous mapping.
    [[nodiscard]] Result<void> serve(AddressRange range) const;
    // What is missing there is zeros again.
    [[nodiscard]] Result<void> ignore(AddressRange range) const;

    [[nodiscard]] int userfault() const { return userfault_.get(); }

  private:
    MissingPages(UniqueFd userfault, UniqueFd pagemap)
        : userfault_(std::move(userfault)), pagemap_(std::move(pagemap)) {}

    UniqueFd userfault_;
    UniqueFd pagemap_;
};

}  // namespace tach::base
