#pragma once

// Files that are read at once and replaced at once. Whoever reads a file that replace_file() writes gets all of what
// some writer has written, or the error that there is none; writers at the same time lose what the other has written
// and nothing else.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/file_status.h"
#include "base/result.h"

namespace tach::base {

// The whole of a regular file. Codes: ENOENT if there is none, EINVAL if it is no regular file, EFBIG if it is larger
// than `at_most`, EIO if it gets shorter meanwhile.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t at_most = UINT64_MAX);

// A file as it was at one moment, and what tells that it is still the same.
struct SettledFile {
    std::string bytes;
    FileStatus status;
    std::int64_t looked_at_ns = 0;  // realtime_ns() before it was read; 0: it was changed each time it was read
};

// The same, but what is changed while it is read is read once more, a few times.
[[nodiscard]] Result<SettledFile> read_settled_file(const std::string& path, std::uint64_t at_most = UINT64_MAX);

// Writes the pieces, one after the other, into a file beside `path` and renames it. Directories above are made. What is
// there and no regular file (/dev/null, a directory) is not replaced: EINVAL. After an error `path` is as it was, and
// nothing is left beside it.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::initializer_list<std::string_view> pieces);

}  // namespace tach::base
