#include "analyzer/arguments.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

namespace tach::analyzer {
namespace {

enum class Takes { kNothing, kValue, kMaybe, kUnknown };

// Taken from the argparse parsers of pytest 7.4.4, 8.4.2 and 9.2.0, and of the plugins named: what matters here is only
// whether the next word is a value. pytest keeps lower-case letters for itself; -n, -d and -f are pytest-xdist's.
constexpr std::string_view kLettersWithValue = "Wckmopr";
constexpr std::string_view kFlagLetters = "Vhlqsvx";
constexpr std::string_view kPluginLettersWithValue = "n";
constexpr std::string_view kPluginFlagLetters = "df";

constexpr auto kWithValue = std::to_array<std::string_view>({
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
    "log-cli-format",
    "log-cli-date-format",
    "log-cli-level",
    "log-date-format",
    "log-disable",
    "log-file",
    "log-file-format",
    "log-file-date-format",
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
});
constexpr auto kWithMaybeValue = std::to_array<std::string_view>({"cache-show", "debug"});

constexpr auto kFlags = std::to_array<std::string_view>({
    "cache-clear",
    "co",
    "collect-in-virtualenv",
    "collect-only",
    "collectonly",
    "continue-on-collection-errors",
    "disable-plugin-autoload",
    "disable-pytest-warnings",
    "disable-warnings",
    "doctest-continue-on-failure",
    "doctest-ignore-import-errors",
    "doctest-modules",
    "exitfirst",
    "failed-first",
    "ff",
    "fixtures",
    "fixtures-per-test",
    "force-short-summary",
    "full-trace",
    "fulltrace",
    "funcargs",
    "help",
    "keep-duplicates",
    "keepduplicates",
    "last-failed",
    "lf",
    "markers",
    "new-first",
    "nf",
    "no-fold-skipped",
    "no-header",
    "no-showlocals",
    "no-summary",
    "noconftest",
    "pdb",
    "pyargs",
    "quiet",
    "runxfail",
    "setup-only",
    "setup-plan",
    "setup-show",
    "setuponly",
    "setupplan",
    "setupshow",
    "showlocals",
    "stepwise",
    "stepwise-reset",
    "stepwise-skip",
    "strict",
    "strict-config",
    "strict-markers",
    "sw",
    "sw-reset",
    "sw-skip",
    "trace",
    "trace-config",
    "traceconfig",
    "verbose",
    "version",
    "xfail-tb",
});

// pytest-xdist 3.8, pytest-cov 7.1, pytest-timeout 2.4, pytest-asyncio 1.3, pytest-rerunfailures 16, pytest-randomly 4.
constexpr auto kPluginsWithValue = std::to_array<std::string_view>({
    "asyncio-mode",
    "cov-config",
    "cov-context",
    "cov-fail-under",
    "cov-precision",
    "cov-report",
    "dist",
    "maxprocesses",
    "maxschedchunk",
    "max-slave-restart",
    "max-worker-restart",
    "numprocesses",
    "only-rerun",
    "px",
    "randomly-seed",
    "rerun-except",
    "reruns",
    "reruns-delay",
    "rsyncdir",
    "rsyncignore",
    "session-timeout",
    "testrunuid",
    "timeout",
    "timeout-method",
    "timeout_method",
    "tx",
});
constexpr auto kPluginsWithMaybeValue = std::to_array<std::string_view>({"cov"});
constexpr auto kPluginFlags = std::to_array<std::string_view>({
    "cov-append",
    "cov-branch",
    "cov-reset",
    "loadscope-reorder",
    "looponfail",
    "no-cov",
    "no-cov-on-fail",
    "no-loadscope-reorder",
    "randomly-dont-reorganize",
    "randomly-dont-reset-seed",
});

template <class List, class Name>
bool has(const List& names, Name name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

Takes option_takes(std::string_view name, Reading reading) {
    if (has(kWithValue, name)) return Takes::kValue;
    if (has(kFlags, name)) return Takes::kNothing;
    if (has(kWithMaybeValue, name)) return Takes::kMaybe;
    if (reading == Reading::kEarly) return Takes::kUnknown;
    if (has(kPluginsWithValue, name)) return Takes::kValue;
    if (has(kPluginFlags, name)) return Takes::kNothing;
    return has(kPluginsWithMaybeValue, name) ? Takes::kMaybe : Takes::kUnknown;
}

Takes letter_takes(char letter, Reading reading) {
    if (has(kLettersWithValue, letter)) return Takes::kValue;
    if (has(kFlagLetters, letter)) return Takes::kNothing;
    if (reading == Reading::kEarly) return Takes::kUnknown;
    if (has(kPluginLettersWithValue, letter)) return Takes::kValue;
    return has(kPluginFlagLetters, letter) ? Takes::kNothing : Takes::kUnknown;
}

// What is kept of an option, by its name.
template <class T>
using Member = std::pair<std::string_view, T Arguments::*>;

constexpr auto kTexts = std::to_array<Member<std::optional<std::string>>>({
    {"config-file", &Arguments::config_file},
    {"rootdir", &Arguments::rootdir},
    {"confcutdir", &Arguments::confcutdir},
    {"import-mode", &Arguments::import_mode},
});
constexpr auto kLists = std::to_array<Member<std::vector<std::string>>>({
    {"override-ini", &Arguments::overrides},
    {"ignore", &Arguments::ignore},
    {"ignore-glob", &Arguments::ignore_glob},
    {"doctest-glob", &Arguments::doctest_glob},
});
constexpr auto kTruths = std::to_array<Member<bool>>({
    {"lf", &Arguments::deselects},
    {"last-failed", &Arguments::deselects},
    {"sw", &Arguments::deselects},
    {"stepwise", &Arguments::deselects},
    {"sw-skip", &Arguments::deselects},
    {"stepwise-skip", &Arguments::deselects},
    {"sw-reset", &Arguments::deselects},
    {"stepwise-reset", &Arguments::deselects},
    {"doctest-modules", &Arguments::doctest_modules},
    {"pyargs", &Arguments::pyargs},
    {"noconftest", &Arguments::noconftest},
    {"keepduplicates", &Arguments::keep_duplicates},
    {"keep-duplicates", &Arguments::keep_duplicates},
    {"collect-in-virtualenv", &Arguments::collect_in_virtualenv},
});

class ArgumentReader {
  public:
    ArgumentReader(const std::vector<std::string>& words, Reading reading) : words_(words), reading_(reading) {}

    Arguments read() {
        for (; at_ < words_.size(); ++at_) {
            const std::string_view word = words_[at_];
            const bool was_unknown = std::exchange(was_unknown_, false);
            if (word == "--") return rest_is_positional();
            if (word.starts_with("--")) {
                read_option(word.substr(2));
            } else if (word.size() > 1 && word.front() == '-') {
                read_letters(word.substr(1));
            } else {
                result_.positional.push_back({std::string(word), was_unknown});
            }
        }
        return std::move(result_);
    }

  private:
    Arguments rest_is_positional() {
        while (++at_ < words_.size()) result_.positional.push_back({words_[at_], false});
        return std::move(result_);
    }

    void read_option(std::string_view option) {
        const std::size_t equals = option.find('=');
        const std::string_view name = option.substr(0, equals);
        const Takes takes = option_takes(name, reading_);
        if (equals != std::string_view::npos) {
            store(name, std::string(option.substr(equals + 1)));
        } else if (takes == Takes::kValue) {
            if (const auto value = next_word()) store(name, *value);
        } else {
            const bool has_next = at_ + 1 < words_.size() && !words_[at_ + 1].starts_with('-');
            if (takes == Takes::kMaybe && has_next) ++at_;
            was_unknown_ = takes == Takes::kUnknown;
            store_flag(name);
        }
    }

    // -xvkNAME, -k NAME, -k=NAME.
    void read_letters(std::string_view letters) {
        while (!letters.empty()) {
            const char letter = letters.front();
            letters.remove_prefix(1);
            const Takes takes = letter_takes(letter, reading_);
            if (takes == Takes::kNothing) continue;
            was_unknown_ = takes == Takes::kUnknown && letters.empty();
            if (takes == Takes::kUnknown) return;
            if (letters.starts_with('=')) letters.remove_prefix(1);
            const auto value = letters.empty() ? next_word() : std::string(letters);
            if (value) store_letter(letter, *value);
            return;
        }
    }

    std::optional<std::string> next_word() {
        if (at_ + 1 >= words_.size()) return std::nullopt;
        return words_[++at_];
    }

    void store_letter(char letter, const std::string& value) {
        if (letter == 'c') result_.config_file = value;
        if (letter == 'o') result_.overrides.push_back(value);
        if (letter == 'k') result_.keyword = value;
        if (letter == 'm') result_.mark = value;
        if (letter == 'p') result_.plugins.push_back(value);
    }

    void store(std::string_view name, const std::string& value) {
        for (const auto& [option, member] : kTexts) {
            if (option == name) result_.*member = value;
        }
        for (const auto& [option, member] : kLists) {
            if (option == name) (result_.*member).push_back(value);
        }
        if (name == "deselect") result_.deselects = true;
    }

    void store_flag(std::string_view name) {
        for (const auto& [option, member] : kTruths) {
            if (option == name) result_.*member = true;
        }
    }

    const std::vector<std::string>& words_;
    Reading reading_;
    std::size_t at_ = 0;
    bool was_unknown_ = false;
    Arguments result_;
};

}  // namespace

Arguments read_arguments(const std::vector<std::string>& words, Reading reading) {
    return ArgumentReader(words, reading).read();
}

}  // namespace tach::analyzer
