#include "analyzer/paths.h"

#include <algorithm>
#include <cstddef>

namespace tach::analyzer {

std::string absolute_path(std::string_view directory, std::string_view path) {
    std::string result;
    const auto add = [&result](std::string_view parts) {
        while (!parts.empty()) {
            const std::string_view part = parts.substr(0, parts.find('/'));
            parts.remove_prefix(std::min(parts.size(), part.size() + 1));
            if (part == "..") {
                result.resize(result.empty() ? 0 : result.rfind('/'));
            } else if (!part.empty() && part != ".") {
                result.append("/").append(part);
            }
        }
    };
    if (!path.starts_with('/')) add(directory);
    add(path);
    return result.empty() ? "/" : result;
}

std::string_view parent_path(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string_view file_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_within(std::string_view path, std::string_view directory) {
    if (directory == "/") return path.starts_with('/');
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string relative_to(std::string_view root, std::string_view path) {
    if (path == root) return ".";
    if (!is_within(path, root)) return std::string(path);
    return std::string(path.substr(root == "/" ? 1 : root.size() + 1));
}

std::string common_path(std::string_view one, std::string_view other) {
    std::string_view common = one;
    while (!is_within(other, common)) common = parent_path(common);
    return std::string(common);
}

std::string_view suffix_of(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    const bool has_one = dot != std::string_view::npos && dot > 0 && dot + 1 < name.size();
    return has_one ? name.substr(dot) : std::string_view();
}

}  // namespace tach::analyzer
