#include "supervisor/kept_file.h"

#include <system_error>

#include "base/whole_file.h"

namespace tach::supervisor {

namespace fs = std::filesystem;

fs::path kept_directory(const fs::path& rootdir) {
    return rootdir / ".tach";
}

base::Result<void> make_kept_directory(const fs::path& rootdir) {
    std::error_code error;
    const fs::path ignore = kept_directory(rootdir) / ".gitignore";
    if (fs::exists(ignore, error)) return {};
    return base::replace_file(ignore, {"*\n"});
}

base::Result<void> keep_file(const fs::path& rootdir, const fs::path& name, std::string_view text) {
    if (auto made = make_kept_directory(rootdir); !made) return made;
    return base::replace_file(kept_directory(rootdir) / name, {text});
}

}  // namespace tach::supervisor
