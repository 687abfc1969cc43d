#pragma once

// Which Python runs the tests: the user's own. Driven once by main, before tach-zygote is started; only
// looks, executes nothing. What the interpreter is (its version, whether it has pytest) it says itself, once
// it runs.
//
// The order: --python, python in tach.toml, $VIRTUAL_ENV, the nearest .venv, python3 on PATH. The first that
// is there is taken; one that was asked for and cannot be executed is an Error (see usage.h), never skipped
// for the next. A symbolic link is left as it is, because a virtual environment's python is one and knows
// itself by that name.

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

struct InterpreterSearch {
    Setting<std::optional<std::string>> python;  // a path, or a name without a slash that is looked up on PATH
    std::filesystem::path cwd;         // absolute; a path of --python is relative to it, .venv searched from it
    std::filesystem::path config_dir;  // a path of tach.toml is relative to it, .venv searched no further up; or empty
    std::optional<std::string> virtual_env;  // the environment's VIRTUAL_ENV
    std::optional<std::string> path;         // the environment's PATH
};

struct Interpreter {
    std::filesystem::path executable;  // absolute
    std::string found_by;              // "--python", "tach.toml:1:10", "VIRTUAL_ENV", ".venv" or "PATH"
};

// The search of a run in `cwd`, in this process's environment.
InterpreterSearch interpreter_search(const Settings& settings, const std::filesystem::path& cwd);

base::Result<Interpreter> find_interpreter(const InterpreterSearch& search);

}  // namespace tach::supervisor
