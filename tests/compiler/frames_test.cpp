#include "compiler/frames.h"

#include <cstring>

#include "tests/catch.h"

using namespace tach::compiler;

namespace {

std::string answer_bytes(std::uint32_t kind, std::uint32_t line, std::uint64_t size, std::string_view content) {
    std::string bytes(24, '\0');
    std::memcpy(bytes.data(), &kind, 4);
    std::memcpy(bytes.data() + 4, &line, 4);
    std::memcpy(bytes.data() + 8, &size, 8);
    bytes[16] = 3;
    return bytes.append(content);
}

}  // namespace

TEST_CASE("a request is a head, a path and a source") {
    using namespace std::string_literals;
    CHECK(request(Ask::kRewritten, 9, "ab", "xyz") ==
          "\1\0\0\0\2\0\0\0\3\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0"
          "abxyz"s);
}

TEST_CASE("an answer is there once all of it has arrived") {
    const std::string bytes = answer_bytes(2, 7, 5, "wrong") + "more";
    for (std::size_t size = 0; size < 29; ++size) {
        bool is_nonsense = false;
        CHECK_FALSE(first_answer(std::string_view(bytes).substr(0, size), is_nonsense));
        CHECK_FALSE(is_nonsense);
    }
    bool is_nonsense = false;
    const auto answer = first_answer(bytes, is_nonsense);
    REQUIRE(answer);
    CHECK(answer->kind == AnswerKind::kRefused);
    CHECK(answer->line == 7);
    CHECK(answer->number == 3);
    CHECK(answer->content == "wrong");
    CHECK(answer->size == 29);
}

TEST_CASE("an answer of no kind, or out of all proportion, is nonsense") {
    for (const std::string& bytes :
         {answer_bytes(5, 0, 0, ""), answer_bytes(UINT32_MAX, 0, 0, ""), answer_bytes(1, 0, UINT64_MAX, ""),
          answer_bytes(1, 0, kMostAnswerBytes + 1, "")}) {
        bool is_nonsense = false;
        CHECK_FALSE(first_answer(bytes, is_nonsense));
        CHECK(is_nonsense);
    }
}
