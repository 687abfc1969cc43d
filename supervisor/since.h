#pragma once

// --since: which test files can reach what has changed since a git revision. tach-analyzer knows; here it is asked, and
// its answer is read. Driven once by main, before the Session, which has pytest deselect the tests of the other files.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supervisor/home.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

struct Since {
    struct File {
        std::string path;              // relative to the root, or absolute
        std::vector<std::string> why;  // from the file to what has changed, a step a line
    };

    std::string because;  // if everything is affected: the file that is the reason; else empty
    std::vector<File> affected;
    std::vector<std::string> unaffected;  // absolute; a file in neither list may be affected
};

// An error is a user's mistake (see usage.h): no such revision, no repository, a project that cannot be analysed.
// pytest would be started in `cwd`; `settings` have the revision.
[[nodiscard]] base::Result<Since> ask_since(const Home& home, const std::filesystem::path& cwd,
                                            const Settings& settings);

// What tach-analyzer --format json answers. EPROTO if it is none of that.
[[nodiscard]] base::Result<Since> read_since(std::string_view json);

// One line that tells what is run; then, if more is wanted, one for each affected file that tells why.
[[nodiscard]] std::vector<std::string> describe(const Since& since, const std::string& revision, bool verbose);

}  // namespace tach::supervisor
