#pragma once

// What stat(2) says of a path, for those who look at many. Never an Error: that a file is missing or cannot be reached
// is an answer, and the caller decides what it means.

#include <cstdint>

namespace tach::base {

enum class FileKind : std::uint8_t {
    kNone,     // see FileStatus::error
    kUnknown,  // of a DirectoryEntry alone: the file system does not tell
    kFile,
    kDirectory,
    kLink,
    kOther,  // a socket, a pipe, a device
};

struct FileStatus {
    FileKind kind = FileKind::kNone;
    int error = 0;  // an errno value: ENOENT, ELOOP, EACCES, ...
    std::int64_t size = 0;
    std::int64_t mtime_ns = 0;  // since the epoch
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
};

// `path` is relative to the open directory `directory` (or to the working directory: AT_FDCWD), or absolute. Links are
// followed.
[[nodiscard]] FileStatus status_at(int directory, const char* path);

// The same of a link itself.
[[nodiscard]] FileStatus link_status_at(int directory, const char* path);

// Of an open descriptor.
[[nodiscard]] FileStatus status_of(int fd);

// Whether a later change of the file would show in its times, if realtime_ns() said `now_ns` before its status was
// taken: the kernel stamps files with a clock of ticks, so that a change right after the last one may not.
[[nodiscard]] bool is_settled(const FileStatus& status, std::int64_t now_ns);

}  // namespace tach::base
