// Messages as bytes: cutting, assembling, and what the assembler makes of nonsense.

#include "shm/codec.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace tach;
using shm::Assembler;
using shm::kFirstChunk;
using shm::kLastChunk;
using shm::MessageHead;

namespace {

std::vector<std::byte> encode(const MessageHead& head, std::vector<std::string_view> strings) {
    auto message = shm::Outgoing::of(head, strings);
    REQUIRE(message);
    std::vector<std::byte> bytes(message->total());
    message->take(bytes);
    REQUIRE(message->left() == 0);
    return bytes;
}

// As the ring gives it, split in two at `cut`.
shm::Record record_of(std::uint32_t tag, std::span<const std::byte> bytes, std::size_t cut) {
    return {tag, bytes.first(cut), bytes.subspan(cut)};
}

std::string error_of(Assembler& assembler, std::uint32_t tag, std::span<const std::byte> bytes) {
    const auto message = assembler.add(record_of(tag, bytes, 0));
    REQUIRE_FALSE(message);
    CHECK(message.error().code == EPROTO);
    return message.error().what;
}

// An encoded message of one string "abcdef" with one u32 of it changed.
std::vector<std::byte> tampered(std::size_t offset, std::uint32_t value) {
    std::vector<std::byte> bytes = encode({}, {"abcdef"});
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
    return bytes;
}

}  // namespace

TEST_CASE("a message comes back with every field and string, wherever the record wraps") {
    const MessageHead head{.kind = 98, .item = 5, .a = 1, .b = 2, .t0 = -3, .t1 = 4};
    const std::vector<std::byte> bytes = encode(head, {"pickle", "", std::string_view("a\0b", 3)});
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        Assembler assembler;
        const auto added = assembler.add(record_of(kFirstChunk | kLastChunk, bytes, cut));
        REQUIRE(added);
        REQUIRE(*added);
        const shm::Message& message = **added;
        CHECK(message.kind() == shm::Kind::kReport);
        CHECK(message.head.version == shm::kMessageVersion);
        CHECK(message.head.item == 5);
        CHECK(message.head.t0 == -3);
        REQUIRE(message.strings.size() == 3);
        CHECK(message.string(0) == "pickle");
        CHECK(message.string(1).empty());
        CHECK(message.string(2) == std::string_view("a\0b", 3));
        CHECK(message.string(3).empty());
    }
}

TEST_CASE("a message taken in pieces of any size is the same message") {
    const std::vector<std::string_view> strings{"one", "", "three"};
    const std::vector<std::byte> whole = encode({.kind = 64}, strings);
    for (std::size_t step = 1; step <= whole.size(); ++step) {
        auto message = shm::Outgoing::of({.kind = 64}, strings);
        std::vector<std::byte> bytes(whole.size());
        for (std::size_t at = 0; at < whole.size(); at += step) {
            message->take(std::span(bytes).subspan(at, std::min(step, whole.size() - at)));
        }
        CHECK(bytes == whole);
    }
}

TEST_CASE("chunks are put together, and the views stay good when the message moves") {
    const std::string text(1000, 't');
    const std::vector<std::byte> bytes = encode({.kind = 65}, {text});
    Assembler assembler;
    const std::span all(bytes);
    CHECK(assembler.add(record_of(kFirstChunk, all.first(40), 3)).value() == std::nullopt);
    CHECK(assembler.add(record_of(0, all.subspan(40, 500), 100)).value() == std::nullopt);
    auto last = assembler.add(record_of(kLastChunk, all.subspan(540), 100));
    REQUIRE(last);
    const shm::Message moved = std::move(**last);
    CHECK(moved.string(0) == text);
}

TEST_CASE("a first chunk drops an unfinished message, because its sender died") {
    const std::vector<std::byte> lost = encode({.kind = 98}, {std::string(100, 'l')});
    const std::vector<std::byte> kept = encode({.kind = 103}, {"kept"});
    Assembler assembler;
    CHECK(assembler.add(record_of(kFirstChunk, std::span(lost).first(80), 0)).value() == std::nullopt);
    const auto message = assembler.add(record_of(kFirstChunk | kLastChunk, kept, 0));
    REQUIRE(message);
    CHECK((*message)->string(0) == "kept");
}

TEST_CASE("a message beyond the bounds is refused by the sender") {
    const std::vector<std::string_view> many(shm::kMaxMessageStrings + 1);
    CHECK_FALSE(shm::Outgoing::of({}, many));
    const std::vector<std::string_view> most(shm::kMaxMessageStrings);
    CHECK(shm::Outgoing::of({}, most));
    const std::string half(shm::kMaxMessageBytes / 2, 'h');
    const std::vector<std::string_view> large{half, half};
    const auto refused = shm::Outgoing::of({}, large);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EMSGSIZE);
}

TEST_CASE("the assembler calls nonsense by name") {
    Assembler assembler;
    constexpr std::uint32_t kWhole = kFirstChunk | kLastChunk;
    const std::vector<std::byte> good = encode({}, {"abcdef"});
    const std::span all(good);

    CHECK(error_of(assembler, kWhole, all.first(39)) == "message: head cut short");
    CHECK(error_of(assembler, 0, all) == "message: continued before it began");
    CHECK(error_of(assembler, kLastChunk, all) == "message: continued before it began");
    const std::string sum = "message: chunks do not add up to its size";
    CHECK(error_of(assembler, kFirstChunk, all) == sum);                         // complete, but not the last
    CHECK(error_of(assembler, kWhole, all.first(45)) == sum);                    // the last, but not complete
    CHECK(error_of(assembler, kWhole, tampered(36, 4)) == sum);                  // more than it said
    CHECK(error_of(assembler, 0, all) == "message: continued before it began");  // an error closes the message

    CHECK(error_of(assembler, kWhole, tampered(36, shm::kMaxMessageBytes + 1)) == "message: size out of bounds");
    CHECK(error_of(assembler, kWhole, tampered(32, shm::kMaxMessageStrings + 1)) == "message: size out of bounds");
    CHECK(error_of(assembler, kWhole, tampered(0, 999U << 16)) ==
          "message: version 999 where this tach speaks " + std::to_string(shm::kMessageVersion));
    CHECK(error_of(assembler, kWhole, tampered(32, 2)) == "message: strings cut short");
    CHECK(error_of(assembler, kWhole, tampered(32, 0)) == "message: bytes after the last string");
    CHECK(error_of(assembler, kWhole, tampered(40, 7)) == "message: string out of bounds");
    CHECK(error_of(assembler, kWhole, tampered(40, 0xffffffff)) == "message: string out of bounds");
    CHECK(error_of(assembler, kWhole, tampered(40, 5)) == "message: bytes after the last string");

    CHECK(assembler.add(record_of(kFirstChunk, all.first(44), 0)).value() == std::nullopt);
    CHECK(error_of(assembler, 0, {}) == "message: empty chunk");
}
