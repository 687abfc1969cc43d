#include "base/file_status.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/clock.h"

namespace tach::base {
namespace {

// Ten ticks of the slowest clock that kernels stamp files with (CONFIG_HZ=100).
constexpr std::int64_t kTicksNs = 100'000'000;
// Of file systems that keep whole seconds (ext3, ext4 with small inodes) or every other one (FAT), with some room.
constexpr std::int64_t kCoarseNs = 3 * kNsPerSecond;

FileKind kind_of(mode_t mode) {
    if (S_ISREG(mode)) return FileKind::kFile;
    if (S_ISDIR(mode)) return FileKind::kDirectory;
    return S_ISLNK(mode) ? FileKind::kLink : FileKind::kOther;
}

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileStatus status_from(const struct stat& found) {
    return {
        .kind = kind_of(found.st_mode),
        .size = found.st_size,
        .mtime_ns = nanoseconds(found.st_mtim),
        .ctime_ns = nanoseconds(found.st_ctim),
        .inode = found.st_ino,
        .device = found.st_dev,
    };
}

FileStatus status(int directory, const char* path, int flags) {
    struct stat found {};
    if (::fstatat(directory, path, &found, flags) != 0) return {.error = errno};
    return status_from(found);
}

}  // namespace

bool is_settled(const FileStatus& status, std::int64_t now_ns) {
    const bool is_coarse = status.ctime_ns % kNsPerSecond == 0;
    return now_ns - status.ctime_ns >= (is_coarse ? kCoarseNs : kTicksNs);
}

FileStatus status_at(int directory, const char* path) {
    return status(directory, path, 0);
}

FileStatus link_status_at(int directory, const char* path) {
    return status(directory, path, AT_SYMLINK_NOFOLLOW);
}

FileStatus status_of(int fd) {
    struct stat found {};
    if (::fstat(fd, &found) != 0) return {.error = errno};
    return status_from(found);
}

}  // namespace tach::base
