// tach-compiler: the modules of a project to bytecode, with the interpreter that runs the tests. Thin: the command
// line, one Stage, what is printed, the exit code. See docs/compiler.md.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/depfile.h"
#include "base/priority.h"
#include "base/process_tree.h"
#include "base/whole_file.h"
#include "compiler/cli.h"
#include "compiler/home.h"
#include "compiler/interpreter.h"
#include "compiler/report.h"
#include "compiler/stage.h"
#include "compiler/wanted.h"

namespace {

using namespace tach::compiler;
namespace base = tach::base;

constexpr int kUsageExit = 2;     // the user's mistake
constexpr int kFailedExit = 1;    // the output cannot be written
constexpr int kSignalExit = 128;  // and the signal's number, as a shell says it

void say(std::string_view text) {
    fmt::print(stderr, "tach-compiler: {}\n", text);
}

int refuse(const base::Error& error, int code) {
    say(error.what);
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

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

// The modules of the analysis, and the project's ini file.
base::Result<void> read_analysis(const std::string& path, const std::string& root, StageOptions& options) {
    const auto bytes = base::read_file(path);
    if (!bytes) return base::fail({bytes.error().code, "--analysis: " + bytes.error().what});
    const auto analysis = tach::shm::analysis::decode(*bytes);
    if (!analysis) {
        return base::fail(
            {EPROTO, fmt::format("--analysis: {}: {}; let tach-analyzer write it anew", path, analysis.error().what)});
    }
    add_modules(*analysis, root, options.wanted);
    if (!analysis->ini_file.empty()) {
        options.ini_file = (std::filesystem::path(root) / analysis->ini_file).lexically_normal().string();
    }
    return {};
}

// A list that is damaged is as good as none: the next run writes another.
base::Result<void> read_imports(const std::string& path, StageOptions& options) {
    const auto bytes = base::read_file(path);
    if (!bytes) return base::fail({bytes.error().code, "--imports: " + bytes.error().what});
    if (auto added = add_imports(*bytes, options.wanted); !added) {
        say(fmt::format("{}: {}; it is left out", path, added.error().what));
    }
    return {};
}

base::Result<StageOptions> options_of(const CommandLine& line) {
    std::error_code error;
    const std::string given = line.root.value_or(".");
    const std::string root = std::filesystem::canonical(given, error).string();
    if (error) return base::fail({error.value(), fmt::format("--root {}: {}", given, error.message())});
    StageOptions options;
    if (line.analysis) {
        if (auto read = read_analysis(*line.analysis, root, options); !read) return base::fail(read.error());
    }
    for (const std::string& path : line.imports) {
        if (auto read = read_imports(path, options); !read) return base::fail(read.error());
    }
    sort_out(options.wanted);
    auto interpreter = find_interpreter(
        {.python = line.python, .virtual_env = variable("VIRTUAL_ENV"), .path = variable("PATH"), .root = root});
    if (!interpreter) return base::fail(interpreter.error());
    auto home = find_home();
    if (!home) return base::fail(home.error());
    options.interpreter = *std::move(interpreter);
    options.home = *std::move(home);
    options.output = *line.output;
    options.jobs = line.jobs != 0 ? line.jobs : std::max(1U, std::thread::hardware_concurrency());
    options.paranoid = line.paranoid;
    options.idle = line.idle;
    return options;
}

void say_what_was_done(const std::vector<Unit>& units) {
    for (const std::string& failure : failures(units)) fmt::print(stderr, "{}\n", failure);
    const Counts counts = counts_of(units);
    say(fmt::format("{} modules, {} compiled, {} read and found to be the same, {} that cannot be compiled",
                    counts.modules, counts.compiled, counts.same, counts.failed));
}

base::Result<void> write_depfile(const CommandLine& line, const Stage& stage, const std::string& output) {
    std::vector<std::string> inputs;
    if (line.analysis) inputs.push_back(*line.analysis);
    inputs.insert(inputs.end(), line.imports.begin(), line.imports.end());
    for (std::string& path : stage.inputs()) inputs.push_back(std::move(path));
    return base::replace_file(*line.depfile, {base::depfile(line.depfile_target.value_or(output), inputs)});
}

int exit_code(const Stage& stage, Stage::End end) {
    switch (end) {
        case Stage::End::kDone:
            return 0;
        case Stage::End::kMistake:
            return refuse({EINVAL, stage.error()}, kUsageExit);
        case Stage::End::kFailed:
            return refuse({EIO, stage.error()}, kFailedExit);
        case Stage::End::kStopped:
            break;
    }
    return kSignalExit + stage.stopped_by();
}

int run(const CommandLine& line) {
    auto options = options_of(line);
    if (!options) return refuse(options.error(), kUsageExit);
    if (line.parent && !base::die_with(*line.parent)) return kFailedExit;
    if (line.idle) base::yield_to_others();
    const std::string output = options->output;
    const std::string interpreter = options->interpreter;
    Stage stage(*std::move(options));
    const Stage::End end = stage.run();
    if (const int code = exit_code(stage, end); code != 0) return code;
    if (!stage.complaint().empty()) say(stage.complaint());
    if (!stage.missing_rewriter().empty()) {
        say(fmt::format("{}: what pytest rewrites is left out: {}", interpreter, stage.missing_rewriter()));
    }
    if (line.verbose) say_what_was_done(stage.units());
    if (line.depfile) {
        if (auto written = write_depfile(line, stage, output); !written) return refuse(written.error(), kFailedExit);
    }
    if (line.format == OutputFormat::kJson) show(json_report(stage.units()));
    if (line.format == OutputFormat::kTable) show(table_report(stage.units()));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // By which interpreters that a test starts are measured (coverage, pytest-cov): not those that compile.
    for (const char* name : {"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE", "COV_CORE_CONFIG",
                             "COV_CORE_DATAFILE"}) {
        ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    }
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // it is an error of write(2) then, like a full disk
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto line = parse_command_line(words);
    if (!line) return refuse(line.error(), kUsageExit);
    if (line->help) {
        show(help_text());
        return finish(0);
    }
    if (line->version) {
        show("tach-compiler " TACH_VERSION "\n");
        return finish(0);
    }
    const int code = finish(run(*line));
    std::fflush(stderr);
    ::_exit(code);
}
