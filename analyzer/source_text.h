#pragma once

// The text of a source file, as Python's tokenizer would take it, or the reason why not.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "analyzer/facts.h"

namespace tach::analyzer {

// Longer files are generated data, whose facts nobody waits for. A guess; the longest in CPython's own tree has 0.6 MB.
constexpr std::uint64_t kMostSourceBytes = std::uint64_t{16} << 20;

struct ContentHash {  // XXH3, 128 bits
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const ContentHash&, const ContentHash&) = default;
    [[nodiscard]] std::string hex() const;
};

[[nodiscard]] ContentHash hash_of(std::string_view bytes);

enum class ReadProblem : std::uint8_t { kNone, kUnreadable, kNotRegular, kTooLong, kChanging };

struct ReadSource {
    ReadProblem problem = ReadProblem::kNone;
    int error_number = 0;  // of kUnreadable
    std::uint64_t size = 0;
    std::string bytes;
};

// Waits for nothing: a pipe by the name of a module is none. A file that changes while it is read is read again, and
// given up after a few times.
[[nodiscard]] ReadSource read_source(const char* path);

struct BadEncoding {
    Position at;
    std::string message;
};

// Whether `text`, from which a byte order mark is taken away, is UTF-8 by its bytes and by what its first two lines
// declare (PEP 263).
[[nodiscard]] std::optional<BadEncoding> check_encoding(std::string_view& text);

}  // namespace tach::analyzer
