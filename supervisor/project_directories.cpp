#include "supervisor/project_directories.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <system_error>

namespace tach::supervisor {
namespace {

namespace fs = std::filesystem;

struct Rights {
    uid_t owner = 0;
    bool is_open = false;  // anybody may write there, as in /tmp
};

std::optional<Rights> rights_of(const fs::path& directory) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) return std::nullopt;
    return Rights{.owner = status.st_uid, .is_open = (status.st_mode & S_IWOTH) != 0};
}

bool is_everybodys(const fs::path& directory) {
    if (directory == directory.root_path()) return true;
    const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): one thread
    std::error_code error;
    return home != nullptr && *home != '\0' && fs::equivalent(directory, home, error);
}

bool is_working_copy(const fs::path& directory) {
    std::error_code error;
    return fs::exists(directory / ".git", error) || fs::exists(directory / ".hg", error);
}

}  // namespace

std::vector<fs::path> project_directories(const fs::path& cwd) {
    std::vector<fs::path> found{cwd};
    const auto ours = rights_of(cwd);
    for (fs::path directory = cwd; !is_working_copy(directory) && directory.has_relative_path();) {
        directory = directory.parent_path();
        if (is_everybodys(directory)) break;
        const auto theirs = rights_of(directory);
        if (!ours || !theirs || theirs->is_open) break;
        if (theirs->owner != ours->owner && theirs->owner != ::geteuid()) break;
        found.push_back(directory);
    }
    return found;
}

fs::path kept_root(const fs::path& rootdir, const fs::path& cwd) {
    return is_everybodys(rootdir) ? cwd : rootdir;
}

}  // namespace tach::supervisor
