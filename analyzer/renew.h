#pragma once

// An analysis of the last time with what it says of a few changed files made anew.
//
// Most files that change are tests, and what a test file says is nobody else's business. A file stands *alone* if no
// name has led to it (Modules::was_found), it is no plugin, and what was found in it does not depend on which files
// were looked at before. What is said of the others is then as it was, whatever the file says now; and what is said of
// the file itself follows from its own facts, those of the files that it leads to, of plugins and of conftest.py files.
// From these alone a second, small analysis is made, and the file's portion of it put in the place of the old one.
//
// The result has the bytes that an analysis of everything has. Where that is not certain the answer is no: then all is
// made anew.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "analyzer/write_down.h"
#include "shm/analysis_file.h"

namespace tach::analyzer {

// What is one file's own in an analysis, besides its module and its tests.
struct Portion {
    bool is_alone = false;
    std::uint32_t first_fixture = 0;  // into Analysis::fixtures
    std::uint32_t fixture_count = 0;
    std::vector<std::string> told;  // FileDiagnostic::about of what was told when it was looked at, sorted
};

struct Portions {
    std::uint32_t shared_fixtures = 0;  // of Analysis::fixtures: those before the first file's own
    std::uint32_t found_fixtures = 0;   // ... before setup_module and its like
    std::uint32_t named_fixtures = 0;   // ... before those that nobody defines
    std::uint32_t first_told = 0;       // of Analysis::diagnostics: those before discovery's
    std::vector<Portion> files;
};

[[nodiscard]] Portions portions_of(const Findings& findings, const shm::analysis::Analysis& analysis);

// Files whose facts are needed to make anew what is said of `changed`, as far as the old analysis knows: one flag for
// each module.
[[nodiscard]] std::vector<char> needed_for(const std::vector<Index>& changed, const std::vector<WalkedFile>& files,
                                           const shm::analysis::Analysis& old);
// The same once more, if a name has led to a file that was left out: false if none has.
[[nodiscard]] bool add_needed(std::vector<char>& needed, const Modules& modules, const shm::analysis::Analysis& old);

// Changes `old` and its portions. `findings` is of a project in which all other files are left out. False: it cannot be
// done, and `old` is spoilt.
[[nodiscard]] bool renew(shm::analysis::Analysis& old, Portions& portions, const std::vector<Index>& changed,
                         const Findings& findings, Arena& arena);

}  // namespace tach::analyzer
