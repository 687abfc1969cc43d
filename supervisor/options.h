#pragma once

// tach's own options, in one table. The parser's options_description, --help, the man page and the shell
// completions are all made from it, so an option is added here, and in cli.cpp where its value is read, and
// nowhere else.
//
// `--tach-NAME` is always the option NAME of tach; `--pytest-NAME` always hands `--NAME` to pytest: for
// suites whose own plugins have an option of the same name, and for pytest's own --help and --version.

#include <boost/program_options/options_description.hpp>
#include <span>
#include <string>
#include <string_view>

namespace tach::supervisor {

enum class Section {
    kRunning,
    kOutput,
    kHidden,  // understood, in the man page, but not in --help
};

struct Option {
    std::string_view name;                    // long spelling, without dashes
    char letter = '\0';                       // short spelling; none when 0
    std::string_view alias;                   // second long spelling, none when empty
    std::string_view argument;                // what --help calls its value; empty for a flag
    std::span<const std::string_view> words;  // what the value is chosen from, where it is a choice
    std::string_view initial;                 // its value when it is not given, where that is worth saying
    std::string_view help;                    // one line
    std::string_view manual;                  // the man page's paragraph, after `help`
    Section section = Section::kRunning;
    bool shared_with_pytest = false;  // pytest has it too and is handed it as well

    bool takes_value() const { return !argument.empty(); }
    bool takes_path() const { return argument == "FILE" || argument == "EXE"; }
};

inline constexpr std::string_view kOwnPrefix = "tach-";
inline constexpr std::string_view kPytestPrefix = "pytest-";

std::span<const Option> own_options();

// By name or alias, and by letter; nullptr when it is not tach's.
const Option* find_option(std::string_view name);
const Option* find_option(char letter);

boost::program_options::options_description describe_options();

// --help: at most 23 lines of 80 columns, so that it and a prompt fit a terminal of 80x24.
std::string help_text();

}  // namespace tach::supervisor
