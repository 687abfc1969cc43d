#pragma once

// A single-producer, single-consumer ring of variable-length records in shared memory.
//
// Guarantees
//   - Records arrive complete, in order, and exactly once, or not at all: a record becomes visible by one
//   store of
//     `head`, after its last byte was written. A producer that dies before that store loses this record,
//     nothing else.
//   - A full ring refuses (the caller waits or queues); nothing is overwritten or dropped.
//   - Neither side makes a system call. Whether the other side sleeps and must be woken is a result of commit(), or
//     claim_reader(), and consume(); while it is awake the answer is no.
//
// Threat model
//   The process at the other end runs tests, which can scribble over all of their memory, this ring included,
//   at any time. Positions and lengths are copied once and checked against the ring's bounds before use, so
//   that nonsense gives an error (the caller then treats the peer as dead) and never an access outside `data`
//   or an endless loop. Payload is handed out where it lies: copy it first, judge the copy. What is in it is
//   not the ring's concern.
//
// States and owners. Positions count bytes since the ring was made and never wrap; all are multiples of
// kRecordAlign.
//   head            written by the producer only       [tail, head) holds complete records
//   tail            written by the consumer only       tail <= head <= tail + capacity
//   reader_waiting  1: the consumer may be asleep until head moves. Set by the consumer, cleared by whichever
//   side comes
//                   first: the producer on its way to wake it, or the consumer when it is up again
//   writer_waiting  the same for the producer and tail
//
// Who may be at an end: one process or thread at a time. With Positions::kPrivate an end trusts its own copy
// of its own position only (the supervisor: what it wrote, a test may have changed). With Positions::kShared
// it re-reads its own position from the ring each time, so that several processes can take turns at one end
// (a worker, a child forked from it for a test, the worker again when the child is gone, finished or killed
// in mid-write) and so that a process whose memory was rewound stays right. Handing over needs an order from
// outside: a wait for the child, or a message.
//
// Memory order. Pairs: commit's store of head (A) with the loads of head in peek and may_sleep (A');
// consume's store of tail (B) with the load of tail in refresh_used (B'). A and B are release
// stores and A', B' acquire loads, for the payload. Sleeping is a store of one word and a load of another on
// both sides (flag then position here, position then flag there), which release and acquire do not order; so
// those four are sequentially consistent: either the waker sees the flag, or the sleeper sees the new
// position. (A fence would do as well, but ThreadSanitizer knows none.)

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace tach::shm {

// Common to x86-64 and most AArch64 cores; adjacent-line prefetchers may pair two, which costs little here.
inline constexpr std::size_t kCacheLine = 64;

struct RingControl {
    alignas(kCacheLine) std::atomic<std::uint64_t> head;
    alignas(kCacheLine) std::atomic<std::uint64_t> tail;
    alignas(kCacheLine) std::atomic<std::uint32_t> reader_waiting;  // both rarely written, often read
    std::atomic<std::uint32_t> writer_waiting;
};
static_assert(sizeof(RingControl) == 3 * kCacheLine);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

// What precedes the payload of a record. Aligned like every record, so it never straddles the ring's end.
struct RecordHead {
    std::uint32_t length;  // of the payload, without padding
    std::uint32_t tag;     // the caller's
};
inline constexpr std::size_t kRecordAlign = 8;
static_assert(sizeof(RecordHead) == kRecordAlign);

enum class Positions { kPrivate, kShared };

// Where a ring lives. `data` is kRecordAlign-aligned, its size a power of two of at least 64 and at most 1
// GiB.
struct RingMemory {
    RingControl* control = nullptr;
    std::span<std::byte> data;
};

// The bytes that a record with this payload takes in the ring.
[[nodiscard]] constexpr std::uint64_t record_size(std::uint64_t payload) {
    return sizeof(RecordHead) + ((payload + kRecordAlign - 1) & ~std::uint64_t{kRecordAlign - 1});
}

// A payload in the ring: it may wrap around the end, and then continues in `second`.
struct WritableSlot {
    std::span<std::byte> first;
    std::span<std::byte> second;
};

class RingWriter {
  public:
    RingWriter() = default;
    RingWriter(RingMemory memory, Positions positions);

    // Room for a payload of `length` bytes, or nothing if the ring is too full for it now. A payload that can
    // never fit and nonsense in `tail` are errors. The record stays invisible until commit(); a new reserve()
    // abandons it.
    [[nodiscard]] base::Result<std::optional<WritableSlot>> reserve(std::uint32_t length);

    // Publishes the reserved record. True: the reader sleeps, and it is now the caller's duty to wake it.
    [[nodiscard]] bool commit(std::uint32_t tag);

    // The two halves of commit(). A record whose reader was not asked about waits until it is, or until the reader
    // looks by itself; whoever sleeps for room or for an answer must ask first.
    void publish(std::uint32_t tag);
    [[nodiscard]] bool claim_reader();

    // Announces that the caller is about to sleep for room for `length` bytes. False: the room is there, do
    // not sleep.
    [[nodiscard]] bool may_sleep(std::uint32_t length);
    void awake();

    // Bytes that are free as of now; 0 if `tail` is nonsense.
    [[nodiscard]] std::uint64_t free_bytes();

  private:
    [[nodiscard]] std::uint64_t head() const;
    // What is in use by a fresh look at tail, or nothing if tail is nonsense.
    [[nodiscard]] std::optional<std::uint64_t> refresh_used();

    RingMemory memory_;
    Positions positions_ = Positions::kPrivate;
    std::uint64_t own_head_ = 0;     // kPrivate: the truth
    std::uint64_t cached_tail_ = 0;  // may lag: tail only grows
    std::uint64_t reserved_at_ = 0;
    std::uint32_t reserved_length_ = 0;
};

struct Record {
    std::uint32_t tag;
    std::span<const std::byte> first;
    std::span<const std::byte> second;
    [[nodiscard]] std::size_t size() const { return first.size() + second.size(); }
};

class RingReader {
  public:
    RingReader() = default;
    RingReader(RingMemory memory, Positions positions);

    // The oldest record, or nothing. Valid until consume().
    [[nodiscard]] base::Result<std::optional<Record>> peek();

    // Releases the record that peek() gave. True: the writer sleeps for room, and it is now the caller's duty
    // to wake it. Asked only when the ring looks empty or becomes less than half full: a writer woken for
    // each freed record would fall asleep again after the next.
    [[nodiscard]] bool consume();

    // Announces that the caller is about to sleep until a record arrives. False: one is there, do not sleep.
    [[nodiscard]] bool may_sleep();
    void awake();

  private:
    [[nodiscard]] std::uint64_t tail() const;

    RingMemory memory_;
    Positions positions_ = Positions::kPrivate;
    std::uint64_t own_tail_ = 0;     // kPrivate: the truth
    std::uint64_t cached_head_ = 0;  // may lag: head only grows
    std::uint64_t peeked_size_ = 0;
};

// The largest payload a record may have: a quarter of the ring, so that a writer that was woken at half full
// finds room.
[[nodiscard]] constexpr std::uint64_t max_payload(std::uint64_t capacity) {
    return capacity / 4 - sizeof(RecordHead);
}

}  // namespace tach::shm
