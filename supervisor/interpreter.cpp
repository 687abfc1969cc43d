#include "supervisor/interpreter.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <system_error>

#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

namespace fs = std::filesystem;

// What a shell searches when PATH is not set (confstr's _CS_PATH, and where Debian's own builds go).
constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

// Empty when `path` can be executed, else why not.
std::string why_not_executable(const fs::path& path) {
    std::error_code error;
    const fs::file_status link = fs::symlink_status(path, error);
    if (!fs::exists(link)) return "does not exist";
    const fs::file_status target = fs::status(path, error);
    if (!fs::exists(target)) return "is a link to a file that does not exist";
    if (fs::is_directory(target)) return "is a directory";
    if (access(path.c_str(), X_OK) != 0) return "is not executable";
    return {};
}

std::optional<fs::path> on_path(const std::string& name, const InterpreterSearch& search) {
    const std::string path = search.path.value_or(std::string(kDefaultPath));
    std::string_view rest = path;
    while (true) {
        const std::size_t colon = rest.find(':');
        const fs::path candidate = search.cwd / fs::path(rest.substr(0, colon)) / name;  // an empty entry means cwd
        if (why_not_executable(candidate).empty()) return candidate;
        if (colon == std::string_view::npos) return std::nullopt;
        rest.remove_prefix(colon + 1);
    }
}

base::Result<Interpreter> the_named_one(const InterpreterSearch& search) {
    const std::string& name = *search.python.value;
    const bool on_command_line = search.python.source == Source::kCommandLine;
    const std::string subject =
        on_command_line ? fmt::format("--python {}", name) : fmt::format("{}: python: {}", search.python.where, name);
    const std::string found_by = on_command_line ? std::string("--python") : search.python.where;
    if (name.find('/') == std::string::npos) {
        const auto executable = on_path(name, search);
        if (executable) return Interpreter{*executable, found_by};
        return mistake(fmt::format("{}: no such command on PATH; give the interpreter's path", subject));
    }
    const fs::path executable = (on_command_line ? search.cwd : search.config_dir) / name;
    const std::string why = why_not_executable(executable);
    if (why.empty()) return Interpreter{executable, found_by};
    return mistake(fmt::format("{}: {} {}; give the path of a Python interpreter", subject, executable.string(), why));
}

base::Result<Interpreter> the_activated_one(const InterpreterSearch& search) {
    const fs::path executable = search.cwd / *search.virtual_env / "bin" / "python";
    const std::string why = why_not_executable(executable);
    if (why.empty()) return Interpreter{executable, "VIRTUAL_ENV"};
    return mistake(fmt::format("VIRTUAL_ENV={}: {} {}; leave or recreate that environment, or use --python EXE",
                               *search.virtual_env, executable.string(), why));
}

// The nearest .venv/bin/python, dangling links included: those are an environment whose Python was removed.
std::optional<fs::path> nearest_venv(const InterpreterSearch& search) {
    fs::path directory = search.cwd;
    while (true) {
        const fs::path executable = directory / ".venv" / "bin" / "python";
        std::error_code error;
        if (fs::exists(fs::symlink_status(executable, error))) return executable;
        if (directory == search.config_dir || directory == directory.parent_path()) return std::nullopt;
        directory = directory.parent_path();
    }
}

std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return std::string(value);
}

}  // namespace

InterpreterSearch interpreter_search(const Settings& settings, const fs::path& cwd) {
    return {.python = settings.python,
            .cwd = cwd,
            .config_dir = settings.config_file.parent_path(),
            .virtual_env = environment("VIRTUAL_ENV"),
            .path = environment("PATH")};
}

base::Result<Interpreter> find_interpreter(const InterpreterSearch& search) {
    if (search.python.value) return the_named_one(search);
    if (search.virtual_env) return the_activated_one(search);
    if (const auto executable = nearest_venv(search)) {
        const std::string why = why_not_executable(*executable);
        if (why.empty()) return Interpreter{*executable, ".venv"};
        return mistake(
            fmt::format("{}: {}; recreate that environment, or use --python EXE", executable->string(), why));
    }
    if (const auto executable = on_path("python3", search)) return Interpreter{*executable, "PATH"};
    return mistake(
        "python3: not on PATH, and there is neither VIRTUAL_ENV nor .venv; install Python, or use --python "
        "EXE");
}

}  // namespace tach::supervisor
