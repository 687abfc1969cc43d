#pragma once

// Which Python compiles: the one that runs the tests. Only looks, executes nothing.
//
// The order: --python, $VIRTUAL_ENV, .venv in the root, python3 on PATH. The first that is there is taken; one that was
// asked for and cannot be executed is an Error, never skipped for the next. A symbolic link is left as it is, because a
// virtual environment's python is one and knows itself by that name.

#include <optional>
#include <string>

#include "base/result.h"

namespace tach::compiler {

struct InterpreterSearch {
    std::optional<std::string> python;       // of --python: a path, or a name without a slash that is looked up on PATH
    std::optional<std::string> virtual_env;  // the environment's VIRTUAL_ENV
    std::optional<std::string> path;         // the environment's PATH
    std::string root;                        // absolute
};

[[nodiscard]] base::Result<std::string> find_interpreter(const InterpreterSearch& search);  // an absolute path

}  // namespace tach::compiler
