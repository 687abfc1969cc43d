#pragma once

// Python's file name patterns, as pytest uses them: fnmatch for names and paths, glob for testpaths. Characters are
// those of UTF-8; a byte that belongs to none is a character of its own, as in Python.

#include <string>
#include <string_view>
#include <vector>

namespace tach::analyzer {

// fnmatch.fnmatchcase: '*' (also of '/' and of a dot in front), '?', '[seq]', '[!seq]', of the whole name.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

// pytest's fnmatch_ex: a pattern without '/' is of the name alone, another one of the whole path, which is absolute; if
// the pattern is relative, of any end of it.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

[[nodiscard]] bool matches_any(const std::vector<std::string>& patterns, std::string_view path);

// sorted(glob.iglob(pattern, recursive=True)) with `directory` as the working directory: paths as the pattern spells
// them. A pattern without special characters is a path, and yields itself if it exists.
[[nodiscard]] std::vector<std::string> expand(const std::string& directory, const std::string& pattern);

}  // namespace tach::analyzer
