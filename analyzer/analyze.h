#pragma once

// The stage as a whole: finds the files, parses those that have changed since the last time, and makes the analysis of
// all. Nothing is parsed twice, and nothing is done if nothing has changed.
//
// One thread; parsing is done by child processes (parse_files.h).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "analyzer/affected.h"
#include "analyzer/settings.h"
#include "analyzer/walk.h"
#include "base/result.h"
#include "shm/analysis_file.h"

namespace tach::analyzer {

struct Task {
    std::string root;  // where pytest is started: absolute
    std::vector<std::string> arguments;
    std::string output;  // where the analysis is kept; its cache is beside it
    std::size_t jobs = 1;
    std::uint32_t pytest = 0;  // major * 100 + minor; 0: unknown
    bool paranoid = false;
    std::string config;  // the file that has the rules, absolute; empty: as find_rules() finds it in the root
};

struct Counts {
    std::size_t files = 0;
    std::size_t parsed = 0;
    std::size_t same = 0;  // read because their signature had changed, or to be sure, and found to be as before
    bool kept = false;     // what is said of files that were not parsed was not made anew
};

class Stage {
  public:
    // An error if the root cannot be read or the rules in tach.toml are wrong: a user's mistake, of one line.
    [[nodiscard]] static base::Result<Stage> run(const Task& task);

    Stage(Stage&&) noexcept;
    Stage& operator=(Stage&&) noexcept;
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    ~Stage();

    // Nothing had changed since the output was written, and nothing was done.
    [[nodiscard]] bool is_unchanged() const;
    [[nodiscard]] const Counts& counts() const;
    [[nodiscard]] const Settings& settings() const;
    // What the analysis was made from, by absolute paths: files, and the directories that were listed, in which a new
    // file is a change.
    struct Inputs {
        std::vector<std::string> files;
        std::vector<std::string> directories;
    };
    [[nodiscard]] Inputs inputs() const;

    // Of what is written; read from the output if nothing had changed.
    [[nodiscard]] base::Result<const shm::analysis::Analysis*> analysis();

    // Writes the output, unless its bytes are right already, and the cache.
    [[nodiscard]] base::Result<void> write();

    // Lines for people: the tests that can reach any of these files, or why it is all of them.
    struct AffectedLines {
        std::vector<std::string> tests;  // node ids, or files where the tests in them are not known
        std::vector<std::string> notes;
    };
    [[nodiscard]] base::Result<AffectedLines> affected_by(const std::vector<std::string>& changed);

    // For programs. What runs with the tests and could not be read to its end may import anything: it
    // counts as changed.
    [[nodiscard]] base::Result<AffectedFiles> affected_files(std::vector<std::string> changed);

  private:
    struct State;
    explicit Stage(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace tach::analyzer
