#pragma once

// Where tach's own files are: beside the running executable, so that an installed tach works from wherever it was moved
// to, and from a build directory without installation.

#include <filesystem>

#include "base/result.h"

namespace tach::supervisor {

struct Home {
    std::filesystem::path zygote;   // the executable tach-zygote
    std::filesystem::path native;   // the extension module _tach
    std::filesystem::path harness;  // the harness' entry point, boot.py

    // The executables of stages; who needs one must see that it is there.
    std::filesystem::path analyzer;
    std::filesystem::path compiler;
};

// The error names the file that is missing.
[[nodiscard]] base::Result<Home> find_home();

}  // namespace tach::supervisor
