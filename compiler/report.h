#pragma once

// What is in an image, and what a stage has done, as text. Driven by main.

#include <cstddef>
#include <string>
#include <vector>

#include "compiler/stage.h"

namespace tach::compiler {

struct Counts {
    std::size_t modules = 0;   // in the image
    std::size_t compiled = 0;  // in this run
    std::size_t same = 0;      // read and found to be the same
    std::size_t failed = 0;    // in the image, without code
    std::size_t left_out = 0;
};
[[nodiscard]] Counts counts_of(const std::vector<Unit>& units);

[[nodiscard]] std::string table_report(const std::vector<Unit>& units);
[[nodiscard]] std::string json_report(const std::vector<Unit>& units);

// "path:line: why", of those that could not be compiled in this run.
[[nodiscard]] std::vector<std::string> failures(const std::vector<Unit>& units);

}  // namespace tach::compiler
