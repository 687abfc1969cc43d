#pragma once

// Runs another program and keeps what it says: for questions to tools, such as Git. No shell, no terminal: it reads
// /dev/null and does not inherit our signal mask. LC_ALL=C, so that what it says can be read.

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

struct Finished {
    int status = 0;  // its exit code; 128 and the number of the signal that ended it
    std::string standard_output;
    std::string standard_error;
};

// A program that runs beside us. Killed, and waited for, if nobody has asked for its end. What it says is kept in
// memory files, so that it never waits for us; what it leaves running is not waited for. Not thread-safe.
class RunningCommand {
  public:
    // The program is looked for on PATH. Code ENOENT if it is not there.
    [[nodiscard]] static Result<RunningCommand> start(const std::vector<std::string>& command);
    ~RunningCommand();
    RunningCommand(RunningCommand&& other) noexcept;
    RunningCommand& operator=(RunningCommand&& other) noexcept;
    RunningCommand(const RunningCommand&) = delete;
    RunningCommand& operator=(const RunningCommand&) = delete;

    [[nodiscard]] int pidfd() const { return pidfd_.get(); }  // readable once it has ended
    // Waits for its end; false if that does not come in time. Any number of times.
    [[nodiscard]] bool ends_within(int timeout_ms) const;
    // Waits for its end, however long that takes. Once.
    [[nodiscard]] Finished finish();

  private:
    RunningCommand() = default;

    pid_t pid_ = -1;  // -1: it has been waited for
    UniqueFd pidfd_;
    UniqueFd output_;
    UniqueFd error_output_;
};

// From its start to its end. Code ETIMEDOUT if it took longer and was killed.
[[nodiscard]] Result<Finished> run_command(const std::vector<std::string>& command, int timeout_ms);

}  // namespace tach::base
