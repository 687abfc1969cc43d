#pragma once

// Where the interpreter's side of the stage is: beside the running executable, so that an installed tach works from
// wherever it was moved to, and from a build directory without installation.

#include <string>

#include "base/result.h"

namespace tach::compiler {

struct Home {
    std::string child;  // child.py
    std::string keys;   // the harness' bytecode.py
};

// The error names the file that is missing.
[[nodiscard]] base::Result<Home> find_home();

}  // namespace tach::compiler
