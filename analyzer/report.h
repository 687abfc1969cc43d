#pragma once

// The analysis for people and for other programs. Pure: text in, text out.

#include <string>

#include "shm/analysis_file.h"

namespace tach::analyzer {

// One document of docs/analysis.schema.json.
[[nodiscard]] std::string json_report(const shm::analysis::Analysis& from);

// What a person wants to see first: counts, what is toxic and why, what is not known and why.
[[nodiscard]] std::string table_report(const shm::analysis::Analysis& from);

// "tests/test_a.py:3:1: error: invalid syntax"
[[nodiscard]] std::string diagnostic_line(const shm::analysis::Analysis& from,
                                          const shm::analysis::Diagnostic& diagnostic);

}  // namespace tach::analyzer
