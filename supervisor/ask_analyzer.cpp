#include "supervisor/ask_analyzer.h"

#include <fmt/format.h>

#include <utility>

#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

namespace fs = std::filesystem;

// A guess: the first analysis of a million lines takes seconds, and Git's first look at a big repository as long.
constexpr int kTimeoutMs = 600'000;

}  // namespace

std::string stage_reason(std::string_view stage, const base::Finished& finished) {
    std::string_view text = finished.standard_error;
    while (text.ends_with('\n')) text.remove_suffix(1);
    text.remove_prefix(text.rfind('\n') + 1);
    if (text.starts_with(fmt::format("{}: ", stage))) return std::string(text.substr(stage.size() + 2));
    return fmt::format("{} ended with status {}", stage, finished.status);
}

std::vector<std::string> analyzer_command(const Home& home, const fs::path& cwd,
                                          const std::vector<std::string>& question, const Settings& settings) {
    std::vector<std::string> command{home.analyzer.string(), "--root=" + cwd.string()};
    if (!settings.config_file.empty()) command.push_back("--config=" + fs::absolute(settings.config_file).string());
    command.insert(command.end(), question.begin(), question.end());
    command.emplace_back("--");
    command.insert(command.end(), settings.pytest_args.begin(), settings.pytest_args.end());
    return command;
}

base::Result<std::string> ask_analyzer(const Home& home, std::string_view option, const fs::path& cwd,
                                       const std::vector<std::string>& question, const Settings& settings) {
    std::error_code ignored;
    if (!fs::exists(home.analyzer, ignored)) {
        return mistake(fmt::format("{}: {}: not installed; reinstall tach", option, home.analyzer.string()));
    }
    auto finished = base::run_command(analyzer_command(home, cwd, question, settings), kTimeoutMs);
    if (!finished) return mistake(fmt::format("{}: {}", option, finished.error().what));
    if (finished->status != 0) return mistake(stage_reason(kAnalyzer, *finished));
    return std::move(finished->standard_output);
}

}  // namespace tach::supervisor
