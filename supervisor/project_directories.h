#pragma once

// Where a project's files of tach's may be: tach.toml, and .tach with what earlier runs have learned. A directory above
// the working directory that is not the project's, such as a home directory or /tmp, must neither be read nor written:
// what lies there by chance would decide about every project below it.

#include <filesystem>
#include <vector>

namespace tach::supervisor {

// From `cwd`, an absolute path, upwards: up to the root of the working copy that it is in (.git, .hg), and never the
// home directory, the root of the file system, a directory that anybody may write to, or one that is neither `cwd`'s
// owner's nor ours. `cwd` itself is always the first.
[[nodiscard]] std::vector<std::filesystem::path> project_directories(const std::filesystem::path& cwd);

// The directory that gets .tach: `rootdir`, which is pytest's, unless that is only what the command line's paths have
// in common: the home directory or the root of the file system. Then it is `cwd`.
[[nodiscard]] std::filesystem::path kept_root(const std::filesystem::path& rootdir, const std::filesystem::path& cwd);

}  // namespace tach::supervisor
