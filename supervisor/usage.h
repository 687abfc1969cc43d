#pragma once

// A user's mistake on the command line, in tach.toml or in the choice of an interpreter: one line that names
// what is wrong and says what to do. Every Error of cli.h, config.h and interpreter.h is one; main prints it
// and ends with kUsageExit, which is what pytest ends with for its own usage errors.

#include <cerrno>
#include <string>
#include <utility>

#include "base/result.h"

namespace tach::supervisor {

inline constexpr int kUsageExit = 4;  // pytest's ExitCode.USAGE_ERROR

[[nodiscard]] inline tl::unexpected<base::Error> mistake(std::string text) {
    return base::fail(base::Error{EINVAL, std::move(text)});
}

}  // namespace tach::supervisor
