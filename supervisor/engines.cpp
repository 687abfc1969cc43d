#include "supervisor/engines.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <cerrno>

#include "supervisor/usage.h"
#include "zygote/trial.h"

namespace tach::supervisor {
namespace {

using zygote::Rewinder;

Rewinder::Engine kind_of(Engine engine) {
    switch (engine) {
        case Engine::kCow:
            return Rewinder::Engine::kCow;
        case Engine::kMissing:
            return Rewinder::Engine::kMissing;
        default:
            return Rewinder::Engine::kWpAsync;
    }
}

std::string advice_on(Engine engine, int code) {
    if (engine == Engine::kMissing && (code == EPERM || code == EACCES)) {
        return "run as root, or with CAP_SYS_PTRACE, where userfaultfd is allowed";
    }
    switch (code) {
        case EOPNOTSUPP:
        case ENOSYS:
            return "use Linux 6.7 or newer";
        case EBUSY:
            return "switch kernel same-page merging off for this process (PR_SET_MEMORY_MERGE)";
        case EPERM:
        case EACCES:
        case ECHILD:
            break;
        default:
            return "please report it";
    }
    if (engine == Engine::kWpAsync) {
        // PR_GET_SECCOMP: 2 under a filter, see prctl(2).
        return ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ? "allow userfaultfd in the container's seccomp profile"
                                                        : "allow userfaultfd in the system's security policy";
    }
    return "let processes of one user read each other's memory (kernel.yama.ptrace_scope at most 1, no hidepid)";
}

}  // namespace

Finding probe(Engine engine) {
    if (engine == Engine::kFork) return {};
    auto tried = zygote::try_engine(kind_of(engine));
    if (tried) return {};
    return {tried.error().what, advice_on(engine, tried.error().code)};
}

namespace {

base::Result<void> choose(Setting<Engine>& engine) {
    if (engine.value == Engine::kAuto) {
        for (const Engine candidate : kEnginesByMerit) {
            if (!probe(candidate).why_not.empty()) continue;
            engine.value = candidate;
            return {};
        }
    }
    const Finding finding = probe(engine.value);
    if (finding.why_not.empty()) return {};
    return mistake(fmt::format("engine {} ({}): {}; {}, or choose another engine (tach-supervisor doctor)",
                               word(engine.value), engine.where, finding.why_not, finding.advice));
}

}  // namespace

base::Result<void> settle_engine(Settings& settings) {
    Setting<Engine>& engine = settings.engine;
    const Setting<Mode>& mode = settings.mode;
    const bool isolates = mode.value != Mode::kShared && !settings.list;
    if (!isolates) {
        if (engine.value == Engine::kAuto) engine.value = Engine::kFork;
    } else if (mode.value == Mode::kFork && mode.source >= engine.source) {
        engine = {Engine::kFork, mode.source, mode.where};
    } else if (auto chosen = choose(engine); !chosen) {
        return chosen;
    }
    if (!settings.verify_snapshots || (isolates && engine.value != Engine::kFork)) return {};
    if (!isolates) return mistake("--verify-snapshots: nothing is rewound in this run");
    return mistake(
        fmt::format("--verify-snapshots: engine fork ({}) has no snapshots; see tach-supervisor doctor", engine.where));
}

}  // namespace tach::supervisor
