// Ctrl-C and its kin: what runs is interrupted, named with the place where it is, and ended if it does not listen.

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "shm/stack_signal.h"
#include "supervisor/session.h"
#include "supervisor/stack_text.h"

namespace tach::supervisor {

namespace {

// What a process is given after it was asked to end, before it is killed (DESIGN: shutdown message, 5 s, SIGKILL).
constexpr std::int64_t kGraceNs = 5 * base::kNsPerSecond;
// After that long without a reaction the user is told where the test is: nobody stares at a terminal for longer.
constexpr std::int64_t kPatienceNs = base::kNsPerSecond;
// What faulthandler needs to write a stack (a guess; it writes some lines).
constexpr std::int64_t kStackNs = 100 * base::kNsPerMs;

constexpr int kExitInterrupted = 2;

}  // namespace

// Once: stop handing out, interrupt what runs, finalise, report. Twice: leave now.
void Session::interrupt(int signal) {
    if (signal == SIGINT && loan_ && loan_->shares_group) return;  // it was for the debugger
    if (++signals_seen_ > 1) {
        end_loan();
        printer_.finish();
        return leave_now(kExitInterrupted);
    }
    interrupted_ = true;
    const bool is_patient = signal == SIGINT;
    if (!is_patient) loop_->after(kGraceNs, [this] { leave_now(kExitInterrupted); });
    const auto everybody = [](const Process&) { return true; };
    if (stage_ == Stage::kCollecting || solo_) {
        Process* zygote = find(zygote_);
        if (zygote != nullptr && !plan_.interactive) zygote->peer.kill(SIGINT);
        // Fixtures have as much time as they want to be finalised.
        if (solo_) await_reaction(running_tests(everybody), shm::Phase::kCall, is_patient);
        return;
    }
    if (stage_ != Stage::kRunning) return;
    schedule_->abandon();
    set_limits();
    are_sources_late_ = true;
    settle_routes();
    std::vector<Stopped> stopped = running_tests(everybody);
    for (Stopped& test : stopped) {
        // A test that shares our group has heard Ctrl-C already, and must not hear it twice.
        test.is_told = !(signal == SIGINT && foreground_.is_terminal() && ::getpgid(test.top) == ::getpgrp());
        if (test.is_told) ::kill(test.top, SIGINT);
    }
    // Fixtures that are being set up or finalised have their time; a second signal ends them.
    await_reaction(std::move(stopped), shm::Phase::kTeardown, is_patient);
    pump();
}

std::vector<Session::Stopped> Session::running_tests(const std::function<bool(const Process&)>& concerned) const {
    std::vector<Stopped> running;
    for (const auto& [id, process] : processes_) {
        const pid_t top = process.peer.top_pid();
        if (process.state == State::kEnded || top == 0 || !concerned(process)) continue;
        running.push_back({id, top, running_serial(process), true});
    }
    return running;
}

// Whether it still runs the same test, in a phase up to `last`.
bool Session::runs_still(const Stopped& test, shm::Phase last) const {
    const auto found = processes_.find(test.id);
    if (found == processes_.end()) return false;
    const Process& process = found->second;
    const bool runs = process.state == State::kRunning || (solo_ && test.id == zygote_);
    if (!runs || process.peer.top_pid() != test.top || running_serial(process) != test.serial) return false;
    return process.peer.channel().record().phase.load(std::memory_order_relaxed) <= static_cast<std::uint32_t>(last);
}

// Tells of tests that do not react to the user's interrupt, and ends them when their time is over.
void Session::await_reaction(std::vector<Stopped> tests, shm::Phase last_killed, bool is_patient) {
    loop_->after(kPatienceNs, [this, tests = std::move(tests), last_killed, is_patient] {
        for (const Stopped& test : tests) {
            if (!runs_still(test, shm::Phase::kPop)) continue;
            if (!test.is_told) ::kill(test.top, SIGINT);
            // To its main thread, whatever other ones there are: that one runs the test.
            ::syscall(SYS_tgkill, test.top, test.top, shm::kStackSignal);
        }
        loop_->after(kStackNs, [this, tests, last_killed, is_patient] {
            for (const Stopped& test : tests) tell_where(test);
            const std::int64_t left = is_patient ? kGraceNs - kPatienceNs - kStackNs : 0;
            loop_->after(left, [this, tests, last_killed] { kill_stopped(tests, last_killed); });
        });
    });
}

void Session::tell_where(const Stopped& test) {
    if (!runs_still(test, shm::Phase::kPop)) return;
    const Process& process = processes_.at(test.id);
    const auto item = process.peer.current_item(items_.size());
    if (!item) return;
    const std::int64_t began = process.peer.channel().record().started_ns.load(std::memory_order_relaxed);
    const std::int64_t age_s = std::max<std::int64_t>(0, base::monotonic_ns() - began) / base::kNsPerSecond;
    const std::string stack = read_stack(test.top);
    printer_.line(fmt::format("tach: still running: {} ({} s){}", results_.nodeid(*item), age_s,
                              stack.empty() ? ", where is not known" : ""));
    std::string_view rest = stack;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        printer_.line(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    killed_.insert(*item);
}

void Session::kill_stopped(const std::vector<Stopped>& tests, shm::Phase last_killed) {
    for (const Stopped& test : tests) {
        if (runs_still(test, last_killed)) ::kill(test.top, SIGKILL);
    }
}

// Interrupts the tests of those processes, which nobody wants any more; one that ignores that for too long loses its
// process, if it is still in a phase up to `last_killed`. The user may finish talking to a debugger.
void Session::stop_tests(const std::function<bool(const Process&)>& concerned, shm::Phase last_killed) {
    std::vector<Stopped> stopped = running_tests(concerned);
    std::erase_if(stopped, [this](const Stopped& test) { return loan_ && loan_->id == test.id; });
    if (stopped.empty()) return;
    for (const Stopped& test : stopped) ::kill(test.top, SIGINT);
    loop_->after(kGraceNs, [this, stopped = std::move(stopped), last_killed] { kill_stopped(stopped, last_killed); });
}

// A test was interrupted by the user's wish, and says where. pytest's own text tells of the first one in its order.
void Session::interrupted_at(std::uint32_t item, shm::Message message) {
    killed_.erase(item);
    interruptions_.insert_or_assign(item, std::move(message));
}

void Session::pass_on_interruption() {
    if (!interrupted_ || interruptions_.empty()) return;
    Process* controller = find(controller_);
    if (controller == nullptr) return;
    shm::Message& first = interruptions_.begin()->second;
    first.head.b = 1;  // only what it says is wanted
    if (auto passed = controller->peer.pass_on(first); !passed) fail_run(passed.error().what);
}

std::vector<std::string> Session::interruption_lines() const {
    std::vector<std::string> lines;
    for (const auto& [item, message] : interruptions_) {
        const std::string_view place = message.string(2);
        lines.push_back(
            fmt::format("interrupted: {}{}", results_.nodeid(item), place.empty() ? "" : fmt::format(" at {}", place)));
    }
    for (const std::uint32_t item : killed_) {
        if (!items_[item].complete) {
            lines.push_back(fmt::format("ended: {}, it did not react to the interrupt", results_.nodeid(item)));
        }
    }
    return lines;
}

}  // namespace tach::supervisor
