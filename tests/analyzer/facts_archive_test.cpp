#include "analyzer/facts_archive.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "analyzer/extract.h"
#include "shm/archive.h"
#include "tests/catch.h"

using namespace tach::analyzer;

namespace {

template <class Value>
std::string bytes_of(Value value) {
    std::string bytes;
    append_bytes(bytes, value);
    return bytes;
}

template <class Value>
void check_round_trip(Value value) {
    const std::string bytes = bytes_of(value);
    Value read{};
    CHECK(read_bytes(bytes, read));
    CHECK(read == value);
}

}  // namespace

TEST_CASE("numbers, texts and lists come back as they were") {
    check_round_trip<std::uint32_t>(0);
    check_round_trip<std::uint64_t>(std::numeric_limits<std::uint64_t>::max());
    check_round_trip<std::int32_t>(-1);
    check_round_trip<std::int64_t>(std::numeric_limits<std::int64_t>::min());
    check_round_trip(true);
    check_round_trip(std::string("a\0b", 3));
    check_round_trip(std::vector<std::vector<std::int32_t>>{{1, -2}, {}, {300}});
}

TEST_CASE("the bytes are those that the header promises") {
    CHECK(bytes_of<std::uint32_t>(300) == "\xAC\x02");
    CHECK(bytes_of<std::int32_t>(-2) == "\x03");
    CHECK(bytes_of(std::string("ab")) ==
          "\x02"
          "ab");
}

TEST_CASE("bytes that are cut off, too long or out of range are no value") {
    std::string text;
    const std::string bytes = bytes_of(std::string("hello"));
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(read_bytes(bytes.substr(0, size), text));
    CHECK_FALSE(read_bytes(bytes + "x", text));
    std::vector<std::uint64_t> numbers;
    CHECK_FALSE(read_bytes("\xFF\xFF\xFF\xFF\x0F", numbers));  // four thousand million elements
    std::uint8_t small = 0;
    CHECK_FALSE(read_bytes(bytes_of<std::uint32_t>(256), small));
    bool flag = false;
    CHECK_FALSE(read_bytes("\x02", flag));
}

TEST_CASE("facts come back as they were, from any prefix they do not") {
    Parser parser;
    Arena arena;
    Facts facts = extract(
        "import a\nfrom .b import c as d\nimport pytest\n@pytest.fixture(scope='module')\ndef f(x): yield\n"
        "@pytest.mark.usefixtures('f')\nclass TestA(d.Base):\n    def test_x(self, f): a.go(f)\n",
        parser, arena);
    const std::string bytes = bytes_of(facts);
    Facts read;
    REQUIRE(read_bytes(bytes, read));
    CHECK(bytes_of(read) == bytes);
    CHECK(read.classes.at(0).bases.at(0) == ".b.c.Base");
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(read_bytes(bytes.substr(0, size), read));
}
