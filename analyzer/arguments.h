#pragma once

// pytest's command line, as far as it decides what is collected. The words come from the caller, from PYTEST_ADDOPTS
// and from addopts; pytest reads them twice, see below.

#include <optional>
#include <string>
#include <vector>

namespace tach::analyzer {

struct Argument {
    std::string text;
    // It comes right after an option that neither pytest nor a plugin known here has, so it may be that option's value.
    bool may_be_value = false;
};

struct Arguments {
    std::vector<Argument> positional;
    std::optional<std::string> config_file;  // -c
    std::optional<std::string> rootdir;
    std::optional<std::string> confcutdir;
    std::optional<std::string> import_mode;
    std::vector<std::string> overrides;  // -o: "name=value"
    std::vector<std::string> ignore;
    std::vector<std::string> ignore_glob;
    std::vector<std::string> doctest_glob;
    std::vector<std::string> plugins;  // -p, in order, with "no:NAME"
    std::string keyword;               // -k; the last one counts, and an empty one is none
    std::string mark;                  // -m
    bool deselects = false;            // --deselect, --last-failed, --stepwise
    bool doctest_modules = false;
    bool pyargs = false;
    bool noconftest = false;
    bool keep_duplicates = false;
    bool collect_in_virtualenv = false;
};

enum class Reading {
    kEarly,  // before plugins are loaded, for the root directory: the value of a plugin's option is a path to it
    kFull,
};

[[nodiscard]] Arguments read_arguments(const std::vector<std::string>& words, Reading reading);

}  // namespace tach::analyzer
