#pragma once

// The analysis for people and for other programs. Pure: text in, text out.

#include <string>

#include "analyzer/affected.h"
#include "shm/analysis_file.h"

namespace tach::analyzer {

// One document of docs/analysis.schema.json.
[[nodiscard]] std::string json_report(const shm::analysis::Analysis& from);

// What a person wants to see first: counts, what is toxic and why, what is not known and why.
[[nodiscard]] std::string table_report(const shm::analysis::Analysis& from);

// What --since and --affected-by find, one object:
//     {"root": "/home/me/project", "everything": false, "because": "", "ignored": ["README.md"],
//      "affected": [{"file": "tests/test_a.py", "why": ["tests/test_a.py:1: import: a.py", "a.py has changed"]}],
//      "unaffected": ["tests/test_b.py"]}
// Paths are relative to the root or absolute. A file that is in neither list is none that the analysis knows.
[[nodiscard]] std::string json_affected(const AffectedFiles& files, const std::string& root);

// "tests/test_a.py:3:1: error: invalid syntax"
[[nodiscard]] std::string diagnostic_line(const shm::analysis::Analysis& from,
                                          const shm::analysis::Diagnostic& diagnostic);

}  // namespace tach::analyzer
