#pragma once

// The layout of the shared segment of one Python process, and its owner. A segment is a sealed memfd:
//
//   offset 0         SegmentHeader, one page: version, geometry, RunRecord, Verdict
//   kCommandOffset   command ring, supervisor -> process: one page for its RingControl, then kRingBytes of
//   data kEventOffset     event ring, process -> supervisor: the same
//
// The supervisor makes it and passes the descriptor on; nothing is ever resized, and nobody believes an
// offset that is read from it: attach() compares them with the constants of this header. RunRecord and
// Verdict are written by the process and read by the supervisor or by the parent of a forked test at any
// time: hostile values, so use them as hints and check ranges.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "shm/message.h"
#include "shm/ring.h"

namespace tach::shm {

// What a process does right now: how the supervisor knows whom a hang, a crash or a deadline belongs to,
// without a message that a dying process could not send.
struct RunRecord {
    std::atomic<std::uint32_t> item;       // kNoItem: none
    std::atomic<std::uint32_t> phase;      // Phase
    std::atomic<std::int64_t> started_ns;  // CLOCK_MONOTONIC
    std::atomic<std::int32_t> top_pid;     // the process that runs the test
    std::atomic<std::uint32_t> mode;       // Mode
    std::atomic<std::uint64_t> serial;     // grows with each test, so that "still the same test" can be told
    std::atomic<std::uint32_t>
        failures;  // reports that have failed in this process and in those that it was rewound to
    std::uint32_t reserved;
};
static_assert(sizeof(RunRecord) == 40 && std::is_standard_layout_v<RunRecord>);
static_assert(offsetof(RunRecord, started_ns) == 8 && offsetof(RunRecord, serial) == 24);

// What the forked process of a test or a layer leaves for its parent.
struct Verdict {
    std::atomic<std::int32_t> done_pid;      // the last process that reported everything and then ended on purpose
    std::atomic<std::int32_t> kept_pid;      // the last one whose state was committed: it takes its parent's place; or
                                             // kAllKept: that of all its ancestors on this channel
    std::atomic<std::uint32_t> interrupted;  // of done_pid; 1: the session must end
    std::atomic<std::uint32_t> begun;        // one more than the item that was begun last; 0: none was
    std::atomic<std::int64_t> ended_ns;      // CLOCK_MONOTONIC: end of the last test's last phase
};
static_assert(sizeof(Verdict) == 24 && std::is_standard_layout_v<Verdict> && offsetof(Verdict, ended_ns) == 16);
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<std::int32_t>::is_always_lock_free);

inline constexpr std::int32_t kAllKept = -1;

// What the supervisor wants a worker to know between two items, without a message that a layer's process could take
// from under the worker that forked it. Written by the supervisor, read by the process.
struct Orders {
    std::atomic<std::uint32_t> limit;     // 0: none; n: items from n - 1 on are not to be started any more
    std::atomic<std::uint32_t> failures;  // that pytest would have counted by now, but for the process' own
    std::atomic<std::int64_t> terminal;   // the last kTerminal that was answered, by its ticket; negative: refused
};
static_assert(sizeof(Orders) == 16 && std::is_standard_layout_v<Orders> && offsetof(Orders, terminal) == 8);

inline constexpr std::uint32_t kSegmentVersion = 3;
inline constexpr std::uint32_t kSegmentMagic = 0x48434154;  // "TACH" in memory on a little-endian machine

inline constexpr std::uint32_t kSegmentPage = 4096;  // a unit of the layout, not the machine's page size
// A guess: a thousand plain reports, and two of them for each process are small beside an interpreter.
inline constexpr std::uint32_t kRingBytes = 1U << 20;
inline constexpr std::uint32_t kCommandOffset = kSegmentPage;
inline constexpr std::uint32_t kEventOffset = kCommandOffset + kSegmentPage + kRingBytes;
inline constexpr std::uint32_t kSegmentBytes = kEventOffset + kSegmentPage + kRingBytes;

struct SegmentHeader {
    std::uint32_t version;
    std::uint32_t magic;
    std::uint32_t segment_bytes;
    std::uint32_t ring_bytes;
    std::uint32_t command_offset;
    std::uint32_t event_offset;
    alignas(kCacheLine) RunRecord record;
    alignas(kCacheLine) Verdict verdict;
    alignas(kCacheLine) Orders orders;
};
static_assert(std::is_standard_layout_v<SegmentHeader> && sizeof(SegmentHeader) == 4 * kCacheLine);
static_assert(offsetof(SegmentHeader, record) == 64 && offsetof(SegmentHeader, verdict) == 128);

class Segment {
  public:
    // A new one, zeroed but for the header.
    [[nodiscard]] static base::Result<Segment> create();

    // Maps one that somebody sent, after checking size, seals, version and geometry.
    [[nodiscard]] static base::Result<Segment> attach(base::UniqueFd fd);

    [[nodiscard]] const base::UniqueFd& fd() const { return fd_; }
    [[nodiscard]] SegmentHeader& header() const;
    [[nodiscard]] RingMemory command_ring() const { return ring_at(kCommandOffset); }
    [[nodiscard]] RingMemory event_ring() const { return ring_at(kEventOffset); }

  private:
    Segment(base::UniqueFd fd, base::Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}
    [[nodiscard]] RingMemory ring_at(std::uint32_t offset) const;

    base::UniqueFd fd_;
    base::Mapping mapping_;
};

}  // namespace tach::shm
