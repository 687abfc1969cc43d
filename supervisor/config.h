#pragma once

// tach.toml, or the table [tool.tach] of a pyproject.toml: found, read, and checked. Driven once by main,
// after the command line. Every key and every type is checked: an unknown key, a wrong type or a value that
// is none of the key's is an Error "file:line:column: key: what is wrong, what is expected" (see usage.h),
// since a setting that is silently ignored is worse than none. docs/tach.toml.md describes the keys.
//
// Another tool has a file of the same name, for the boundaries between modules. Its keys are known, left alone, and
// named in a note; a file that has no others is not ours.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "supervisor/choices.h"
#include "supervisor/workers.h"

namespace tach::supervisor {

// A value that the file gives, and its place there: "tach.toml:3:11".
template <class T>
struct Located {
    T value;
    std::string where;
};

template <class T>
using Given = std::optional<Located<T>>;

// What the file says; what it does not say is empty.
struct Config {
    std::filesystem::path file;  // empty: there is none
    std::string note;            // about keys of another tool, for the user; empty: there are none

    Given<std::string> python;
    Given<Workers> workers;
    Given<Mode> mode;
    Given<Engine> engine;
    Given<std::uint64_t> seed;
    Given<bool> strict_isolation;
    Given<std::vector<std::string>> args;
    Given<bool> second_opinion;
    Given<double> second_opinion_budget_s;
    Given<std::uint64_t> max_resets;
    Given<std::uint64_t> max_growth;
    Given<bool> split_wide;
    Given<bool> loader;
    Given<bool> loader_paranoid;
    Given<std::vector<std::string>> rewindable;
};

// The configuration file for a run in `cwd`: `option` (--config, relative to `cwd`) if it is given; otherwise
// that of the first of the project's directories (project_directories.h), from `cwd` upwards, that has a tach.toml or a
// pyproject.toml with [tool.tach]; tach.toml wins where one directory has both. A Config without a file when there is
// none.
base::Result<Config> load_config(const std::filesystem::path& cwd, const std::optional<std::string>& option);

// Every key: "workers", "second_opinion.enabled".
std::vector<std::string> config_keys();

// The same as load_config from a text. `shown` is how error texts and places name the file.
base::Result<Config> read_tach_toml(const std::string& text, const std::string& shown);

// Empty when the text has no [tool.tach]. A file that is not TOML at all is pytest's to refuse, and yields
// empty too, unless it speaks of tach.
base::Result<std::optional<Config>> read_pyproject(const std::string& text, const std::string& shown);

}  // namespace tach::supervisor
