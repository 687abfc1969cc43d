#pragma once

// The mappings of this process as /proc/self/maps tells them (proc_pid_maps(5)), read without allocating, so that it
// can be done while the process' memory is being rewound.

#include <sys/types.h>

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

#include "base/address_range.h"
#include "base/result.h"

namespace tach::base {

struct MappedRange {
    AddressRange range;
    bool readable = false;
    bool writable = false;
    bool executable = false;
    bool shared = false;
    std::uint64_t offset = 0;  // in the file
    dev_t device = 0;
    ino_t inode = 0;                                                                        // 0: no file
    enum class Kind : std::uint8_t { kPlain, kHeap, kStack, kKernel } kind = Kind::kPlain;  // kKernel: [vdso] and alike
    // Known only if read from a smaps file:
    bool droppable = false;     // MAP_DROPPABLE
    bool misses_pages = false;  // registered with a userfaultfd for missing pages
    bool forked = true;         // neither MADV_DONTFORK nor MADV_WIPEONFORK

    [[nodiscard]] int protection() const;  // PROT_*
    [[nodiscard]] bool is_private() const { return !shared && kind != Kind::kKernel; }
    friend bool operator==(const MappedRange&, const MappedRange&) = default;
};

// Appends all mappings in order of address. `fd` is open on a maps or a smaps file; it is read from its start, through
// `buffer`, which must hold the longest line (a path, 4096 bytes, and what stands before it). EPROTO: a line that makes
// no sense.
[[nodiscard]] Result<void> read_memory_map(int fd, std::span<char> buffer, std::pmr::vector<MappedRange>& out);

// One line, without its newline; false if it makes no sense. The name of the file is not kept.
[[nodiscard]] bool parse_mapping(std::string_view line, MappedRange& out);

}  // namespace tach::base
