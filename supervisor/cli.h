#pragma once

// The command line: tach's own options taken out, everything else left for pytest exactly as it was written
// and in the same order; where taking one out would change what pytest reads, a word of no effect stands in
// its place. Driven once by main, before anything else runs. A mistake in one of tach's options is an Error
// of one line (see usage.h); a mistake in pytest's is found by pytest.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supervisor/choices.h"
#include "supervisor/workers.h"

namespace tach::supervisor {

// An option that was not given is empty; one that was given more than once has its last value, as in pytest.
struct CommandLine {
    bool help = false;  // --help or --version: nothing after it was read
    bool version = false;
    bool list = false;
    bool strict_isolation = false;
    bool no_loader = false;
    bool verify_snapshots = false;
    bool no_second_opinion = false;
    std::optional<Workers> workers;
    std::optional<Mode> mode;
    std::optional<Engine> engine;
    std::optional<Format> format;
    std::optional<Color> color;  // also in pytest_args
    std::optional<std::uint64_t> seed;
    std::optional<std::string> python;
    std::optional<std::string> config;
    std::optional<std::string> explain;
    std::optional<std::string> since;
    std::vector<std::string> pytest_args;
};

// `words` without the program's name.
base::Result<CommandLine> parse_command_line(std::span<const std::string> words);

// The first word of `words` that is an option of tach alone (so not --color), as it is written there. For
// lists of pytest's options in which one of tach's is a mistake.
base::Result<std::optional<std::string>> first_own_option(std::span<const std::string> words);

}  // namespace tach::supervisor
