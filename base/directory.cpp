#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

namespace tach::base {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

FileKind kind_of(unsigned char type) {
    switch (type) {
        case DT_REG:
            return FileKind::kFile;
        case DT_DIR:
            return FileKind::kDirectory;
        case DT_LNK:
            return FileKind::kLink;
        case DT_UNKNOWN:
            return FileKind::kUnknown;
        default:
            return FileKind::kOther;
    }
}

}  // namespace

Result<UniqueFd> open_directory(int at, const std::string& path, int flags) {
    UniqueFd directory(::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
    if (!directory.valid()) return fail(errno_error(path));
    return directory;
}

Result<std::vector<DirectoryEntry>> list_directory(UniqueFd directory) {
    const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(directory.get()));
    if (!stream) return fail(errno_error("fdopendir"));
    (void)directory.release();  // the stream's from here on
    std::vector<DirectoryEntry> entries;
    while (true) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") entries.push_back({std::string(name), kind_of(entry->d_type)});
    }
    if (errno != 0) return fail(errno_error("readdir"));
    return entries;
}

}  // namespace tach::base
