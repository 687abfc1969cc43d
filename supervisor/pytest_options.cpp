#include "supervisor/pytest_options.h"

#include <algorithm>
#include <array>

namespace tach::supervisor {
namespace {

// Taken from the argparse parsers of pytest 7.0.1, 8.3.5, 9.0.2 and 9.2.0 (every addoption whose nargs is not
// 0 or "?"), their union. pytest reserves lower-case letters for itself, so plugins add none. -d is
// pytest-xdist's.
constexpr std::string_view kLettersWithValue = "Wckmopr";
constexpr std::string_view kFlagLetters = "dlqsvx";

constexpr auto kWithValue = std::to_array<std::string_view>({
    // pytest
    "assert",
    "basetemp",
    "capture",
    "code-highlight",
    "color",
    "confcutdir",
    "config-file",
    "deselect",
    "doctest-glob",
    "doctest-report",
    "durations",
    "durations-min",
    "ignore",
    "ignore-glob",
    "import-mode",
    "junit-prefix",
    "junit-xml",
    "junitprefix",
    "junitxml",
    "last-failed-no-failures",
    "lfnf",
    "log-auto-indent",
    "log-cli-date-format",
    "log-cli-format",
    "log-cli-level",
    "log-date-format",
    "log-disable",
    "log-file",
    "log-file-date-format",
    "log-file-format",
    "log-file-level",
    "log-file-mode",
    "log-format",
    "log-level",
    "max-warnings",
    "maxfail",
    "override-ini",
    "pastebin",
    "pdbcls",
    "pythonwarnings",
    "report-chars",
    "rootdir",
    "show-capture",
    "tb",
    "verbosity",
    // pytest-xdist 3.8
    "max-worker-restart",
    "maxprocesses",
    "maxschedchunk",
    "px",
    "rsyncdir",
    "rsyncignore",
    "testrunuid",
    "tx",
    // pytest-cov 7.1
    "cov-config",
    "cov-context",
    "cov-fail-under",
    "cov-precision",
    "cov-report",
    // pytest-timeout 2.4
    "session-timeout",
    "timeout",
    "timeout-method",
    "timeout_method",
});

}  // namespace

bool pytest_letter_takes_value(char letter) {
    return kLettersWithValue.find(letter) != std::string_view::npos;
}

bool pytest_letter_is_flag(char letter) {
    return kFlagLetters.find(letter) != std::string_view::npos;
}

bool pytest_option_takes_value(std::string_view name) {
    return std::find(kWithValue.begin(), kWithValue.end(), name) != kWithValue.end();
}

}  // namespace tach::supervisor
