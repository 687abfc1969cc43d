#include "analyzer/patterns.h"

#include <algorithm>

namespace tach::analyzer {

namespace {

// Where the set that begins at pattern[0] == '[' ends, one past its ']'; 0: it does not, and '[' is itself.
std::size_t end_of_set(Text pattern) {
    const std::size_t first = pattern.size() > 1 && pattern[1] == '!' ? 2 : 1;
    const std::size_t end = pattern.find(']', first + 1);  // a ']' in the first place is a member
    return end == Text::npos ? 0 : end + 1;
}

bool is_in_set(char c, Text set) {
    const bool is_negated = set.starts_with('!');
    if (is_negated) set.remove_prefix(1);
    bool is_in = false;
    for (std::size_t i = 0; i < set.size(); ++i) {
        if (i + 2 < set.size() && set[i + 1] == '-') {
            is_in |= set[i] <= c && c <= set[i + 2];
            i += 2;
        } else {
            is_in |= set[i] == c;
        }
    }
    return is_in != is_negated;
}

}  // namespace

bool matches_glob(Text name, Text pattern) {
    std::size_t at = 0;
    std::size_t in = 0;
    std::size_t star = Text::npos;
    std::size_t resume = 0;
    while (at < name.size()) {
        const std::size_t set = in < pattern.size() && pattern[in] == '[' ? end_of_set(pattern.substr(in)) : 0;
        if (in < pattern.size() && pattern[in] == '*') {
            star = ++in;
            resume = at;
        } else if (set != 0 && is_in_set(name[at], pattern.substr(in + 1, set - 2))) {
            in += set;
            ++at;
        } else if (set == 0 && in < pattern.size() && (pattern[in] == '?' || pattern[in] == name[at])) {
            ++in;
            ++at;
        } else if (star != Text::npos) {
            in = star;
            at = ++resume;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', in) == Text::npos;
}

bool matches_any(Text name, const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return name.starts_with(pattern) ||
               (pattern.find_first_of("*?[") != std::string::npos && matches_glob(name, pattern));
    });
}

}  // namespace tach::analyzer
