#pragma once

// One hostile input for everything that reads shared memory: the input becomes the words and the bytes of a
// ring, and the reader, the assembler and the writer work on it. Whatever it holds, nothing may be accessed
// out of bounds (the sanitizers see to that), every loop must end, and what comes out must keep the promises
// of the headers. Driven by libFuzzer (reader_fuzz.cpp) and by an ordinary test with pseudo-random inputs
// (hostile_test.cpp).

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "shm/codec.h"
#include "shm/message.h"
#include "shm/ring.h"
#include "tests/shm/heap_ring.h"

namespace tach::tests {

// Small, so that wrapping around is as likely as not.
inline constexpr std::size_t kFuzzCapacity = 1024;

// Layout of an input: head, tail (8 bytes each), then the data of the ring from its start. What is missing is
// zero.
inline constexpr std::size_t kFuzzWords = 16;

inline void require(bool condition) {
    if (!condition) std::abort();
}

inline void check_message(const shm::Message& message) {
    require(message.head.version == shm::kMessageVersion);
    require(message.strings.size() == message.head.strings);
    require(message.body.size() == message.head.bytes);
    std::size_t bytes = 0;
    for (const std::string_view string : message.strings) {
        bytes += sizeof(std::uint32_t) + string.size();
        for (const char c : string) bytes += static_cast<unsigned char>(c) & 0U;  // every byte can be read
    }
    require(bytes == message.head.bytes);
}

// Everything the input gives until the ring is empty or an error says that it is nonsense. Returns how many
// records.
inline int read_all(shm::RingReader reader) {
    shm::Assembler assembler;
    int records = 0;
    for (;; ++records) {
        // A record takes eight bytes at least, and nobody adds any.
        require(records <= static_cast<int>(kFuzzCapacity / shm::kRecordAlign));
        const auto record = reader.peek();
        if (!record || !*record) return records;
        require((*record)->size() <= shm::max_payload(kFuzzCapacity));
        const auto message = assembler.add(**record);
        (void)reader.consume();
        if (!message) return records;
        if (*message) check_message(**message);
    }
}

inline void write_some(shm::RingWriter writer) {
    for (std::uint32_t length = 0; length < 300; length += 37) {
        const auto slot = writer.reserve(length);
        require(slot || slot.error().code != 0);
        if (!slot || !*slot) continue;
        require((*slot)->first.size() + (*slot)->second.size() == length);
        std::memset((*slot)->first.data(), 'w', (*slot)->first.size());
        if (!(*slot)->second.empty()) std::memset((*slot)->second.data(), 'w', (*slot)->second.size());
        (void)writer.commit(length);
        (void)writer.may_sleep(length);
        require(writer.free_bytes() <= kFuzzCapacity);
    }
}

// Returns how many records were taken from it: inputs that give none test little.
inline int run_hostile_input(std::span<const std::uint8_t> input) {
    HeapRing ring(kFuzzCapacity);
    const shm::RingReader trusted_reader(ring.memory(),
                                         shm::Positions::kPrivate);  // positions 0, as the supervisor's
    const shm::RingWriter trusted_writer(ring.memory(), shm::Positions::kPrivate);
    std::uint64_t words[kFuzzWords / sizeof(std::uint64_t)]{};
    if (!input.empty()) std::memcpy(words, input.data(), std::min(input.size(), kFuzzWords));
    const auto data = input.subspan(std::min(input.size(), kFuzzWords));
    if (!data.empty()) std::memcpy(ring.memory().data.data(), data.data(), std::min(data.size(), kFuzzCapacity));
    const auto reset = [&] {
        ring.control().head.store(words[0], std::memory_order_relaxed);
        ring.control().tail.store(words[1], std::memory_order_relaxed);
    };

    reset();
    const int records = read_all(trusted_reader);
    reset();
    const int shared = read_all(shm::RingReader(ring.memory(), shm::Positions::kShared));
    reset();
    write_some(trusted_writer);
    reset();
    write_some(shm::RingWriter(ring.memory(), shm::Positions::kShared));
    return records + shared;
}

}  // namespace tach::tests
