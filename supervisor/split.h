#pragma once

// Lists that messages carry in one string.

#include <string>
#include <string_view>
#include <vector>

namespace tach::supervisor {

// "" has no parts, "a,,b" three, "a," one.
[[nodiscard]] inline std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return parts;
}

}  // namespace tach::supervisor
