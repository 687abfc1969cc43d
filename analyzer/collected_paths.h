#pragma once

// Which of several arguments pytest collects, and in which order. Source: Session.collect and
// normalize_collection_arguments of _pytest/main.py.

#include <cstdint>
#include <string>
#include <vector>

namespace tach::analyzer {

// "tests/test_a.py::TestB::test_c[1]", taken apart.
struct CollectionArgument {
    std::string path;                // absolute
    std::vector<std::string> names;  // "TestB", "test_c"
    std::string parameters;          // "[1]"
    bool is_directory = false;
};

// The paths of those that pytest of that major version goes through, each once.
//   9: not those within another one;
//   8: not a directory that another one is in: pytest has collected it already when it comes to it, and drops it;
//   7: all.
[[nodiscard]] std::vector<std::string> collected_paths(const std::vector<CollectionArgument>& arguments,
                                                       std::uint32_t pytest, bool keep_duplicates);

}  // namespace tach::analyzer
