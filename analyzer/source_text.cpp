#include "analyzer/source_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace tach::analyzer {
namespace {

constexpr int kMostAttempts = 3;

bool same(const struct stat& a, const struct stat& b) {
    return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// Whether all of it is there.
bool read_all(int fd, std::string& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += static_cast<std::size_t>(got);
    }
    return true;
}

// How many bytes the character at `at` has; 0: it is none. The table of RFC 3629, section 4.
std::size_t character_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(at);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() - at < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xC0) != 0x80) return 0;
    }
    const unsigned char second = byte(at + 1);
    const bool is_overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    const bool is_surrogate = first == 0xED && second >= 0xA0;
    const bool is_beyond = first == 0xF4 && second >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

std::size_t first_bad_byte(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        // Eight at once: most sources are ASCII.
        std::uint64_t eight = 0;
        if (text.size() - at >= sizeof eight) {
            std::memcpy(&eight, text.data() + at, sizeof eight);
            if ((eight & 0x8080808080808080U) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        const std::size_t length = character_length(text, at);
        if (length == 0) return at;
        at += length;
    }
    return text.size();
}

Position position_of(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, offset);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    return {static_cast<std::uint32_t>(lines + 1), static_cast<std::uint32_t>(offset - line_begin + 1)};
}

// The encoding of a line like "# -*- coding: latin-1 -*-", as the regular expression of PEP 263 finds it.
std::string_view declared_in(std::string_view line) {
    const std::size_t hash = line.find_first_not_of(" \t\f");
    if (hash == std::string_view::npos || line[hash] != '#') return {};
    const std::size_t word = line.find("coding");
    if (word == std::string_view::npos) return {};
    std::size_t at = word + std::strlen("coding");
    if (at >= line.size() || (line[at] != ':' && line[at] != '=')) return {};
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string_view::npos) return {};
    std::size_t end = at;
    const auto belongs = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    };
    while (end < line.size() && belongs(line[end])) ++end;
    return line.substr(at, end - at);
}

bool is_utf8_name(std::string_view name) {
    std::string normal;
    for (const char c : name) {
        if (c != '-' && c != '_') normal.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
    return normal.starts_with("utf8") || normal == "ascii" || normal == "usascii";
}

}  // namespace

std::string ContentHash::hex() const {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint64_t half : {high, low}) {
        for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kDigits[(half >> shift) & 0xF]);
    }
    return text;
}

ContentHash hash_of(std::string_view bytes) {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    return {hash.low64, hash.high64};
}

ReadSource read_source(const char* path) {
    ReadSource result;
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        const base::UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        struct stat before {};
        if (!fd.valid() || ::fstat(fd.get(), &before) != 0) {
            return {.problem = ReadProblem::kUnreadable, .error_number = errno, .bytes = {}};
        }
        if (!S_ISREG(before.st_mode)) return {.problem = ReadProblem::kNotRegular, .bytes = {}};
        result.size = static_cast<std::uint64_t>(before.st_size);
        if (result.size > kMostSourceBytes) {
            return {.problem = ReadProblem::kTooLong, .size = result.size, .bytes = {}};
        }
        result.bytes.resize(static_cast<std::size_t>(result.size));
        errno = 0;
        const bool all = read_all(fd.get(), result.bytes);
        if (!all && errno != 0) return {.problem = ReadProblem::kUnreadable, .error_number = errno, .bytes = {}};
        struct stat after {};
        if (all && ::fstat(fd.get(), &after) == 0 && same(before, after)) return result;
    }
    return {.problem = ReadProblem::kChanging, .bytes = {}};
}

std::optional<BadEncoding> check_encoding(std::string_view& text) {
    static constexpr std::string_view kMark = "\xEF\xBB\xBF";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    std::string_view rest = text;
    for (std::uint32_t line = 1; line <= 2; ++line) {
        const std::string_view first = rest.substr(0, rest.find('\n'));
        const std::string_view encoding = declared_in(first);
        if (!encoding.empty()) {
            if (is_utf8_name(encoding)) break;
            return BadEncoding{{line, 1}, "encoded as " + std::string(encoding) + ", only UTF-8 is read"};
        }
        if (first.size() == rest.size()) break;
        rest.remove_prefix(first.size() + 1);
    }
    const std::size_t bad = first_bad_byte(text);
    if (bad != text.size()) return BadEncoding{position_of(text, bad), "not UTF-8"};
    const std::size_t zero = text.find('\0');
    if (zero != std::string_view::npos) return BadEncoding{position_of(text, zero), "a null byte"};
    return std::nullopt;
}

}  // namespace tach::analyzer
