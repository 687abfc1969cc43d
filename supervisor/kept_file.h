#pragma once

// Files that tach keeps for later runs, below .tach beside a project's root, replaced as a whole (base/whole_file.h).
// The directory says by itself that it is not to be committed.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tach::supervisor {

// No file that is kept, or read to know what it holds, is larger (a guess, by an order of magnitude).
inline constexpr std::uintmax_t kMaxKeptBytes = 256U << 20;

[[nodiscard]] std::filesystem::path kept_directory(const std::filesystem::path& rootdir);

// Makes .tach, with the file that keeps it from being committed, if it is not there.
[[nodiscard]] base::Result<void> make_kept_directory(const std::filesystem::path& rootdir);

// Makes the directories that are missing between `rootdir`, which is there, and the file `name` in .tach.
[[nodiscard]] base::Result<void> keep_file(const std::filesystem::path& rootdir, const std::filesystem::path& name,
                                           std::string_view text);

}  // namespace tach::supervisor
