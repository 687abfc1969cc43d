#pragma once

// ProjectNames as pytest's python_functions and python_classes choose them: by prefix, or by a glob as Python's
// fnmatch.

#include <string>
#include <vector>

#include "analyzer/facts.h"

namespace tach::analyzer {

// *, ?, [seq] and [!seq]; nothing is escaped, '/' is as any other.
[[nodiscard]] bool matches_glob(Text name, Text pattern);

[[nodiscard]] bool matches_any(Text name, const std::vector<std::string>& patterns);

}  // namespace tach::analyzer
