#pragma once

// Everything below a process, found in /proc. Driven by the keeper, which is a subreaper: what a test starts
// and abandons is reparented to it and so stays a descendant. Cost: one read of /proc/<pid>/stat for each
// process of the machine and round, so for endings only.

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/result.h"

namespace tach::base {

// Living descendants of `root` (zombies do not count, unless a thread of theirs still runs), in no particular
// order. A process that starts or is reparented meanwhile may be missing.
[[nodiscard]] Result<std::vector<pid_t>> descendants(pid_t root);

struct ProcessState {
    char letter;  // as proc(5) has it: 'T' is stopped by a signal
    pid_t parent;
};
// Nothing if there is no such process.
[[nodiscard]] std::optional<ProcessState> process_state(pid_t pid);

// Kills (SIGKILL) the descendants of `root`, again and again, until two looks in a row find none. False if
// some are left after `max_rounds` looks, one to ten milliseconds apart. Reaps nobody.
[[nodiscard]] Result<bool> kill_descendants(pid_t root, int max_rounds = 500);

// Reaps every child of this process that has ended; says how many.
int reap_ended_children();

// Orphaned descendants become children of this process from now on, instead of init's.
[[nodiscard]] Result<void> become_subreaper();

// Has the kernel kill this process when its parent, the thread that made it, ends. False if that is no longer `parent`.
[[nodiscard]] bool die_with(pid_t parent);

}  // namespace tach::base
