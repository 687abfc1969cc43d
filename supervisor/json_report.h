#pragma once

// The object that --format json prints: docs/report.schema.json is its contract, and every key there is
// always present.
//
// Called once, at the end, by the main loop. Bytes that are not UTF-8 are replaced, numbers are finite. Tests
// that never ran, or that came after the one that ended the run, are left out.

#include <cstdint>
#include <map>
#include <string>

#include "supervisor/results.h"

namespace tach::supervisor {

struct ReportInputs {
    std::string version;  // tach's
    std::string engine;
    std::uint64_t seed = 0;
    std::uint32_t workers = 0;
    int exit_code = 0;
    std::int64_t duration_ns = 0;
    std::string python_executable;
    std::string python_version;
    std::map<std::string, double> metrics;  // one that is not finite is left out
};

// One line, with its newline.
[[nodiscard]] std::string json_report(const ReportInputs& inputs, const Results& results);

}  // namespace tach::supervisor
