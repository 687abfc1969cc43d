#pragma once

// Many inputs, one function, several processes: what a crash or a hang costs is the input that caused it.
//
// run() forks workers that take the numbers 0..count-1 from a counter in shared memory, call the function on each and
// send the bytes that it made over a pipe. A worker says beforehand which number it works on; when it dies, or works on
// one for longer than the budget and is killed, that number is lost, its reason known, and a fresh worker takes its
// place. Numbers are handed out in order and come back in any. Workers die with the caller, dump no core and run no
// exit handlers.
//
// The caller has one thread, and its function must be fit for a forked process. Blocks until all is done.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tach::base {

enum class WorkEnd : std::uint8_t { kDone, kCrashed, kTimedOut };

struct WorkOutcome {
    std::uint32_t number = 0;
    WorkEnd end = WorkEnd::kDone;
    int signal = 0;          // of kCrashed, if one killed it
    int exit_code = 0;       // of kCrashed otherwise
    std::string_view bytes;  // of kDone; gone after the call
};

struct WorkOptions {
    std::size_t workers = 1;
    std::int64_t budget_ns = 0;  // wall time for one number
    // What the caller has to do anyway: called once, in this process, when the workers have begun. None is buried,
    // killed or heard meanwhile.
    std::function<void()> meanwhile;
};

class WorkPool {
  public:
    using Work = std::function<void(std::uint32_t number, std::string& bytes)>;
    using Take = std::function<void(const WorkOutcome& outcome)>;

    // Calls take(outcome) exactly once for each number, in this process. An error if no worker can be had at all.
    [[nodiscard]] static Result<void> run(std::uint32_t count, const WorkOptions& options, const Work& work,
                                          const Take& take);
};

}  // namespace tach::base
