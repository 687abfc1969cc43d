#include "analyzer/collected_paths.h"

#include <algorithm>
#include <cstddef>

#include "analyzer/paths.h"

namespace tach::analyzer {
namespace {

// `one` collects everything that `other` does.
bool has_all_of(const CollectionArgument& one, const CollectionArgument& other) {
    if (one.path != other.path) return one.names.empty() && is_within(other.path, one.path);
    if (one.names.size() > other.names.size()) return false;
    if (!std::equal(one.names.begin(), one.names.end(), other.names.begin())) return false;
    return one.parameters.empty() || one.parameters == other.parameters;
}

// By path, part by part ('/' before any other character), then by what is selected in it: what has all of another one
// comes right before it.
bool comes_before(const CollectionArgument& one, const CollectionArgument& other) {
    const auto less = [](char left, char right) {
        if (left == '/' || right == '/') return left == '/' && right != '/';
        return static_cast<unsigned char>(left) < static_cast<unsigned char>(right);
    };
    if (one.path != other.path) {
        return std::lexicographical_compare(one.path.begin(), one.path.end(), other.path.begin(), other.path.end(),
                                            less);
    }
    return one.names != other.names ? one.names < other.names : one.parameters < other.parameters;
}

std::vector<std::size_t> all_of(const std::vector<CollectionArgument>& arguments) {
    std::vector<std::size_t> indices(arguments.size());
    for (std::size_t at = 0; at < indices.size(); ++at) indices[at] = at;
    return indices;
}

std::vector<std::size_t> not_within_another(const std::vector<CollectionArgument>& arguments) {
    std::vector<std::size_t> sorted = all_of(arguments);
    std::stable_sort(sorted.begin(), sorted.end(), [&](std::size_t one, std::size_t other) {
        return comes_before(arguments[one], arguments[other]);
    });
    std::vector<std::size_t> kept;
    for (const std::size_t at : sorted) {
        if (kept.empty() || !has_all_of(arguments[kept.back()], arguments[at])) kept.push_back(at);
    }
    std::sort(kept.begin(), kept.end());
    return kept;
}

std::vector<std::size_t> without_another_in(const std::vector<CollectionArgument>& arguments) {
    std::vector<std::string_view> parents;
    for (const CollectionArgument& argument : arguments) {
        for (std::string_view path = argument.path; path != "/";) {
            path = parent_path(path);
            parents.push_back(path);
        }
    }
    std::sort(parents.begin(), parents.end());
    std::vector<std::size_t> kept = all_of(arguments);
    std::erase_if(kept, [&](std::size_t at) {
        return arguments[at].is_directory && std::binary_search(parents.begin(), parents.end(), arguments[at].path);
    });
    return kept;
}

}  // namespace

std::vector<std::string> collected_paths(const std::vector<CollectionArgument>& arguments, std::uint32_t pytest,
                                         bool keep_duplicates) {
    const bool keeps_all = keep_duplicates || pytest < 8;
    std::vector<std::string> paths;
    for (const std::size_t at : keeps_all     ? all_of(arguments)
                                : pytest == 8 ? without_another_in(arguments)
                                              : not_within_another(arguments)) {
        paths.push_back(arguments[at].path);
    }
    // Each once, in the place of the first. Many are unusual but for a pattern in testpaths, which is sorted.
    std::vector<std::string> sorted;
    std::erase_if(paths, [&](const std::string& path) {
        const auto place = std::lower_bound(sorted.begin(), sorted.end(), path);
        if (place != sorted.end() && *place == path) return true;
        sorted.insert(place, path);
        return false;
    });
    return paths;
}

}  // namespace tach::analyzer
