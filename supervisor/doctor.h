#pragma once

// `tach-supervisor doctor`: what this kernel, user, container and interpreter allow, which engine that gives, and what
// to change to get a better one.

#include <filesystem>
#include <string>

#include "supervisor/settings.h"

namespace tach::supervisor {

// A table of a line for each subject. Tries all engines, so only from a single-threaded process.
std::string doctor_report(const Settings& settings, const std::filesystem::path& cwd);

}  // namespace tach::supervisor
