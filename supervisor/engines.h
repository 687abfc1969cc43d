#pragma once

// Which engine brings tests back to a clean state: the one place that probes and chooses. Driven once by main, while it
// is single-threaded.

#include <array>
#include <string>

#include "base/result.h"
#include "supervisor/choices.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

// The engines in the order in which they are preferred; `fork` works everywhere.
inline constexpr std::array kEnginesByMerit{Engine::kWpAsync, Engine::kCow, Engine::kMissing, Engine::kFork};

struct Finding {
    std::string why_not;  // empty: it works
    std::string advice;   // what to change so that it works
};

// Tries an engine for real, in a process of its own.
Finding probe(Engine engine);

// Replaces `auto` by the best engine that works; one that was asked for by name must work: it is never replaced by
// something else in silence. Nothing is tried for a run that does not need it.
base::Result<void> settle_engine(Settings& settings);

}  // namespace tach::supervisor
