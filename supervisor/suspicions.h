#pragma once

// What the sources say against rewinding a test: tach-analyzer's verdict, by node id. A suspicion makes the test one of
// the last, in a process of its own; what the guard finds after it has run so corrects the suspicion for the next run,
// unless the user asked for it by a rule of tach.toml.
//
// A test is suspected for its file, if importing that is toxic, and for toxic fixtures wider than a function that it
// uses. setup_class and its like are taken to be used by all tests in classes of their file. Pure; made once a run.

#include <map>
#include <memory>
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

  private:
    std::map<std::string, Suspicion, std::less<>> by_file_;  // of all tests of a file
    std::map<std::string, Suspicion, std::less<>> by_test_;  // by id without parameters; with what is of its file
};

}  // namespace tach::supervisor
