#include "supervisor/engines.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <cerrno>
#include <optional>

#include "supervisor/usage.h"
#include "zygote/trial.h"

namespace tach::supervisor {
namespace {

using zygote::Rewinder;

std::string advice_on(Engine engine, int code) {
    switch (code) {
        case EOPNOTSUPP:
        case ENOSYS:
            return "use Linux 6.7 or newer";
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
    if (engine == Engine::kFork) return {engine, "", ""};
    const auto kind = engine == Engine::kCow ? Rewinder::Engine::kCow : Rewinder::Engine::kWpAsync;
    auto tried = zygote::try_engine(kind);
    if (tried) return {engine, "", ""};
    return {engine, tried.error().what, advice_on(engine, tried.error().code)};
}

base::Result<void> settle_engine(Settings& settings) {
    Setting<Engine>& engine = settings.engine;
    const bool rewinds = settings.mode.value != Mode::kShared && !settings.list;
    if (settings.verify_snapshots && engine.value == Engine::kFork) {
        return mistake(
            fmt::format("--verify-snapshots: engine fork ({}) has no snapshots; choose another", engine.where));
    }
    if (engine.value == Engine::kFork || !rewinds) {
        if (engine.value == Engine::kAuto) engine.value = Engine::kFork;
        return {};
    }
    if (engine.value == Engine::kAuto && settings.mode.value == Mode::kFork) {
        engine = {Engine::kFork, settings.mode.source, settings.mode.where};
        return {};
    }
    if (engine.value != Engine::kAuto) {
        const Finding finding = probe(engine.value);
        if (finding.why_not.empty()) return {};
        return mistake(fmt::format("engine {} ({}): {}; {}, or choose another engine (tach-supervisor doctor)",
                                   word(engine.value), engine.where, finding.why_not, finding.advice));
    }
    for (const Engine candidate : kEnginesByMerit) {
        if (!probe(candidate).why_not.empty()) continue;
        engine.value = candidate;
        break;
    }
    if (settings.verify_snapshots && engine.value == Engine::kFork) {
        return mistake("--verify-snapshots: no snapshot engine works here; see tach-supervisor doctor");
    }
    return {};
}

}  // namespace tach::supervisor
