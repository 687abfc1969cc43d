// The ring: order, wrap-around, full, taking turns, waking, and what a reader makes of nonsense.

#include "shm/ring.h"

#include <cerrno>
#include <string>

#include "tests/catch.h"
#include "tests/shm/heap_ring.h"

using namespace tach;
using shm::Positions;
using shm::RingReader;
using shm::RingWriter;
using tests::HeapRing;

namespace {

// False: the ring is full.
bool push(RingWriter& writer, std::string_view text, std::uint32_t tag = 0) {
    const auto slot = writer.reserve(static_cast<std::uint32_t>(text.size()));
    REQUIRE(slot);
    if (!*slot) return false;
    tests::fill(**slot, text);
    (void)writer.commit(tag);
    return true;
}

std::optional<std::string> pop(RingReader& reader) {
    const auto record = reader.peek();
    REQUIRE(record);
    if (!*record) return std::nullopt;
    std::string text = tests::text_of(**record);
    (void)reader.consume();
    return text;
}

std::string error_of(RingReader& reader) {
    const auto record = reader.peek();
    REQUIRE_FALSE(record);
    CHECK(record.error().code == EPROTO);
    return record.error().what;
}

}  // namespace

TEST_CASE("records come out in order with their tags, and an empty one is a record") {
    HeapRing ring(1024);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    CHECK(push(writer, "one", 7));
    CHECK(push(writer, ""));
    CHECK(push(writer, "three"));
    CHECK(reader.peek().value()->tag == 7);
    CHECK(pop(reader) == "one");
    CHECK(pop(reader) == "");
    CHECK(pop(reader) == "three");
    CHECK(pop(reader) == std::nullopt);
}

TEST_CASE("a record is invisible until it is committed, and an abandoned one never appears") {
    HeapRing ring(1024);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    const auto slot = writer.reserve(4);
    tests::fill(**slot, "lost");
    CHECK(pop(reader) == std::nullopt);
    CHECK(push(writer, "kept"));
    CHECK(pop(reader) == "kept");
    CHECK(pop(reader) == std::nullopt);
}

TEST_CASE("records survive the ring's end at every offset and length") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    std::string text;
    for (std::size_t round = 0; round < 2000; ++round) {
        text.assign(round % (shm::max_payload(256) + 1), static_cast<char>('a' + round % 26));
        REQUIRE(push(writer, text));
        REQUIRE(pop(reader) == text);
    }
}

TEST_CASE("a full ring refuses, loses nothing, and takes more once a record is out") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    int pushed = 0;
    while (push(writer, std::to_string(100 + pushed))) ++pushed;
    CHECK(pushed == 256 / 16);
    for (int i = 0; i < 100; ++i) {
        CHECK(pop(reader) == std::to_string(100 + i));
        CHECK(push(writer, std::to_string(100 + pushed + i)));
        CHECK_FALSE(push(writer, "x"));
    }
}

TEST_CASE("a record that fits exactly is taken, one byte more is not") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    const std::string quarter(shm::max_payload(256), 'q');
    for (int i = 0; i < 3; ++i) CHECK(push(writer, quarter));
    CHECK(push(writer, std::string(48, 'x')));  // 8 + 48 of the last 64
    CHECK_FALSE(push(writer, "y"));
    CHECK(push(writer, ""));
    CHECK(writer.free_bytes() == 0);
    CHECK(pop(reader) == quarter);
    CHECK(push(writer, quarter));
    CHECK(writer.free_bytes() == 0);
}

TEST_CASE("a record that could never fit is an error") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    CHECK_FALSE(writer.reserve(static_cast<std::uint32_t>(shm::max_payload(256)) + 1));
    CHECK_FALSE(writer.reserve(0xffffffff));
}

TEST_CASE("writers that share their position take turns, and a death in mid-write loses that record only") {
    HeapRing ring(256);
    RingWriter parent(ring.memory(), Positions::kShared);
    RingReader reader(ring.memory(), Positions::kPrivate);
    CHECK(push(parent, "parent 1"));
    RingWriter child = parent;  // what a fork leaves in the child
    CHECK(push(child, "child 1"));
    tests::fill(**child.reserve(7), "child 2");  // killed here
    CHECK(push(parent, "parent 2"));
    CHECK(pop(reader) == "parent 1");
    CHECK(pop(reader) == "child 1");
    CHECK(pop(reader) == "parent 2");
    CHECK(pop(reader) == std::nullopt);
}

TEST_CASE("a writer whose turn comes after others filled and emptied the ring many times is not confused") {
    HeapRing ring(256);
    RingWriter parent(ring.memory(), Positions::kShared);
    RingReader reader(ring.memory(), Positions::kPrivate);
    for (int turn = 0; turn < 50; ++turn) {
        RingWriter child = parent;
        for (int i = 0; i < turn; ++i) {
            REQUIRE(push(child, "child"));
            REQUIRE(pop(reader) == "child");
        }
        REQUIRE(push(parent, "parent"));
        REQUIRE(pop(reader) == "parent");
    }
}

TEST_CASE("readers that share their position take turns") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader parent(ring.memory(), Positions::kShared);
    for (const char* text : {"one", "two", "three"}) CHECK(push(writer, text));
    CHECK(pop(parent) == "one");
    RingReader child = parent;
    CHECK(pop(child) == "two");
    CHECK(pop(parent) == "three");
    CHECK(push(writer, "four"));
    CHECK(pop(child) == "four");
    CHECK(pop(parent) == std::nullopt);
}

TEST_CASE("an end with a private position does not care what a test wrote over it") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    CHECK(push(writer, "one"));
    ring.control().tail.store(0x5555, std::memory_order_relaxed);
    CHECK(pop(reader) == "one");
    ring.control().head.store(0x5555, std::memory_order_relaxed);
    CHECK(push(writer, "two"));
    CHECK(pop(reader) == "two");
}

TEST_CASE("commit says that the reader sleeps, once for each sleep") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    (void)writer.reserve(0);
    CHECK_FALSE(writer.commit(0));
    CHECK_FALSE(reader.may_sleep());  // a record is there
    CHECK(pop(reader) == "");
    CHECK(reader.may_sleep());
    (void)writer.reserve(0);
    CHECK(writer.commit(0));
    (void)writer.reserve(0);
    CHECK_FALSE(writer.commit(0));
    CHECK(pop(reader) == "");
    CHECK(pop(reader) == "");
    CHECK(reader.may_sleep());
    reader.awake();
    (void)writer.reserve(0);
    CHECK_FALSE(writer.commit(0));
}

TEST_CASE("consume says that the writer sleeps when the ring is half empty, and again when it is empty") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    RingReader reader(ring.memory(), Positions::kPrivate);
    CHECK(writer.may_sleep(300) == true);  // would never fit; the flag is set
    for (int i = 0; i < 16; ++i) CHECK(push(writer, "12345678"));
    int popped = 0;
    bool wakes = false;
    while (!wakes) {
        REQUIRE(reader.peek().value());
        wakes = reader.consume();
        ++popped;
    }
    CHECK(popped == 8);
    CHECK_FALSE(writer.may_sleep(8));  // there is room
    CHECK(writer.may_sleep(200));
    for (wakes = false; !wakes; ++popped) {
        REQUIRE(reader.peek().value());
        wakes = reader.consume();
    }
    CHECK(popped == 16);
}

TEST_CASE("a reader calls a hostile head, length or alignment by name and reads nothing out of bounds") {
    HeapRing ring(256);
    RingReader reader(ring.memory(), Positions::kPrivate);
    auto& head = ring.control().head;
    const auto set_length = [&](std::uint32_t length) {
        std::memcpy(ring.memory().data.data(), &length, sizeof(length));
    };
    for (const std::uint64_t value : {std::uint64_t{264}, std::uint64_t{1} << 63, ~std::uint64_t{7}}) {
        head.store(value, std::memory_order_relaxed);
        CHECK(error_of(reader) == "ring: head out of bounds");
    }
    head.store(12, std::memory_order_relaxed);
    CHECK(error_of(reader) == "ring: misaligned position");
    for (const std::uint32_t length : {9U, 0xffffffffU, 0xfffffff8U, 0x80000000U, 56U}) {
        RingReader fresh(ring.memory(), Positions::kPrivate);
        head.store(16, std::memory_order_relaxed);
        set_length(length);
        CHECK(error_of(fresh) == "ring: record length out of bounds");
    }
}

TEST_CASE("a writer calls a hostile tail by name") {
    HeapRing ring(256);
    RingWriter writer(ring.memory(), Positions::kPrivate);
    while (push(writer, "12345678")) {
    }
    for (const std::uint64_t value : {std::uint64_t{264}, std::uint64_t{1} << 63, ~std::uint64_t{7}}) {
        ring.control().tail.store(value, std::memory_order_relaxed);
        const auto slot = writer.reserve(8);
        REQUIRE_FALSE(slot);
        CHECK(slot.error().what == "ring: tail out of bounds");
        CHECK_FALSE(writer.may_sleep(8));
        CHECK(writer.free_bytes() == 0);
    }
    RingWriter shared(ring.memory(), Positions::kShared);
    ring.control().head.store(3, std::memory_order_relaxed);
    CHECK_FALSE(shared.reserve(8));
}
