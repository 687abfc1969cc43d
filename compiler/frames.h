#pragma once

// What tach-compiler and its interpreters send each other: child.py has the same, in words. Driven by pool.cpp.
//
// An interpreter is the user's: what arrives may be cut off at any byte, and a size may be anything.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tach::compiler {

enum class Ask : std::uint32_t { kPlain = 0, kRewritten = 1, kRewriter = 2 };

struct RequestHead {
    Ask kind = Ask::kPlain;
    std::uint32_t path_size = 0;
    std::uint64_t source_size = 0;
    std::uint64_t number = 0;  // its answer has the same
};
static_assert(sizeof(RequestHead) == 24);

enum class AnswerKind : std::uint32_t { kHello = 0, kCode = 1, kRefused = 2, kRewriterReady = 3, kNoRewriter = 4 };

struct AnswerHead {
    AnswerKind kind = AnswerKind::kHello;
    std::uint32_t line = 0;
    std::uint64_t size = 0;
    std::uint64_t number = 0;  // of the request; of a hello: 0
};
static_assert(sizeof(AnswerHead) == 24);

// More than the code of any source that is read (kMostSourceBytes of stage.cpp): nonsense.
inline constexpr std::uint64_t kMostAnswerBytes = std::uint64_t{1} << 32;

struct Answer {
    AnswerKind kind = AnswerKind::kHello;
    std::uint32_t line = 0;
    std::uint64_t number = 0;
    std::string_view content;
    std::size_t size = 0;  // of all of it, head included
};

[[nodiscard]] std::string request(Ask kind, std::uint64_t number, std::string_view path, std::string_view source);

// What `bytes` start with. None: it has not arrived as a whole; a kind that there is not, or a size out of the
// question, makes `is_nonsense` true.
[[nodiscard]] std::optional<Answer> first_answer(std::string_view bytes, bool& is_nonsense);

}  // namespace tach::compiler
