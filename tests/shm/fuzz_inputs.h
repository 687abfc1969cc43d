#pragma once

// Seeds for the fuzzer, and pseudo-random inputs near them: a valid ring of messages, whole and chunked, at
// an offset that makes it wrap around, with some of its bytes changed. Purely random bytes would rarely pass
// the first check.

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "shm/codec.h"
#include "tests/shm/heap_ring.h"
#include "tests/shm/reader_fuzz.h"

namespace tach::tests {

// Cuts a message into chunks of at most `chunk` bytes; stops when the ring is full.
inline void push_message(shm::RingWriter& writer, std::span<const std::string_view> strings, std::size_t chunk) {
    auto message = shm::Outgoing::of({.kind = 98, .item = 1}, strings);
    require(message.has_value());
    for (std::uint32_t tag = shm::kFirstChunk; message->left() != 0; tag = 0) {
        const auto slot = writer.reserve(static_cast<std::uint32_t>(std::min(message->left(), chunk)));
        if (!slot || !*slot) return;
        message->take((*slot)->first);
        message->take((*slot)->second);
        (void)writer.commit(tag | (message->left() == 0 ? shm::kLastChunk : 0));
    }
}

// A valid input: `offset` bytes were written and read before (a multiple of kRecordAlign), then `count`
// messages.
inline std::vector<std::uint8_t> valid_input(std::uint64_t offset, int count, std::size_t chunk) {
    HeapRing ring(kFuzzCapacity);
    ring.control().head.store(offset, std::memory_order_relaxed);
    ring.control().tail.store(offset, std::memory_order_relaxed);
    shm::RingWriter writer(ring.memory(), shm::Positions::kPrivate);
    const std::string text(100, 't');
    const std::array<std::string_view, 3> strings{"nodeid", "", text};
    for (int i = 0; i < count; ++i)
        push_message(writer, std::span(strings).first(static_cast<std::size_t>(i) % 4), chunk);
    std::vector<std::uint8_t> input(kFuzzWords + kFuzzCapacity);
    const std::array<std::uint64_t, 2> words{ring.control().head.load(), ring.control().tail.load()};
    std::memcpy(input.data(), words.data(), kFuzzWords);
    std::memcpy(input.data() + kFuzzWords, ring.memory().data.data(), kFuzzCapacity);
    return input;
}

inline std::vector<std::uint8_t> random_input(std::mt19937_64& random) {
    const auto below = [&](std::uint64_t bound) { return random() % bound; };
    // Every other one at offset 0, where a reader with its own position looks.
    const std::uint64_t offset = below(2) * below(3 * kFuzzCapacity / shm::kRecordAlign) * shm::kRecordAlign;
    std::vector<std::uint8_t> input = valid_input(offset, 1 + static_cast<int>(below(6)), 40 + below(200));
    constexpr std::array<std::uint32_t, 8> kEdges{0, 1, 7, 8, 255, 0x7fffffff, 0x80000000, 0xffffffff};
    for (std::uint64_t changes = below(5); changes != 0; --changes) {
        // Mostly near the front: the words, the first records' heads and the first message's head.
        const std::size_t at = below(below(2) != 0 ? 100 : input.size() / 4 - 1) * sizeof(std::uint32_t);
        if (at + sizeof(std::uint32_t) > input.size()) continue;
        const std::uint32_t value =
            below(2) != 0 ? kEdges[below(kEdges.size())] : static_cast<std::uint32_t>(below(kFuzzCapacity));
        std::memcpy(input.data() + at, &value, sizeof(value));
    }
    return input;
}

}  // namespace tach::tests
