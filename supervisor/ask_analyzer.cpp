#include "supervisor/ask_analyzer.h"

#include <fmt/format.h>

#include <utility>

#include "base/command.h"
#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

namespace fs = std::filesystem;

// A guess: the first analysis of a million lines takes seconds, and Git's first look at a big repository as long.
constexpr int kTimeoutMs = 600'000;
constexpr std::string_view kAnalyzer = "tach-analyzer: ";

// Its last line is the mistake; those before are of the sources.
std::string reason_of(const base::Finished& finished, std::string_view option) {
    std::string_view text = finished.standard_error;
    while (text.ends_with('\n')) text.remove_suffix(1);
    text.remove_prefix(text.rfind('\n') + 1);
    if (text.starts_with(kAnalyzer)) return std::string(text.substr(kAnalyzer.size()));
    return fmt::format("{}: tach-analyzer ended with status {}", option, finished.status);
}

}  // namespace

base::Result<std::string> ask_analyzer(const Home& home, std::string_view option, const fs::path& cwd,
                                       const std::vector<std::string>& question,
                                       const std::vector<std::string>& pytest_args) {
    std::error_code ignored;
    if (!fs::exists(home.analyzer, ignored)) {
        return mistake(fmt::format("{}: {}: not installed; reinstall tach", option, home.analyzer.string()));
    }
    std::vector<std::string> command{home.analyzer.string(), "--root=" + cwd.string()};
    command.insert(command.end(), question.begin(), question.end());
    command.emplace_back("--");
    command.insert(command.end(), pytest_args.begin(), pytest_args.end());
    auto finished = base::run_command(command, kTimeoutMs);
    if (!finished) return mistake(fmt::format("{}: {}", option, finished.error().what));
    if (finished->status != 0) return mistake(reason_of(*finished, option));
    return std::move(finished->standard_output);
}

}  // namespace tach::supervisor
