#pragma once

// Runs tach-analyzer over the project in which pytest would be started, and returns what it prints. The two meet in
// what the one prints and writes, never in each other's headers.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supervisor/home.h"

namespace tach::supervisor {

// `option`: on whose behalf, for error texts. An error is a user's mistake (see usage.h): of one line, whatever the
// analyzer finds wrong.
[[nodiscard]] base::Result<std::string> ask_analyzer(const Home& home, std::string_view option,
                                                     const std::filesystem::path& cwd,
                                                     const std::vector<std::string>& question,
                                                     const std::vector<std::string>& pytest_args);

}  // namespace tach::supervisor
