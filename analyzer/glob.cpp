#include "analyzer/glob.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "analyzer/paths.h"
#include "base/directory.h"
#include "base/file_status.h"

namespace tach::analyzer {
namespace {

struct Character {
    std::uint32_t code = 0;
    std::size_t size = 1;
};

// The first character of a text that is not empty. A byte that starts none is moved to where Python has it
// (surrogateescape), so that it equals nothing else.
Character first_of(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned lead = byte(0);
    const std::size_t size = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
    if (size == 1) return {lead, 1};
    if (size == 0 || text.size() < size) return {0xDC00 + lead, 1};
    std::uint32_t code = lead & (0x7FU >> size);
    for (std::size_t at = 1; at < size; ++at) {
        if ((byte(at) & 0xC0U) != 0x80U) return {0xDC00 + lead, 1};
        code = code << 6U | (byte(at) & 0x3FU);
    }
    return {code, size};
}

// The length of the set that `pattern` starts with, brackets included: the first ']' that is not right behind the '['
// or "[!" ends it. 0: none does, the bracket is a character like any other.
std::size_t set_size(std::string_view pattern) {
    std::size_t at = 1;
    if (at < pattern.size() && pattern[at] == '!') ++at;
    if (at < pattern.size() && pattern[at] == ']') ++at;
    const std::size_t end = pattern.find(']', at);
    return end == std::string_view::npos ? 0 : end + 1;
}

bool set_has(std::string_view set, std::uint32_t wanted) {
    set = set.substr(1, set.size() - 2);
    const bool negated = set.starts_with('!');
    if (negated) set.remove_prefix(1);
    bool has = false;
    while (!set.empty()) {
        const Character low = first_of(set);
        set.remove_prefix(low.size);
        Character high = low;
        if (set.size() > 1 && set.front() == '-') {
            high = first_of(set.substr(1));
            set.remove_prefix(1 + high.size);
        }
        has = has || (low.code <= wanted && wanted <= high.code);
    }
    return has != negated;
}

// How much of `pattern` matches the first character of `name`; nothing: it does not. Not for a '*'.
std::optional<std::size_t> match_one(std::string_view pattern, std::string_view name) {
    const Character wanted = first_of(name);
    if (pattern.front() == '?') return 1;
    if (const std::size_t size = pattern.front() == '[' ? set_size(pattern) : 0; size != 0) {
        return set_has(pattern.substr(0, size), wanted.code) ? std::optional(size) : std::nullopt;
    }
    const Character given = first_of(pattern);
    return given.code == wanted.code ? std::optional(given.size) : std::nullopt;
}

bool has_magic(std::string_view text) {
    return text.find_first_of("*?[") != std::string_view::npos;
}

// One call of expand(): what is found is what `directory` plus the text so far names.
class Expansion {
  public:
    Expansion(const std::string& directory, const std::string& pattern) : directory_(directory) {
        std::string_view rest = pattern;
        std::string start;
        while (rest.starts_with('/')) {
            start += '/';
            rest.remove_prefix(1);
        }
        while (true) {
            const std::size_t slash = rest.find('/');
            parts_.push_back(rest.substr(0, slash));
            if (slash == std::string_view::npos) break;
            rest.remove_prefix(slash + 1);
        }
        if (!pattern.empty()) follow(start, parts_);
    }

    std::vector<std::string> found;

  private:
    void follow(const std::string& start, std::span<const std::string_view> parts) {
        const std::string_view part = parts.front();
        const bool is_last = parts.size() == 1;
        if (part == "**") return follow_all(start, parts);
        if (!has_magic(part)) {
            const std::string path = start + std::string(part);
            if (!is_last) return follow(path + '/', parts.subspan(1));
            const base::FileStatus status = base::link_status_at(AT_FDCWD, absolute(path).c_str());
            if (status.kind != base::FileKind::kNone && (!part.empty() || is_directory(path))) found.push_back(path);
            return;
        }
        for (const std::string& name : names(start)) {
            if (name.starts_with('.') && !part.starts_with('.')) continue;
            if (!matches(part, name)) continue;
            if (is_last) {
                found.push_back(start + name);
            } else if (is_directory(start + name)) {
                follow(start + name + '/', parts.subspan(1));
            }
        }
    }

    // "**": the directory itself and everything below it that is not hidden; directories only, if something follows.
    void follow_all(const std::string& start, std::span<const std::string_view> parts) {
        if (parts.size() > 1) {
            follow(start, parts.subspan(1));
        } else if (!start.empty() && is_directory(start)) {
            found.push_back(start);
        }
        below(start, parts, 0);
    }

    void below(const std::string& start, std::span<const std::string_view> parts, int depth) {
        constexpr int kDeepest = 40;  // the kernel's limit of links in a path: that ends a loop for Python, too
        if (depth == kDeepest) return;
        for (const std::string& name : names(start)) {
            if (name.starts_with('.')) continue;
            const std::string path = start + name;
            if (parts.size() == 1) found.push_back(path);
            if (!is_directory(path)) continue;
            if (parts.size() > 1) follow(path + '/', parts.subspan(1));
            below(path + '/', parts, depth + 1);
        }
    }

    [[nodiscard]] std::string absolute(const std::string& path) const {
        return path.starts_with('/') ? path : directory_ + '/' + path;
    }

    [[nodiscard]] bool is_directory(const std::string& path) const {
        return base::status_at(AT_FDCWD, absolute(path).c_str()).kind == base::FileKind::kDirectory;
    }

    // Of what cannot be listed: none, as for Python.
    [[nodiscard]] std::vector<std::string> names(const std::string& path) const {
        std::vector<std::string> result;
        auto opened = base::open_directory(AT_FDCWD, absolute(path));
        if (!opened) return result;
        auto entries = base::list_directory(std::move(*opened));
        if (!entries) return result;
        result.reserve(entries->size());
        for (base::DirectoryEntry& entry : *entries) result.push_back(std::move(entry.name));
        return result;
    }

    const std::string& directory_;
    std::vector<std::string_view> parts_;
};

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
    // Where to go on after a mismatch: behind the last star, which then takes one character more. An earlier star never
    // has to be tried again.
    std::optional<std::string_view> star;
    std::string_view taken;
    while (!name.empty()) {
        if (!pattern.empty() && pattern.front() == '*') {
            pattern.remove_prefix(1);
            star = pattern;
            taken = name;
            continue;
        }
        const auto matched = pattern.empty() ? std::nullopt : match_one(pattern, name);
        if (matched) {
            pattern.remove_prefix(*matched);
            name.remove_prefix(first_of(name).size);
        } else if (star) {
            taken.remove_prefix(first_of(taken).size);
            name = taken;
            pattern = *star;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*') == std::string_view::npos;
}

bool matches_path(std::string_view pattern, std::string_view path) {
    if (pattern.find('/') == std::string_view::npos) return matches(pattern, file_name(path));
    if (pattern.starts_with('/')) return matches(pattern, path);
    return matches(std::string("*/").append(pattern), path);
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [path](const std::string& pattern) { return matches_path(pattern, path); });
}

std::vector<std::string> expand(const std::string& directory, const std::string& pattern) {
    std::vector<std::string> found = std::move(Expansion(directory, pattern).found);
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace tach::analyzer
