#include "supervisor/session.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "base/fd_passing.h"
#include "base/process_tree.h"
#include "supervisor/usage.h"
#include "zygote/keeper.h"

namespace tach::supervisor {

using base::fail;
using base::Result;
using shm::Kind;
using shm::Role;

namespace {

// How often processes are looked at that could not wake us (a test closed their eventfd), and the progress line moves.
constexpr std::int64_t kTickNs = 100 * base::kNsPerMs;
// How many of them go by between two looks for stopped processes: each costs some reads in /proc for every worker.
constexpr unsigned kTicksBetweenLooks = 2;
// What a process is given after it was asked to end, before it is killed (DESIGN: shutdown message, 5 s, SIGKILL).
constexpr std::int64_t kGraceNs = 5 * base::kNsPerSecond;
// An interpreter that died without having finished a single test more is not started a third time.
constexpr std::uint32_t kFruitlessRestarts = 2;

// What a process of the run costs here: two eventfds, segment, socket, pidfd, and as much again while it is made. What
// the rest may need at most, and how many bases, controller and zygote there are beside workers: guesses.
constexpr rlim_t kDescriptorsOfProcess = 10;
constexpr rlim_t kOwnDescriptors = 32;
constexpr rlim_t kFewestDescriptors = 64;
constexpr rlim_t kProcessesBesideWorkers = 8;

constexpr int kExitInterrupted = 2;
constexpr int kExitInternal = 3;

}  // namespace

Session::Session(Settings settings, Home home, Interpreter interpreter, std::uint64_t seed, bool interactive,
                 Printer& printer)
    : settings_(std::move(settings)), printer_(printer), foreground_(STDIN_FILENO) {
    plan_.home = std::move(home);
    plan_.interpreter = std::move(interpreter);
    plan_.seed = seed;
    plan_.interactive = interactive;
    workers_ = worker_count(settings_.workers.value);
    python_executable_ = plan_.interpreter.executable.string();
}

Result<int> Session::run(const SettleRest& settle_rest) {
    started_ns_ = base::monotonic_ns();
    if (auto made = make_room(); !made) return fail(made.error());
    auto loop = base::EventLoop::create();
    if (!loop) return fail(loop.error());
    loop_.emplace(*std::move(loop));
    auto signals = base::open_signalfd({SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGTSTP});
    if (!signals) return fail(signals.error());
    signals_ = *std::move(signals);
    if (auto added = loop_->add(signals_.get(), EPOLLIN, [this](std::uint32_t) { on_signal(); }); !added) {
        return fail(added.error());
    }
    // Should the keeper be killed, what it kept becomes ours to end.
    if (auto subreaper = base::become_subreaper(); !subreaper) return fail(subreaper.error());
    if (auto started = start_interpreter(); !started) return fail(started.error());
    if (auto settled = settle_rest(settings_); !settled) {
        failure_ = settled.error();
        leave_now(kUsageExit);
    }
    tick();
    auto ran = loop_->run();
    stop_compiler();
    if (!ran) return fail(ran.error());
    printer_.finish();
    if (failure_) return fail(*failure_);
    return exit_code_.value_or(kExitInternal);
}

// Descriptors for all processes; where the hard limit is too low, fewer workers.
Result<void> Session::make_room() {
    const auto wanted = kOwnDescriptors + kDescriptorsOfProcess * (workers_ + kProcessesBesideWorkers);
    room_.emplace(wanted);
    plan_.descriptor_limit = room_->before();
    if (room_->enough()) return {};
    const rlim_t limit = room_->before().rlim_max;
    if (limit < kFewestDescriptors) {
        return mistake(
            fmt::format("ulimit -Hn: no more than {} files may be open, tach needs {}", limit, kFewestDescriptors));
    }
    const rlim_t spare = kOwnDescriptors + kDescriptorsOfProcess * kProcessesBesideWorkers;
    const auto fit = limit > spare ? static_cast<std::uint32_t>((limit - spare) / kDescriptorsOfProcess) : 0U;
    workers_ = std::clamp(fit, 1U, workers_);
    printer_.line(fmt::format("tach: {} worker{}, since no more than {} files may be open (ulimit -Hn)", workers_,
                              workers_ == 1 ? "" : "s", limit));
    return {};
}

// --- processes ------------------------------------------------------------------------------------------------------

Result<void> Session::start_interpreter() {
    auto launched = launch(settings_, plan_);
    if (!launched) return fail(launched.error());
    launched_.emplace(*std::move(launched));
    zygote_ = next_id_++;
    processes_.emplace(zygote_, Process{.role = Role::kZygote, .peer = std::move(launched_->zygote)});
    bases_.assign(1, Base{.process = zygote_});
    if (auto added = loop_->add(launched_->lifeline.get(), EPOLLIN, [this](std::uint32_t) { on_lifeline(); }); !added) {
        return added;
    }
    return watch(zygote_);
}

Result<void> Session::watch(Id id) {
    Peer& peer = processes_.at(id).peer;
    if (auto added = loop_->add(peer.channel().wake_fd(), EPOLLIN, [this, id](std::uint32_t) { drain(id); }); !added) {
        return added;
    }
    return loop_->add(peer.socket(), EPOLLIN, [this, id](std::uint32_t) { on_handshake(id); });
}

Session::Process* Session::find(Id id) {
    const auto found = processes_.find(id);
    return found == processes_.end() ? nullptr : &found->second;
}

Result<Session::Id> Session::fork_process(Id parent, Kind kind, Role role, std::uint32_t item, std::uint32_t a,
                                          std::uint32_t b, std::string_view detail) {
    Peer::Handover handover;
    auto peer = Peer::create(handover);
    if (!peer) return fail(peer.error());
    if (auto forked = processes_.at(parent).peer.fork(kind, item, a, b, handover, detail); !forked)
        return fail(forked.error());
    const Id id = next_id_++;
    Process& made =
        processes_.emplace(id, Process{.role = role, .peer = *std::move(peer), .parent = parent, .number = a})
            .first->second;
    tell_failures(made);
    if (auto watched = watch(id); !watched) return fail(watched.error());
    return id;
}

void Session::on_handshake(Id id) {
    Process* process = find(id);
    if (process == nullptr) return;
    auto shaken = process->peer.shake_hands();
    if (!shaken) return doom(id, shaken.error().what);
    if (!*shaken && !process->peer.ended()) return;
    loop_->remove(process->peer.socket());
    if (process->peer.ended()) {
        // The zygote's end is the keeper's to tell, with its status.
        if (process->role != Role::kZygote) on_ended(id);
        return;
    }
    if (process->role != Role::kZygote) {
        if (auto added = loop_->add(process->peer.pidfd(), EPOLLIN, [this, id](std::uint32_t) { on_ended(id); });
            !added) {
            return doom(id, added.error().what);
        }
    }
    if (settings_.engine.value == Engine::kMissing) {
        if (auto added = loop_->add(process->peer.socket(), EPOLLIN, [this, id](std::uint32_t) { on_userfault(id); });
            !added) {
            return doom(id, added.error().what);
        }
    }
    if (process->role == Role::kWorker && process->state == State::kBooting) {
        process->state = State::kIdle;
        pump();
    }
}

void Session::on_userfault(Id id) {
    Process* process = find(id);
    if (process == nullptr) return;
    auto packet = process->peer.receive_userfault();
    if (process->peer.ended()) loop_->remove(process->peer.socket());
    if (!packet) return doom(id, packet.error().what);
    if (!*packet) return;
    if (!faults_) {
        auto started = zygote::FaultServer::start();
        if (!started) return fail_run(started.error().what);
        faults_ = *std::move(started);
    }
    if (auto added = faults_->add(**std::move(packet)); !added) doom(id, added.error().what);
}

// The process is gone: hear what it had said, then ask its parent for how it ended.
void Session::on_ended(Id id) {
    drain(id);
    Process* process = find(id);
    if (process == nullptr || process->state == State::kEnded) return;
    process->state = State::kEnded;
    loop_->remove(process->peer.channel().wake_fd());
    loop_->remove(process->peer.socket());
    if (process->peer.pidfd() >= 0) loop_->remove(process->peer.pidfd());
    Process* parent = find(process->parent);
    if (process->peer.pid() > 0 && parent != nullptr && parent->state != State::kEnded) {
        const auto pid = static_cast<std::uint32_t>(process->peer.pid());
        if (parent->peer.post(Kind::kReap, shm::kNoItem, pid)) return;
    }
    worker_ended(id, std::nullopt);
}

void Session::drain(Id id) {
    Process* process = find(id);
    if (process == nullptr || process->state == State::kEnded) return;
    process->peer.channel().acknowledge_wake();
    if (auto flushed = process->peer.channel().flush_backlog(); !flushed) return doom(id, flushed.error().what);
    while (true) {
        process = find(id);
        if (process == nullptr) return;
        auto message = process->peer.channel().receive();
        if (!message) return doom(id, message.error().what);
        if (!*message) return;
        handle(id, **std::move(message));
    }
}

void Session::drain_all() {
    std::vector<Id> ids;
    for (const auto& [id, process] : processes_) ids.push_back(id);
    for (const Id id : ids) drain(id);
}

void Session::tick() {
    drain_all();
    check_loan();
    if (++ticks_ % kTicksBetweenLooks == 0) look_for_stopped();
    show_progress(false);
    loop_->after(kTickNs, [this] { tick(); });
}

// A process that broke the protocol is as good as dead.
void Session::doom(Id id, const std::string& why) {
    Process* process = find(id);
    if (process == nullptr || process->state == State::kEnded) return;
    if (process->role == Role::kZygote || process->role == Role::kController) {
        fail_run(fmt::format("the {} process broke the protocol: {}",
                             process->role == Role::kZygote ? "zygote" : "controller", why));
        return;
    }
    if (process->doomed) return;
    if (!process->opinion) printer_.line(fmt::format("tach: worker {} is replaced: {}", process->number, why));
    process->replace = process->doomed = true;
    process->peer.kill(SIGKILL);
    loop_->remove(process->peer.channel().wake_fd());
}

// --- the keeper -----------------------------------------------------------------------------------------------------

void Session::on_lifeline() {
    auto packet = base::receive_packet(launched_->lifeline.get());
    if (!packet || packet->status == base::Packet::Status::kClosed) {
        if (launched_->lifeline.valid()) loop_->remove(launched_->lifeline.get());
        if (stage_ == Stage::kSweeping || exit_code_) return loop_->stop();
        int status = 0;
        if (::waitpid(launched_->keeper, &status, 0) == launched_->keeper && WIFEXITED(status) &&
            WEXITSTATUS(status) != 0) {
            exit_code_ = WEXITSTATUS(status);  // it has said why
            return loop_->stop();
        }
        failure_ = base::protocol_error("tach-zygote ended unexpectedly");
        static_cast<void>(base::kill_descendants(::getpid()));  // they are ours now, see become_subreaper
        return loop_->stop();
    }
    zygote::KeeperNews news{};
    if (packet->status != base::Packet::Status::kReceived || packet->bytes.size() != sizeof news) return;
    std::copy_n(packet->bytes.begin(), sizeof news, reinterpret_cast<std::byte*>(&news));  // NOLINT
    if (news.tag == static_cast<std::uint32_t>(zygote::KeeperNews::Tag::kInterpreterEnded)) {
        on_interpreter_ended(news.value);
    }
}

void Session::on_interpreter_ended(int status) {
    drain(zygote_);
    Process* process = find(zygote_);
    if (process == nullptr) return;
    loop_->remove(process->peer.channel().wake_fd());
    loop_->remove(process->peer.socket());
    process->state = State::kEnded;
    if (stage_ == Stage::kClosingZygote) return leave_now(exit_code_.value_or(kExitInternal));
    if (process->retired) return leave_now(WIFEXITED(status) ? WEXITSTATUS(status) : kExitInternal);
    // boot.py has said why, in one line.
    if (python_version_.empty() && WIFEXITED(status) && WEXITSTATUS(status) == kUsageExit) return leave_now(kUsageExit);
    if (interrupted_ && solo_) return leave_now(kExitInterrupted);

    const auto item = process->peer.current_item(items_.size());
    if (solo_ && item && !items_[*item].complete) {
        shm::Message crashed;
        crashed.head.kind = static_cast<std::uint16_t>(Kind::kCrashed);
        crashed.head.item = *item;
        crashed.head.a = WIFSIGNALED(status) ? static_cast<std::uint32_t>(WTERMSIG(status)) : 0;
        crashed.head.b = WIFEXITED(status) ? static_cast<std::uint32_t>(WEXITSTATUS(status)) : 0;
        item_crashed(zygote_, crashed);
    }
    const std::string how = WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                                                : fmt::format("exited with status {}", WEXITSTATUS(status));
    if (python_version_.empty()) {
        failure_ =
            mistake(fmt::format("{}: {} before it ran tach's harness; is it a Python interpreter? (--python EXE)",
                                python_executable_, how))
                .value();
        return leave_now(kUsageExit);
    }
    if (completed_ > completed_at_restart_) restarts_ = 0;
    if (!solo_ || items_.empty() || ++restarts_ > kFruitlessRestarts) {
        return fail_run(fmt::format("the interpreter that collected the tests {}", how));
    }
    completed_at_restart_ = completed_;
    ++respawns_;
    loop_->remove(launched_->lifeline.get());
    processes_.erase(zygote_);
    launched_.reset();
    plan_.restarted = true;
    python_version_.clear();
    if (auto started = start_interpreter(); !started) fail_run(started.error().what);
}

// Ends every process at once and then the loop.
void Session::leave_now(int exit_code) {
    exit_code_ = exit_code;
    stage_ = Stage::kSweeping;
    wishes_.clear();
    end_loan();
    for (auto& [id, process] : processes_) {
        if (process.state != State::kEnded) drain(id);
    }
    if (!launched_ || !launched_->lifeline.valid()) return loop_->stop();
    ::shutdown(launched_->lifeline.get(), SHUT_WR);  // the keeper kills what is left, says so and closes its end
    loop_->after(kGraceNs, [this] { loop_->stop(); });
}

void Session::fail_run(const std::string& what) {
    if (!failure_) failure_ = base::protocol_error(what);
    leave_now(kExitInternal);
}

// --- signals --------------------------------------------------------------------------------------------------------

void Session::on_signal() {
    while (true) {
        auto signal = base::read_signal(signals_.get());
        if (!signal || !*signal) return;
        if (**signal == SIGTSTP) {
            suspend(SIGTSTP);
        } else if (**signal != SIGCHLD) {
            interrupt(**signal);
        }
    }
}

void Session::show_progress(bool force) {
    const std::int64_t now = base::monotonic_ns();
    if (stage_ != Stage::kRunning || !announced_ || (!force && !printer_.due(now))) return;
    Progress progress{
        .done = completed_, .total = cut_ ? *cut_ + 1 : items_.size(), .counts = results_.counts(), .running = {}};
    progress.done = std::min(progress.done, progress.total);
    for (const auto& [id, process] : processes_) {
        if (process.state != State::kRunning && !(solo_ && id == zygote_)) continue;
        const auto item = process.peer.current_item(items_.size());
        if (!item) continue;
        const std::int64_t began = process.peer.channel().record().started_ns.load(std::memory_order_relaxed);
        progress.running.push_back({results_.nodeid(*item), std::max<std::int64_t>(0, now - began)});
    }
    if (pass_) progress.activity = pass_text(now);
    printer_.progress(progress, now);
}

ReportInputs Session::report_inputs() const {
    ReportInputs inputs;
    inputs.version = TACH_VERSION;
    inputs.engine = word(settings_.engine.value);
    inputs.seed = plan_.seed;
    inputs.workers = workers_;
    inputs.exit_code = exit_code_.value_or(kExitInternal);
    inputs.duration_ns = base::monotonic_ns() - started_ns_;
    inputs.python_executable = python_executable_;
    inputs.python_version = python_version_;
    inputs.metrics["respawns"] = respawns_;
    inputs.metrics["second_opinion_passes"] = opinions_ ? opinions_->passes() : 0;
    inputs.metrics["order_dependent"] = order_dependent_;
    inputs.metrics["unconfirmed"] = unconfirmed_;
    const auto suspected = std::count_if(forked_.begin(), forked_.end(),
                                         [](const auto& entry) { return entry.second.by == Forked::By::kSources; });
    inputs.metrics["suspected"] = static_cast<double>(suspected);
    inputs.metrics["remembered_condemned"] = static_cast<double>(forked_.size()) - static_cast<double>(suspected);
    inputs.metrics["modules_from_image"] = loaded_.hits;
    inputs.metrics["modules_changed"] = loaded_.stale;
    rewind_metrics_.tell(inputs.metrics);
    return inputs;
}

}  // namespace tach::supervisor
