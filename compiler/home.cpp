#include "compiler/home.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace tach::compiler {

namespace fs = std::filesystem;

base::Result<Home> find_home() {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    if (error) return base::fail(base::Error{error.value(), "/proc/self/exe: " + error.message()});
    const fs::path installed = (executable.parent_path() / TACH_PKGLIB_FROM_BIN).lexically_normal();
    for (const fs::path& directory : std::array{installed, fs::path(TACH_SOURCE_ROOT)}) {
        const fs::path child = directory / "compiler" / "child.py";
        const fs::path keys = directory / "harness" / "tach_harness" / "bytecode.py";
        if (fs::exists(child, error) && fs::exists(keys, error)) return Home{child.string(), keys.string()};
    }
    return base::fail(base::Error{
        ENOENT, fmt::format("{}: tach is not completely installed; reinstall it", (installed / "compiler").string())});
}

}  // namespace tach::compiler
