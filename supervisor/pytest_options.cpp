#include "supervisor/pytest_options.h"

#include <algorithm>
#include <array>

namespace tach::supervisor {
namespace {

// Taken from the argparse parsers of pytest 7.0.1, 8.3.5, 9.0.2 and 9.2.0, by the nargs of every addoption;
// their union. pytest reserves lower-case letters for itself, so plugins add none. -d is pytest-xdist's.
constexpr std::string_view kLettersWithValue = "Wckmopr";
constexpr std::string_view kFlagLetters = "dlqsvx";

constexpr auto kWithValue = std::to_array<std::string_view>(
    {// pytest
     "assert", "basetemp", "capture", "code-highlight", "color", "confcutdir", "config-file", "deselect",
     "doctest-glob", "doctest-report", "durations", "durations-min", "ignore", "ignore-glob", "import-mode",
     "junit-prefix", "junit-xml", "junitprefix", "junitxml", "last-failed-no-failures", "lfnf", "log-auto-indent",
     "log-cli-date-format", "log-cli-format", "log-cli-level", "log-date-format", "log-disable", "log-file",
     "log-file-date-format", "log-file-format", "log-file-level", "log-file-mode", "log-format", "log-level",
     "max-warnings", "maxfail", "override-ini", "pastebin", "pdbcls", "pythonwarnings", "report-chars", "rootdir",
     "show-capture", "tb", "verbosity",
     // pytest-xdist 3.8
     "max-worker-restart", "maxprocesses", "maxschedchunk", "px", "rsyncdir", "rsyncignore", "testrunuid", "tx",
     // pytest-cov 7.1
     "cov-config", "cov-context", "cov-fail-under", "cov-precision", "cov-report",
     // pytest-timeout 2.4
     "session-timeout", "timeout", "timeout-method", "timeout_method"});

constexpr auto kWithMaybeValue = std::to_array<std::string_view>({"cache-show", "cov", "debug"});

constexpr auto kFlags = std::to_array<std::string_view>(
    {// pytest
     "cache-clear", "co", "collect-in-virtualenv", "collect-only", "collectonly", "continue-on-collection-errors",
     "disable-plugin-autoload", "disable-pytest-warnings", "disable-warnings", "doctest-continue-on-failure",
     "doctest-ignore-import-errors", "doctest-modules", "exitfirst", "failed-first", "ff", "fixtures",
     "fixtures-per-test", "force-short-summary", "full-trace", "fulltrace", "funcargs", "keep-duplicates",
     "keepduplicates", "last-failed", "lf", "markers", "new-first", "nf", "no-fold-skipped", "no-header",
     "no-showlocals", "no-summary", "noconftest", "pdb", "pyargs", "quiet", "runxfail", "setup-only", "setup-plan",
     "setup-show", "setuponly", "setupplan", "setupshow", "showlocals", "stepwise", "stepwise-reset", "stepwise-skip",
     "strict", "strict-config", "strict-markers", "sw", "sw-reset", "sw-skip", "trace", "trace-config", "traceconfig",
     "verbose", "xfail-tb",
     // pytest-xdist 3.8
     "looponfail", "loadscope-reorder", "no-loadscope-reorder",
     // pytest-cov 7.1
     "cov-append", "cov-branch", "cov-reset", "no-cov", "no-cov-on-fail"});

template <class Names>
bool has(const Names& names, typename Names::value_type name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Takes pytest_option_takes(std::string_view name) {
    if (has(kWithValue, name)) return Takes::kValue;
    if (has(kFlags, name)) return Takes::kNothing;
    return has(kWithMaybeValue, name) ? Takes::kMaybe : Takes::kUnknown;
}

Takes pytest_letter_takes(char letter) {
    if (has(kLettersWithValue, letter)) return Takes::kValue;
    return has(kFlagLetters, letter) ? Takes::kNothing : Takes::kUnknown;
}

}  // namespace tach::supervisor
