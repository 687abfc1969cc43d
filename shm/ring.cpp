#include "shm/ring.h"

#include <cstring>

namespace tach::shm {

namespace {

using base::protocol_error;

// The `length` bytes at `position`, in one or two parts. Both were checked by the caller.
template <class Byte>
std::pair<std::span<Byte>, std::span<Byte>> parts_at(std::span<Byte> data, std::uint64_t position, std::size_t length) {
    const std::size_t offset = position & (data.size() - 1);
    const std::size_t before_end = data.size() - offset;
    if (length <= before_end) return {data.subspan(offset, length), {}};
    return {data.subspan(offset), data.first(length - before_end)};
}

// The sleeper's half of the wake-up protocol; seq_cst as ring.h explains.
void announce_sleep(std::atomic<std::uint32_t>& flag) {
    flag.store(1, std::memory_order_seq_cst);
}

// The waker's half. The exchange makes sure that of several wakers one does the work.
bool claim_sleeper(std::atomic<std::uint32_t>& flag) {
    return flag.load(std::memory_order_seq_cst) != 0 && flag.exchange(0, std::memory_order_seq_cst) != 0;
}

}  // namespace

RingWriter::RingWriter(RingMemory memory, Positions positions)
    : memory_(memory),
      positions_(positions),
      own_head_(memory.control->head.load(std::memory_order_relaxed)),
      cached_tail_(memory.control->tail.load(std::memory_order_relaxed)) {}

std::uint64_t RingWriter::head() const {
    // Relaxed: the only writer of head is this end; whoever had it before has handed over in an ordered way.
    return positions_ == Positions::kPrivate ? own_head_ : memory_.control->head.load(std::memory_order_relaxed);
}

std::optional<std::uint64_t> RingWriter::refresh_used() {
    // seq_cst for may_sleep's sake; a load costs no more for it.
    const std::uint64_t tail = memory_.control->tail.load(std::memory_order_seq_cst);  // B', partner: consume
    const std::uint64_t at = head();
    const std::uint64_t used = at - tail;
    // The second: tail never moves backwards.
    if (used > memory_.data.size() || used > at - cached_tail_) return std::nullopt;
    cached_tail_ = tail;
    return used;
}

base::Result<std::optional<WritableSlot>> RingWriter::reserve(std::uint32_t length) {
    const std::uint64_t capacity = memory_.data.size();
    if (length > max_payload(capacity)) return base::fail(protocol_error("ring: record too large"));
    const std::uint64_t at = head();
    if (at % kRecordAlign != 0) return base::fail(protocol_error("ring: misaligned head"));
    // Unsigned: more than the capacity when others have used the ring since tail was cached.
    const std::uint64_t used_at_most = at - cached_tail_;
    if (used_at_most > capacity || capacity - used_at_most < record_size(length)) {
        const auto used = refresh_used();
        if (!used) return base::fail(protocol_error("ring: tail out of bounds"));
        if (capacity - *used < record_size(length)) return std::nullopt;
    }
    reserved_at_ = at;
    reserved_length_ = length;
    const auto [first, second] = parts_at(memory_.data, at + sizeof(RecordHead), length);
    return WritableSlot{first, second};
}

bool RingWriter::commit(std::uint32_t tag) {
    publish(tag);
    return claim_reader();
}

void RingWriter::publish(std::uint32_t tag) {
    const RecordHead record{.length = reserved_length_, .tag = tag};
    std::memcpy(parts_at(memory_.data, reserved_at_, sizeof(record)).first.data(), &record, sizeof(record));
    own_head_ = reserved_at_ + record_size(reserved_length_);
    memory_.control->head.store(own_head_,
                                std::memory_order_seq_cst);  // A, partner: peek, RingReader::may_sleep
}

bool RingWriter::claim_reader() {
    return claim_sleeper(memory_.control->reader_waiting);
}

bool RingWriter::may_sleep(std::uint32_t length) {
    announce_sleep(memory_.control->writer_waiting);
    const auto used = refresh_used();
    // Nonsense counts as "do not sleep": the next reserve() says what is wrong.
    if (used && memory_.data.size() - *used < record_size(length)) return true;
    awake();
    return false;
}

void RingWriter::awake() {
    memory_.control->writer_waiting.store(0, std::memory_order_relaxed);
}

std::uint64_t RingWriter::free_bytes() {
    const auto used = refresh_used();
    return used ? memory_.data.size() - *used : 0;
}

RingReader::RingReader(RingMemory memory, Positions positions)
    : memory_(memory),
      positions_(positions),
      own_tail_(memory.control->tail.load(std::memory_order_relaxed)),
      cached_head_(own_tail_) {}

std::uint64_t RingReader::tail() const {
    // Relaxed: the only writer of tail is this end, as with RingWriter::head.
    return positions_ == Positions::kPrivate ? own_tail_ : memory_.control->tail.load(std::memory_order_relaxed);
}

base::Result<std::optional<Record>> RingReader::peek() {
    const std::uint64_t capacity = memory_.data.size();
    const std::uint64_t at = tail();
    if (cached_head_ == at || cached_head_ - at > capacity) {
        cached_head_ = memory_.control->head.load(std::memory_order_acquire);  // A', partner: commit
    }
    const std::uint64_t used = cached_head_ - at;
    if (used == 0) return std::nullopt;
    if (used > capacity) return base::fail(protocol_error("ring: head out of bounds"));
    if (used % kRecordAlign != 0 || at % kRecordAlign != 0) {
        return base::fail(protocol_error("ring: misaligned position"));
    }
    // The one copy of the length: what is checked is what is used.
    RecordHead record{};
    std::memcpy(&record, parts_at(memory_.data, at, sizeof(record)).first.data(), sizeof(record));
    if (record.length > max_payload(capacity) || record_size(record.length) > used) {
        return base::fail(protocol_error("ring: record length out of bounds"));
    }
    peeked_size_ = record_size(record.length);
    const auto [first, second] =
        parts_at(std::span<const std::byte>(memory_.data), at + sizeof(RecordHead), record.length);
    return Record{record.tag, first, second};
}

bool RingReader::consume() {
    const std::uint64_t half = memory_.data.size() / 2;
    const std::uint64_t used_before = cached_head_ - tail();
    const std::uint64_t used = used_before - peeked_size_;
    own_tail_ = tail() + peeked_size_;
    peeked_size_ = 0;
    // The check at "looks empty" is the one that no sleeper can miss: before it reads a newer head, the
    // reader has been here with the older one. The check at half is for speed.
    if (used == 0 || (used <= half && used_before > half)) {
        memory_.control->tail.store(own_tail_, std::memory_order_seq_cst);  // B, partner: refresh_used
        return claim_sleeper(memory_.control->writer_waiting);
    }
    memory_.control->tail.store(own_tail_, std::memory_order_release);  // B, partner: refresh_used
    return false;
}

bool RingReader::may_sleep() {
    announce_sleep(memory_.control->reader_waiting);
    if (memory_.control->head.load(std::memory_order_seq_cst) == tail()) return true;  // A', partner: commit
    awake();
    return false;
}

void RingReader::awake() {
    memory_.control->reader_waiting.store(0, std::memory_order_relaxed);
}

}  // namespace tach::shm
