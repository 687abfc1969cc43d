#pragma once

// Starts tach-zygote, which starts the user's interpreter with the harness. Driven by the Session, once, and again when
// an interpreter died that everything else depended on.

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/home.h"
#include "supervisor/interpreter.h"
#include "supervisor/peer.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

struct LaunchPlan {
    Home home;
    Interpreter interpreter;
    std::uint64_t seed = 0;
    rlimit descriptor_limit{};  // of open files, as the user has set it
    bool restarted = false;     // an earlier interpreter of this run has died
    bool interactive = false;   // the tests may read the terminal: they stay in its foreground group
};

struct Launched {
    Peer zygote;
    base::UniqueFd lifeline;  // closing it ends everything that descends from the keeper
    pid_t keeper = -1;
};

[[nodiscard]] base::Result<Launched> launch(const Settings& settings, const LaunchPlan& plan);

}  // namespace tach::supervisor
