#include "supervisor/kept_file.h"

#include <system_error>

#include "base/whole_file.h"

namespace tach::supervisor {

namespace fs = std::filesystem;

fs::path kept_directory(const fs::path& rootdir) {
    return rootdir / ".tach";
}

base::Result<void> keep_file(const fs::path& rootdir, const fs::path& name, std::string_view text) {
    const fs::path directory = kept_directory(rootdir);
    std::error_code error;
    if (const fs::path ignore = directory / ".gitignore"; !fs::exists(ignore, error)) {
        if (auto written = base::replace_file(ignore, {"*\n"}); !written) return written;
    }
    return base::replace_file(directory / name, {text});
}

}  // namespace tach::supervisor
