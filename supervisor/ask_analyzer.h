#pragma once

// Runs tach-analyzer over the project in which pytest would be started, and returns what it prints. The two meet in
// what the one prints and writes, never in each other's headers.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/command.h"
#include "base/result.h"
#include "supervisor/home.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

// What tach-analyzer's exit code says: a mistake of the user's (analyzer/main.cpp).
inline constexpr int kAnalyzerMistake = 2;

// Over the project in which pytest is started, with the configuration that this run has.
[[nodiscard]] std::vector<std::string> analyzer_command(const Home& home, const std::filesystem::path& cwd,
                                                        const std::vector<std::string>& question,
                                                        const Settings& settings);

inline constexpr std::string_view kAnalyzer = "tach-analyzer";

// The last line of what a stage that did not succeed has said, which is the mistake; those before it are of the
// sources.
[[nodiscard]] std::string stage_reason(std::string_view stage, const base::Finished& finished);

// `option`: on whose behalf, for error texts. An error is a user's mistake (see usage.h): of one line, whatever the
// analyzer finds wrong.
[[nodiscard]] base::Result<std::string> ask_analyzer(const Home& home, std::string_view option,
                                                     const std::filesystem::path& cwd,
                                                     const std::vector<std::string>& question,
                                                     const Settings& settings);

}  // namespace tach::supervisor
