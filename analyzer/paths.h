#pragma once

// Paths as texts, POSIX only: what Python's os.path and pathlib do with them. Nothing here looks at a disk.

#include <string>
#include <string_view>

namespace tach::analyzer {

// os.path.abspath(path), started from `directory`, which is absolute: no ".", no "..", no "//", no '/' at the end but
// for the root of the file system. Links are not resolved.
[[nodiscard]] std::string absolute_path(std::string_view directory, std::string_view path);

// Of an absolute path; "/" of "/".
[[nodiscard]] std::string_view parent_path(std::string_view path);

// What comes after the last '/'.
[[nodiscard]] std::string_view file_name(std::string_view path);

// Both absolute, or both relative to the same directory: `path` is `directory` or below it.
[[nodiscard]] bool is_within(std::string_view path, std::string_view directory);

// How this room writes the absolute `path`: "tests/a.py" below `root`, "." for the root itself, and absolute for what
// lies outside of it.
[[nodiscard]] std::string relative_to(std::string_view root, std::string_view path);

// The longest directory that has both, which are absolute.
[[nodiscard]] std::string common_path(std::string_view one, std::string_view other);

// pathlib's suffix: ".py" of "a.py", nothing of ".py" and "a.".
[[nodiscard]] std::string_view suffix_of(std::string_view name);

}  // namespace tach::analyzer
