#pragma once

// The oracle of --verify-snapshots: is a process that says it was rewound what it was when the layer was pushed?
//
// It shares nothing with the engine that it judges. It runs in the parent of the rewound process, which stops itself
// (SIGSTOP) after each push and each rewind. Then the parent reads what the kernel knows of it: its mappings
// (/proc/PID/maps), the bytes of all private ones, read-only ones included (process_vm_readv), its descriptors, signal
// dispositions, umask, limits and working directory. At a push it keeps all that, at a rewind it compares.
//
// Left out are what is not rewound (see zygote/snapshot.h): shared mappings, the kernel's own, the engine's; memory
// that cannot be read; and the bytes of the area that the kernel writes by itself (rseq). Where pages are missing until
// they are touched, those are taken for what they were at the first push: to read them would be to touch them.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/memory_map.h"
#include "base/result.h"

namespace tach::zygote {

// On a page that both processes share. Written by the rewound process before it stops.
struct OracleNote {
    enum class Event : std::uint32_t { kNone, kPushed, kRewound };
    std::atomic<Event> event;
    std::atomic<std::uint32_t> layers;  // now, the one that was pushed included
    std::atomic<std::uint32_t> item;    // the last that was begun
    std::atomic<std::uint64_t> exempt_begin;
    std::atomic<std::uint64_t> exempt_end;
    // Pages may be missing, which the image's come in place of (see fault_server.h): they are left missing.
    std::atomic<bool> misses_pages;
};

class Oracle {
  public:
    // To be called before the fork.
    [[nodiscard]] static base::Result<Oracle> create();

    // In the child, on the engine's stack: tells what has happened and stops. Writes nothing that is rewound.
    static void stop_here(OracleNote& note, OracleNote::Event event, std::uint32_t layers);

    [[nodiscard]] OracleNote& note() const;

    struct News {
        bool ended = false;
        int status = 0;                        // wait status, if it ended
        std::vector<std::string> differences;  // if it stopped; it goes on with resume()
    };
    // Waits for the child's end or for its next stop of this kind (when something else stops it, it stays so).
    [[nodiscard]] base::Result<News> watch(pid_t child);
    static void resume(pid_t child);

  private:
    struct Piece {
        base::MappedRange map;
        base::UnforkedMemory memory{};       // the next process that is rewound must not have it
        std::span<const std::byte> bytes{};  // what could be read; empty: not compared
    };
    struct Image {
        std::vector<Piece> pieces;
        std::vector<std::string> kernel_state;  // "what: how it is", in order
    };

    explicit Oracle(base::Mapping page);

    [[nodiscard]] base::Result<Image> read(pid_t child, bool with_bytes);
    [[nodiscard]] std::size_t read_present(pid_t child, base::Address begin, std::span<std::byte> bytes) const;
    void read_pushed(base::Address page, std::span<std::byte> bytes) const;
    [[nodiscard]] base::Result<std::vector<std::string>> compare(pid_t child, const Image& golden);
    [[nodiscard]] std::vector<std::string> compare_bytes(pid_t child, const Piece& piece);
    [[nodiscard]] std::optional<std::size_t> first_difference(base::Address begin, std::span<const std::byte> now,
                                                              const std::byte* golden) const;

    base::Mapping page_;
    std::vector<std::byte> buffer_;
    std::vector<Image> layers_;
    std::vector<base::AddressRange> missing_;  // where pages are, at the last reading
};

}  // namespace tach::zygote
