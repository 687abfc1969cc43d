#pragma once

// Runs another program to its end and keeps what it says: for short questions to tools, such as Git. No shell, no
// terminal: it reads /dev/null and does not inherit our signal mask. LC_ALL=C, so that what it says can be read.

#include <string>
#include <vector>

#include "base/result.h"

namespace tach::base {

struct Finished {
    int status = 0;  // its exit code; 128 and the number of the signal that ended it
    std::string standard_output;
    std::string standard_error;
};

// The program is looked for on PATH. Code ENOENT if it is not there, ETIMEDOUT if it took longer and was killed. Does
// not wait for what the program leaves running.
[[nodiscard]] Result<Finished> run_command(const std::vector<std::string>& command, int timeout_ms);

}  // namespace tach::base
