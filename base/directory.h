#pragma once

// Opens and lists directories. A listing is in no order, and is not atomic: what is made or removed meanwhile may or
// may not be in it.

#include <string>
#include <vector>

#include "base/file_status.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

struct DirectoryEntry {
    std::string name;  // neither "." nor ".."
    FileKind kind = FileKind::kUnknown;
};

// `path` as in status_at. To list it, or, with O_PATH in `flags`, to start other paths from it.
[[nodiscard]] Result<UniqueFd> open_directory(int at, const std::string& path, int flags = 0);

[[nodiscard]] Result<std::vector<DirectoryEntry>> list_directory(UniqueFd directory);

}  // namespace tach::base
