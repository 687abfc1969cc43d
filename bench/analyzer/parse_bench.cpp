// What tree-sitter alone needs for some files: reads and parses each file of a list, in as many processes as asked for,
// and throws the trees away. The yardstick for tach-analyzer, see analyzer.py.
//
//     parse_bench PROCESSES LIST     LIST has a path a line; prints the seconds that it took

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/source_text.h"
#include "analyzer/syntax.h"
#include "base/clock.h"
#include "base/work_pool.h"

namespace {

constexpr std::int64_t kHour = 3600 * tach::base::kNsPerSecond;

std::vector<std::string> lines_of(const char* path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        fmt::print(stderr, "usage: parse_bench PROCESSES LIST\n");
        return 2;
    }
    const std::vector<std::string> paths = lines_of(argv[2]);
    const std::int64_t started = tach::base::monotonic_ns();
    std::optional<tach::analyzer::Parser> parser;
    std::uint64_t errors = 0;
    const auto done = tach::base::WorkPool::run(
        static_cast<std::uint32_t>(paths.size()),
        {.workers = static_cast<std::size_t>(std::atoi(argv[1])), .budget_ns = kHour},  // NOLINT(cert-err34-c)
        [&](std::uint32_t number, std::string&) {
            if (!parser) parser.emplace();
            const auto source = tach::analyzer::read_source(paths[number].c_str());
            const auto tree = parser->parse(source.bytes);
            if (!tree) std::abort();
        },
        [&](const tach::base::WorkOutcome& outcome) { errors += outcome.end == tach::base::WorkEnd::kDone ? 0U : 1U; });
    if (!done || errors != 0) {
        fmt::print(stderr, "parse_bench: {}\n", done ? "a file could not be parsed" : done.error().what);
        return 1;
    }
    fmt::print("{:.6f}\n", static_cast<double>(tach::base::monotonic_ns() - started) / 1e9);
    return 0;
}
