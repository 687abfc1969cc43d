#pragma once

// What the sources say against rewinding a test: tach-analyzer's verdict, by node id. A suspicion makes the test one of
// the last, in a process of its own; what the guard finds after it has run so corrects the suspicion for the next run,
// unless the user asked for it by a rule of tach.toml.
//
// A test is suspected for its file, if importing that is toxic, and for toxic fixtures wider than a function that it
// uses. setup_class and its like are taken to be used by all tests in classes of their file. Pure; made once a run.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shm/analysis_file.h"

namespace tach::supervisor {

struct Suspicion {
    std::vector<std::string> reasons;  // a line each, with the evidence and the way to it
    bool by_user = false;              // one of them is the user's word: nothing corrects it

    bool operator==(const Suspicion&) const = default;
};

class Suspicions {
  public:
    Suspicions() = default;
    explicit Suspicions(const shm::analysis::Analysis& from);

    // Of what a stage has written; an error if that is no analysis.
    [[nodiscard]] static base::Result<Suspicions> read(std::string_view bytes);

    [[nodiscard]] bool empty() const { return by_file_.empty() && by_test_.empty(); }
    // Null: none.
    [[nodiscard]] const Suspicion* of(std::string_view nodeid) const;

    // Of what a test of that file depends on, as far as the sources tell: the contents of all files that it reaches by
    // its imports and conftest files. "": the file is not known.
    [[nodiscard]] std::string contents_key(std::string_view file) const;
    [[nodiscard]] const std::string& ini_file() const { return ini_file_; }  // relative to the root; "": none

  private:
    struct File {
        std::string path;
        std::uint64_t hash_low = 0;
        std::uint64_t hash_high = 0;
        std::vector<shm::analysis::Index> imports;
    };

    std::vector<File> files_;  // by path
    std::string ini_file_;
    std::map<std::string, Suspicion, std::less<>> by_file_;  // of all tests of a file
    std::map<std::string, Suspicion, std::less<>> by_test_;  // by id without parameters; with what is of its file
};

}  // namespace tach::supervisor
