// The fuzzer's body as an ordinary test: seeds and pseudo-random inputs; and a whole channel over random
// memory.

#include <random>

#include "shm/channel.h"
#include "tests/catch.h"
#include "tests/shm/fuzz_inputs.h"
#include "tests/shm/reader_fuzz.h"

using namespace tach;

TEST_CASE("the fuzzer's seeds are read completely, wherever they wrap") {
    for (std::uint64_t offset = 0; offset <= tests::kFuzzCapacity; offset += shm::kRecordAlign) {
        // Six messages in one record each, at offset 0 by both readers; the one with its own position sees
        // but nonsense or nothing at the others.
        const int records = tests::run_hostile_input(tests::valid_input(offset, 4, 240));
        CHECK(records >= (offset == 0 ? 8 : 4));
    }
}

TEST_CASE("thousands of hostile rings give errors or messages, and nothing worse") {
    std::mt19937_64 random(20);  // any constant: a failure must come back
    int records = 0;
    for (int i = 0; i < 20'000; ++i) records += tests::run_hostile_input(tests::random_input(random));
    CHECK(records > 20'000);  // the inputs reach beyond the first check
    for (std::size_t length = 0; length < 100; ++length) {
        const std::vector<std::uint8_t> shorter(length, 0xff);
        (void)tests::run_hostile_input(shorter);
    }
}

TEST_CASE("a supervisor's channel over random memory gives an error soon") {
    std::mt19937_64 random(7);
    auto supervisor = shm::Channel::create();
    REQUIRE(supervisor);
    const auto fds = supervisor->share();
    REQUIRE(fds);
    const auto raw = base::Mapping::of(fds->segment.get(), shm::kSegmentBytes, base::Access::kReadWrite);
    REQUIRE(raw);
    for (int round = 0; round < 50; ++round) {
        std::uint64_t word = 0;
        for (std::size_t at = 0; at < shm::kSegmentBytes; at += sizeof(word)) {
            word = random();
            std::memcpy(raw->data() + at, &word, sizeof(word));
        }
        CHECK_FALSE(supervisor->receive());
        base::Result<void> posted;
        const std::string text(shm::kMaxChunk, 'x');
        const std::array<std::string_view, 1> strings{text};
        for (int i = 0; i < 40 && posted; ++i) posted = supervisor->post({.kind = 16}, strings);
        CHECK_FALSE(posted);
    }
}
