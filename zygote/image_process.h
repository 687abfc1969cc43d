#pragma once

// The golden image of a process as a frozen copy of it: a forked process that never runs again and ends with the other.
// Fork shares all pages until one side writes to them, so the image costs page tables and no memory: pages that a
// worker has from its zygote stay shared by all of them. What is needed of it is read one page at a time.
//
// Not in the image: memory that a fork does not copy (MADV_DONTFORK, MADV_WIPEONFORK).
//
// It is no child of ours but a sibling (CLONE_PARENT): a test that waits for its children does not see it.

#include <sys/types.h>

#include <optional>

#include "base/address_range.h"
#include "base/page_sharing.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::zygote {

class ImageProcess {
  public:
    // Copies this process, as it is in this call. May run on any stack; signals must be blocked. EACCES: a process of
    // ours may not read another's memory (hidepid, a Yama scope of 2 or 3); else see PageSharing, which need not work
    // if nobody will ask for what it tells.
    [[nodiscard]] static base::Result<ImageProcess> freeze(bool with_sharing = true);

    // False: the process is gone, or has no such page.
    [[nodiscard]] bool fetch(base::Address page, std::byte* into) const;

    // Whether the process is there, and our descriptors.
    [[nodiscard]] bool is_alive() const;

    // What was written since: those pages are ours alone, and so are those that the image does not have.
    [[nodiscard]] const base::PageSharing& sharing() const { return *sharing_; }

    // Its /proc/PID/mem and /proc/PID/pagemap.
    [[nodiscard]] int memory() const { return memory_.get(); }
    [[nodiscard]] int pagemap() const { return pagemap_.get(); }

    // Whether yet another process has a copy of our memory, forked since.
    [[nodiscard]] bool has_rival() const;

  private:
    ImageProcess(base::UniqueFd memory, base::UniqueFd pagemap, std::optional<base::PageSharing> sharing)
        : memory_(std::move(memory)), pagemap_(std::move(pagemap)), sharing_(std::move(sharing)) {}

    base::UniqueFd memory_;
    base::UniqueFd pagemap_;
    std::optional<base::PageSharing> sharing_;
};

}  // namespace tach::zygote
