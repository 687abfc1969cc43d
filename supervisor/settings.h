#pragma once

// What a run does: the command line over tach.toml over tach's defaults, each value with where it came from,
// so that -v can say it. Plain values, made once by main and only read after that.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/choices.h"
#include "supervisor/cli.h"
#include "supervisor/config.h"
#include "supervisor/workers.h"

namespace tach::supervisor {

enum class Source { kDefault, kFile, kCommandLine };

template <class T>
struct Setting {
    T value;
    Source source = Source::kDefault;
    std::string where = "default";  // "default", "tach.toml:3:11" or "command line"
};

struct Settings {
    std::filesystem::path config_file;  // empty: there is none

    Setting<std::optional<std::string>> python{};
    Setting<Workers> workers{Workers{}};
    Setting<Mode> mode{Mode::kIsolated};
    Setting<Engine> engine{Engine::kAuto};         // never kAuto after settle_engine (engines.h)
    Setting<std::optional<std::uint64_t>> seed{};  // empty: the run draws one
    Setting<bool> strict_isolation{false};
    bool verify_snapshots = false;
    Setting<bool> second_opinion{true};  // false whenever strict_isolation is true
    Setting<double> second_opinion_budget_s{30};
    Setting<std::uint64_t> max_resets{10'000};  // of one process; 0: no bound
    Setting<std::uint64_t> max_growth{64};      // MiB of copies in one process; 0: no bound
    Setting<bool> split_wide{false};
    Setting<bool> loader{true};            // modules out of a bytecode image
    Setting<bool> loader_paranoid{false};  // by the contents of the source, always
    Setting<std::vector<std::string>> rewindable{};
    Setting<Format> format{Format::kText};
    Setting<Color> color{Color::kAuto};
    bool list = false;
    std::optional<std::string> explain;   // the id of a test that is explained; none is run
    std::optional<std::string> since;     // --since; what it makes of the run:
    std::vector<std::string> unaffected;  // files no test of which is run, absolute

    std::vector<std::string> pytest_args;  // the file's, then the command line's
};

Settings settle(const CommandLine& line, const Config& config);

// One line for each setting that is not at its default: "workers: 4 (tach.toml:3:11)".
std::vector<std::string> describe(const Settings& settings);

}  // namespace tach::supervisor
