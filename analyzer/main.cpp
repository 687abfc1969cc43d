// tach-analyzer: the sources of a project to its analysis, without running any of them. Thin: the command line, one
// Stage, what is printed, the exit code. See docs/analysis.md.

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "analyzer/analyze.h"
#include "analyzer/changes.h"
#include "analyzer/cli.h"
#include "analyzer/report.h"
#include "analyzer/rules.h"
#include "base/depfile.h"
#include "base/whole_file.h"

namespace {

using namespace tach::analyzer;
namespace base = tach::base;

constexpr int kUsageExit = 2;   // the user's mistake
constexpr int kFailedExit = 1;  // the output cannot be written

// For mallopt(3). Mappings that come and go cost page faults, and so does a heap that shrinks.
constexpr int kNever = 1 << 30;
constexpr int kGrowth = 4 << 20;

int refuse(const base::Error& error, int code) {
    fmt::print(stderr, "tach-analyzer: {}\n", error.what);
    return code;
}

// Whether it has arrived is seen at the end, see finish().
void show(std::string_view text) {
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stdout));
}

int finish(int code) {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    // Who closes a pipe has seen enough (head).
    if (errno == EPIPE) return kFailedExit;
    return refuse(base::errno_error("standard output"), kFailedExit);
}

std::filesystem::path directory_of(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored).parent_path();
}

// Directories are inputs as well: a new file is a change. Not so those in which a file is replaced by this very run,
// which would make the output older than its inputs for ever.
std::string depfile_of(const Stage& stage, const CommandLine& line, const std::string& output) {
    Stage::Inputs inputs = stage.inputs();
    for (const std::string& written : {output, *line.depfile}) {
        const std::string directory = directory_of(written).string();
        const auto is_same = [&](const std::string& one) { return one == directory; };
        inputs.directories.erase(std::remove_if(inputs.directories.begin(), inputs.directories.end(), is_same),
                                 inputs.directories.end());
    }
    std::vector<std::string> paths = std::move(inputs.files);
    paths.insert(paths.end(), inputs.directories.begin(), inputs.directories.end());
    return base::depfile(line.depfile_target.value_or(output), paths);
}

int print_affected(Stage& stage, std::vector<std::string> changed, const CommandLine& line) {
    const std::string& root = stage.settings().root;
    for (std::string& path : changed) {
        std::error_code ignored;
        const auto absolute = std::filesystem::absolute(path, ignored).lexically_normal();
        const auto relative = absolute.lexically_relative(root);
        path = relative.empty() || relative.string().starts_with("..") ? absolute.string() : relative.string();
    }
    if (line.since) {
        auto since = changed_since(root, *line.since);
        if (!since) return refuse(since.error(), kUsageExit);
        changed.insert(changed.end(), since->begin(), since->end());
    }
    if (line.format == OutputFormat::kJson) {
        auto files = stage.affected_files(std::move(changed));
        if (!files) return refuse(files.error(), kUsageExit);
        fmt::print("{}", json_affected(*files, root));
        return 0;
    }
    auto affected = stage.affected_by(changed);
    if (!affected) return refuse(affected.error(), kUsageExit);
    for (const std::string& test : affected->tests) show(test + "\n");
    if (line.verbose) {
        for (const std::string& note : affected->notes) fmt::print(stderr, "tach-analyzer: {}\n", note);
    }
    return 0;
}

void print_diagnostics(const tach::shm::analysis::Analysis& analysis, bool all) {
    for (const auto& diagnostic : analysis.diagnostics) {
        if (!all && diagnostic.severity == tach::shm::analysis::Severity::kNote) continue;
        fmt::print(stderr, "{}\n", diagnostic_line(analysis, diagnostic));
    }
}

int print(Stage& stage, const CommandLine& line) {
    auto analysis = stage.analysis();
    if (!analysis) return refuse(analysis.error(), kUsageExit);
    print_diagnostics(**analysis, line.verbose);
    if (line.format == OutputFormat::kJson) show(json_report(**analysis));
    if (line.format == OutputFormat::kTable) show(table_report(**analysis));
    return 0;
}

void say_what_was_done(const Stage& stage, const std::string& output) {
    const Counts& counts = stage.counts();
    if (stage.is_unchanged()) {
        fmt::print(stderr, "tach-analyzer: {} files, none has changed: {} stays as it is\n", counts.files, output);
    } else {
        fmt::print(stderr, "tach-analyzer: {} files, {} parsed, {} read and found to be the same{}\n", counts.files,
                   counts.parsed, counts.same, counts.kept ? "; nothing else was looked at" : "");
    }
}

int run(const CommandLine& line) {
    std::error_code error;
    const auto root = std::filesystem::canonical(line.root.value_or("."), error);
    if (error)
        return refuse({error.value(), fmt::format("--root {}: {}", line.root.value_or("."), error.message())},
                      kUsageExit);
    const std::string output = line.output.value_or((root / ".tach/analysis").string());
    auto stage = Stage::run({.root = root.string(),
                             .arguments = line.paths,
                             .output = output,
                             .jobs = line.jobs != 0 ? line.jobs : std::max(1U, std::thread::hardware_concurrency()),
                             .pytest = line.pytest,
                             .paranoid = line.paranoid,
                             .config = line.config ? std::filesystem::absolute(*line.config).string() : std::string()});
    if (!stage) return refuse(stage.error(), kUsageExit);
    const bool was_unchanged = stage->is_unchanged();
    if (auto written = stage->write(); !written) {
        // Who only wants to see something can see it all the same.
        if (line.output || !(line.format || line.since || !line.affected_by.empty())) {
            return refuse(written.error(), kFailedExit);
        }
    }
    if (line.verbose) say_what_was_done(*stage, output);
    if (line.depfile) {
        if (auto written = tach::base::replace_file(*line.depfile, {depfile_of(*stage, line, output)}); !written) {
            return refuse(written.error(), kFailedExit);
        }
    }
    if (line.since || !line.affected_by.empty()) return print_affected(*stage, line.affected_by, line);
    if (was_unchanged && !line.format && !line.verbose) return 0;
    return print(*stage, line);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto line = parse_command_line(words);
    if (!line) return refuse(line.error(), kUsageExit);
    if (line->help) {
        show(help_text());
        return finish(0);
    }
    if (line->version) {
        show("tach-analyzer " TACH_VERSION "\n");
        return finish(0);
    }
    if (line->rules) {
        show(RuleSet::builtin().table());
        return finish(0);
    }
    // Memory is given back by ending: to free hundreds of thousands of small things first takes milliseconds.
    ::mallopt(M_TRIM_THRESHOLD, kNever);
    ::mallopt(M_MMAP_THRESHOLD, kNever);
    ::mallopt(M_TOP_PAD, kGrowth);
    const int code = finish(run(*line));
    std::fflush(stderr);
    ::_exit(code);
}
