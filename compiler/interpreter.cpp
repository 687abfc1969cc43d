#include "compiler/interpreter.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace tach::compiler {
namespace {

namespace fs = std::filesystem;

// What a shell searches when PATH is not set (confstr's _CS_PATH, and where Debian's own builds go).
constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

bool is_executable(const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

base::Result<std::string> named(const fs::path& path, std::string_view subject) {
    std::error_code error;
    const fs::path absolute = fs::absolute(path, error);
    if (is_executable(absolute)) return absolute.string();
    return base::fail(base::Error{ENOENT, fmt::format("{}: {} is no file that can be executed; give the path of a "
                                                      "Python interpreter with --python",
                                                      subject, absolute.string())});
}

std::optional<std::string> on_path(const std::string& name, std::string_view path) {
    while (true) {
        const std::size_t colon = path.find(':');
        std::error_code error;
        const fs::path candidate = fs::absolute(fs::path(path.substr(0, colon)) / name, error);  // empty: cwd
        if (is_executable(candidate)) return candidate.string();
        if (colon == std::string_view::npos) return std::nullopt;
        path.remove_prefix(colon + 1);
    }
}

}  // namespace

base::Result<std::string> find_interpreter(const InterpreterSearch& search) {
    const bool is_name = search.python && search.python->find('/') == std::string::npos;
    if (search.python && !is_name) return named(*search.python, "--python");
    if (!search.python && search.virtual_env && !search.virtual_env->empty()) {
        return named(fs::path(*search.virtual_env) / "bin" / "python", "VIRTUAL_ENV=" + *search.virtual_env);
    }
    const fs::path of_root = fs::path(search.root) / ".venv" / "bin" / "python";
    std::error_code error;
    if (!search.python && fs::exists(fs::symlink_status(of_root, error))) return named(of_root, ".venv");
    const std::string name = search.python.value_or("python3");
    const auto path = search.path && !search.path->empty() ? std::string_view(*search.path) : kDefaultPath;
    if (auto found = on_path(name, path)) return *found;
    return base::fail(base::Error{
        ENOENT, fmt::format("{}: no such command on PATH; give the path of a Python interpreter with --python", name)});
}

}  // namespace tach::compiler
