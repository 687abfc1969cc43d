#include "supervisor/home.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace tach::supervisor {

namespace fs = std::filesystem;

base::Result<Home> find_home() {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    if (error) return base::fail(base::Error{error.value(), "/proc/self/exe: " + error.message()});
    const fs::path bin = executable.parent_path();
    const fs::path installed = (bin / TACH_PKGLIB_FROM_BIN).lexically_normal();
    const std::array<Home, 2> candidates{{
        {installed / "tach-zygote", installed / "_tach.abi3.so", installed / "harness" / "boot.py",
         bin / "tach-analyzer", bin / "tach-compiler"},
        // A build directory: the executables are made there, the harness is read from the source tree.
        {bin / "../zygote/tach-zygote", bin / "../zygote/_tach.abi3.so",
         fs::path(TACH_SOURCE_ROOT) / "harness" / "boot.py", bin / "../analyzer/tach-analyzer",
         bin / "../compiler/tach-compiler"},
    }};
    for (const Home& home : candidates) {
        if (fs::exists(home.zygote, error) && fs::exists(home.native, error) && fs::exists(home.harness, error)) {
            return home;
        }
    }
    return base::fail(base::Error{
        ENOENT, fmt::format("{}: tach is not completely installed; reinstall it", candidates[0].zygote.string())});
}

}  // namespace tach::supervisor
