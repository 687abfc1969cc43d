#pragma once

// The keeper: the process between the supervisor and everything that runs Python. It starts the user's interpreter with
// the harness and stays as the subreaper of all that descends from it, so that nothing of a run can outlive it.
//
// It watches the lifeline, a SOCK_SEQPACKET pair whose other end only the supervisor has. When that end closes, because
// the supervisor is done or because it was killed, the keeper kills every descendant, daemons that tests started
// included, and ends. Single-threaded; its own signals (SIGINT, SIGTERM, SIGHUP, SIGQUIT) are blocked, since a terminal
// sends them to the whole group and the supervisor decides what they mean.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::zygote {

// What the keeper tells the supervisor over the lifeline, one packet each.
struct KeeperNews {
    enum class Tag : std::uint32_t {
        kInterpreterEnded = 1,  // value: wait status of the first interpreter process
        kSwept = 2,  // value: how many processes were still there when the supervisor closed its writing side
    };
    std::uint32_t tag;
    std::int32_t value;
};
static_assert(sizeof(KeeperNews) == 8);

struct KeeperOptions {
    base::UniqueFd lifeline;
    bool own_group = true;  // a process group of its own, so that the terminal's signals reach the supervisor alone
    std::vector<std::string> environment;   // NAME=VALUE, set if NAME is not set
    std::vector<base::UniqueFd> inherited;  // descriptors that the interpreter gets under the same numbers
    std::vector<std::string> command;       // the interpreter and its arguments
};

// Runs until the lifeline closes. The result is for an error before the interpreter was started; a user's mistake (it
// cannot be executed) has code ENOENT, EACCES or ENOEXEC.
[[nodiscard]] base::Result<void> keep(KeeperOptions options);

}  // namespace tach::zygote
