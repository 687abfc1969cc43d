#pragma once

// Written pages by asynchronous write-protection of userfaultfd (Linux 6.7). The kernel resolves the faults itself, its
// own writes on behalf of system calls included, so no handler is needed and UFFD_USER_MODE_ONLY is enough. All pages
// of mappings that are not watched count as written.

#include "base/write_tracking.h"

namespace tach::base {

class WriteProtection final : public WriteTracker {
  public:
    // Its descriptors are numbered `lowest_fd` or higher. Fails with EPERM where a container's seccomp profile or a
    // sysctl denies it, with EOPNOTSUPP on an older kernel.
    [[nodiscard]] static Result<WriteProtection> create(int lowest_fd = 0);

    // EINVAL: MAP_DROPPABLE memory.
    [[nodiscard]] Result<void> watch(AddressRange range) const override;
    [[nodiscard]] Result<void> protect(AddressRange range) const override;
    [[nodiscard]] Result<void> unprotect(AddressRange range) const override;
    [[nodiscard]] Result<ScanProgress> scan(AddressRange range, const ScanQuery& query,
                                            std::span<PageRun> out) const override;
    [[nodiscard]] bool is_open() const override;
    [[nodiscard]] bool forgets() const override { return true; }

  private:
    WriteProtection(UniqueFd userfault, UniqueFd pagemap)
        : userfault_(std::move(userfault)), pagemap_(std::move(pagemap)) {}

    [[nodiscard]] Result<void> set_protection(AddressRange range, std::uint64_t mode) const;

    UniqueFd userfault_;
    UniqueFd pagemap_;
};

}  // namespace tach::base
