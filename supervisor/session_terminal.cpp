// The terminal of a run: lent to a test that stops in a debugger or reads from it, and left when the user stops the run
// (Ctrl-Z). Processes of the run that somebody stopped without our knowledge go on.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "base/process_tree.h"
#include "supervisor/session.h"

namespace tach::supervisor {

namespace {

// Processes that appear while others are being stopped: their parents are stopped by the next round.
constexpr int kMostRounds = 10;

// From a test up to the keeper: layers, worker, base, zygote. More is somebody's loop in /proc.
constexpr int kDeepest = 32;

// The default action of a signal that is blocked otherwise: this process stops, and goes on here.
void stop_by(int signal) {
    sigset_t one;
    sigset_t before;
    ::sigemptyset(&one);
    ::sigaddset(&one, signal);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
    ::pthread_sigmask(SIG_UNBLOCK, &one, &before);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Stops all that descends from this process; says which. Our own group is the business of whoever stops us.
std::set<pid_t> stop_descendants() {
    std::set<pid_t> stopped;
    for (int round = 0; round < kMostRounds; ++round) {
        const auto found = base::descendants(::getpid());
        if (!found) return stopped;
        bool is_new = false;
        for (const pid_t pid : *found) {
            const auto state = base::process_state(pid);
            if (!state || state->letter == 'T' || ::getpgid(pid) == ::getpgrp() || stopped.contains(pid)) continue;
            if (::kill(pid, SIGSTOP) == 0) is_new = stopped.insert(pid).second;
        }
        if (!is_new) break;
    }
    return stopped;
}

}  // namespace

// --- lending --------------------------------------------------------------------------------------------------------

void Session::terminal_wanted(Id id, const shm::Message& message) {
    if (message.head.b == 0) {
        if (loan_ && loan_->id == id) end_loan();
        return;
    }
    Process& process = processes_.at(id);
    const std::int64_t ticket = message.head.t0;
    if (ticket <= 0) return;
    if (process.opinion) {  // the user has talked to this test already
        process.peer.channel().orders().terminal.store(-ticket, std::memory_order_relaxed);
        return;
    }
    const TerminalWish wish{id, ticket, static_cast<pid_t>(message.head.a), running_serial(process)};
    if (wish.serial != 0 && last_borrower_ == std::pair(id, wish.serial)) {
        wishes_.push_front(wish);  // the next breakpoint of a test comes before another test's
    } else {
        wishes_.push_back(wish);
    }
    if (wishes_.size() == 1) lend_terminal();
}

// Which test a process runs, in a way that never repeats; 0: none.
std::uint64_t Session::running_serial(const Process& process) {
    const shm::RunRecord& record = process.peer.channel().record();
    if (record.item.load(std::memory_order_acquire) == shm::kNoItem) return 0;
    return record.serial.load(std::memory_order_relaxed);
}

// To the one that has waited longest, if nobody has it.
void Session::lend_terminal() {
    while (!loan_ && !wishes_.empty()) {
        const TerminalWish wish = wishes_.front();
        wishes_.pop_front();
        Process* process = find(wish.id);
        if (process == nullptr || process->state == State::kEnded || wish.serial != running_serial(*process)) continue;
        loan_ = wish;
        if (!foreground_.is_ours()) suspend(SIGTTIN);  // as anybody who reads the terminal from the background
        printer_.hold();
        if (const auto item = process->peer.current_item(items_.size())) {
            results_.at(*item).no_rerun = true;
            if (opinions_) opinions_->exclude(*item);
        }
        put_in_front();
        if (wish.ticket > 0) process->peer.channel().orders().terminal.store(wish.ticket, std::memory_order_relaxed);
    }
}

void Session::put_in_front() {
    const pid_t group = loan_->pid > 1 ? ::getpgid(loan_->pid) : -1;
    loan_->shares_group = group == ::getpgrp();
    if (group <= 1 || loan_->shares_group || !foreground_.is_ours()) return;
    foreground_.lend(group);
    ::kill(-group, SIGCONT);  // it may have been stopped for reading
}

void Session::end_loan() {
    if (!loan_) return;
    last_borrower_ = {loan_->id, loan_->serial};
    loan_.reset();
    foreground_.take_back();
    printer_.release();
}

// Whoever has the terminal may have ended, or its test, without a word. Who waits for it gets it a moment after it was
// given back: the same test may want it again.
void Session::check_loan() {
    if (!loan_) return lend_terminal();
    const Process* process = find(loan_->id);
    const bool ended = process == nullptr || process->state == State::kEnded;
    if (ended || (loan_->serial != 0 && running_serial(*process) != loan_->serial)) end_loan();
}

// --- stopping -------------------------------------------------------------------------------------------------------

// Ctrl-Z: all processes of the run stop, whatever their groups, and so does this one, until the shell continues it.
void Session::suspend(int signal) {
    const std::int64_t began = base::monotonic_ns();
    printer_.pause();
    foreground_.take_back();
    const std::set<pid_t> stopped = stop_descendants();
    stop_by(signal);
    // A debugger cannot go on in the background.
    while (loan_ && !foreground_.is_ours()) {
        const std::int64_t again = base::monotonic_ns();
        stop_by(SIGTTIN);
        if (base::monotonic_ns() - again < base::kNsPerMs) break;  // no shell is there to continue us
    }
    for (const pid_t pid : stopped) ::kill(pid, SIGCONT);
    loop_->postpone(base::monotonic_ns() - began);
    stopped_before_.clear();
    if (loan_) put_in_front();
}

// Processes that a test has stopped, its own or those above it: nothing else would ever continue them.
void Session::look_for_stopped() {
    if (!launched_ || settings_.verify_snapshots) return;  // verifying stops processes itself
    std::set<pid_t> seen;
    std::vector<Id> ids;
    for (const auto& [id, process] : processes_) ids.push_back(id);
    for (const Id id : ids) {
        const Process* process = find(id);
        if (process == nullptr || process->state == State::kEnded) continue;
        const pid_t top = process->peer.top_pid();
        pid_t pid = top > 0 ? top : process->peer.pid();
        for (int depth = 0; depth < kDeepest && pid > 1 && pid != ::getpid(); ++depth) {
            const auto state = base::process_state(pid);
            if (!state) break;
            if (state->letter == 'T') {
                if (found_stopped(id, pid)) return;
                seen.insert(pid);
            }
            pid = state->parent;
        }
    }
    stopped_before_ = std::move(seen);
}

// True if the run was suspended meanwhile.
bool Session::found_stopped(Id id, pid_t pid) {
    if (loan_ && loan_->id == id && !loan_->shares_group) {  // Ctrl-Z at a debugger's prompt
        suspend(SIGTSTP);
        return true;
    }
    Process& process = processes_.at(id);
    const auto reads = [this](pid_t one) { return foreground_.is_wanted_by(one); };
    const auto below = base::descendants(pid);
    if (reads(pid) || (below && std::any_of(below->begin(), below->end(), reads))) {
        const bool waits =
            std::any_of(wishes_.begin(), wishes_.end(), [id](const auto& wish) { return wish.id == id; });
        if (!waits) wishes_.push_back({id, 0, pid, running_serial(process)});
        lend_terminal();
        return false;
    }
    // Once may be a test that is going to continue what it stopped.
    if (!stopped_before_.contains(pid) || ::kill(pid, SIGCONT) != 0) return false;
    const auto item = process.peer.current_item(items_.size());
    if (told_stopped_.insert(item.value_or(shm::kNoItem)).second) {
        printer_.line(fmt::format("tach: process {} was stopped{}, and is continued", pid,
                                  item ? " while " + results_.nodeid(*item) + " ran" : ""));
    }
    return false;
}

}  // namespace tach::supervisor
