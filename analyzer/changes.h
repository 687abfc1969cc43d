#pragma once

// What has changed since a revision, asked of Git: the working tree against it, what is staged included, and files that
// Git does not track and does not ignore.

#include <string>
#include <vector>

#include "base/result.h"

namespace tach::analyzer {

// Changed, new and deleted files of the whole repository, sorted: relative to `root` if they are below it, else
// absolute, also where `root` is a directory within the repository. A renamed file is two. An error is one line that
// says what to do: no Git, no repository, no such revision.
[[nodiscard]] base::Result<std::vector<std::string>> changed_since(const std::string& root,
                                                                   const std::string& revision);

}  // namespace tach::analyzer
