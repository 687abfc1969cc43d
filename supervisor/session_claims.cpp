// Whether what a process says of a test is its to say, and what follows if it is not: the process is ended, and each
// test that may have lied, or been lied about, is run again by itself, so that who lies then is known.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Message;
using shm::Role;

bool Session::is_done(const Process& process, std::uint32_t item) const {
    if (!process.opinion) return items_[item].complete;
    const auto known = opinion_results_.find(item);
    return known != opinion_results_.end() && known->second.done;
}

std::optional<std::uint32_t> Session::current_of(Process& process) const {
    return process.claims.current([&](std::uint32_t item) { return is_done(process, item); });
}

bool Session::is_suspect(const Run& run) const {
    const std::vector<std::uint32_t> items = run.all();
    return std::any_of(items.begin(), items.end(), [this](std::uint32_t item) { return items_[item].suspect; });
}

// Not when tests are being stopped: those have no end that counts.
bool Session::is_in_a_test(Process& process) const {
    const auto current = current_of(process);
    if (!current || process.opinion || interrupted_ || cut_ || process.claims.has_left(*current)) return false;
    return items_[*current].started && !items_[*current].dropped;
}

Claim Session::weigh_message(Process& process, const Message& message) {
    const std::uint32_t index = message.head.item;
    const bool is_complete = items_[index].complete;
    const Claim by_right = is_complete ? Claim::kLate : Claim::kHeard;
    const Claim by_wrong = message.kind() == Kind::kWarning ? Claim::kIgnored : Claim::kBroken;
    if (process.claims.has_left(index)) return by_right;
    if (process.finishing) return index == process.charged || process.opinion ? by_right : by_wrong;
    if (process.role == Role::kBase && bases_[process.number].state == BaseState::kStarting) {
        return index == bases_[process.number].opened_by ? by_right : by_wrong;
    }
    const auto done = [&](std::uint32_t item) { return is_done(process, item); };
    const Standing standing = process.claims.standing(index, done);
    const bool is_idle = !process.run && !solo_;
    if (is_idle) return by_wrong;
    if (!process.opinion) return weigh(message.kind(), standing, items_[index].started);
    const auto known = opinion_items_.find(index);
    return weigh(message.kind(), standing, known != opinion_items_.end() && known->second.started);
}

// `item`: what it spoke of, or kNoItem.
void Session::break_protocol(Id id, const std::string& what, std::uint32_t item) {
    Process& process = processes_.at(id);
    if (interrupted_) return;
    if (solo_) {
        // The session is pytest's own, and its verdicts are; ours follow them.
        if (!std::exchange(has_ignored_, true)) printer_.line("tach: what a test says of other tests is ignored");
        return;
    }
    const std::string about = item < items_.size() ? fmt::format(": {}", results_.nodeid(item)) : "";
    const std::string why = fmt::format("a test {}{}", what, about);
    if (process.opinion) {
        seen_.clear();  // nothing that was said before is sure, either
        return doom(id, why);
    }
    process.breach = why;
    doom(id, why);
    doubt_since(process, item);
}

// A process tells of one test after the other, and its record says what it really runs: if the end of that was told
// before, or of the one that it spoke of, then that may have been a lie, and all that followed it.
void Session::doubt_since(Process& liar, std::uint32_t spoken_of) {
    const std::uint32_t running = liar.peer.channel().record().item.load(std::memory_order_acquire);
    std::vector<std::uint32_t> doubted = liar.claims.ended_since(running);
    std::vector<std::uint32_t> since = liar.claims.ended_since(spoken_of);
    if (since.size() > doubted.size()) doubted = std::move(since);
    const auto current = current_of(liar);
    const bool is_within = current && items_[*current].started;
    if (doubted.empty() && !is_within && liar.claims.last()) doubted = {*liar.claims.last()};
    if (doubted.empty()) return;
    if (stage_ == Stage::kClosingWorkers) stage_ = Stage::kRunning;
    if (stage_ != Stage::kRunning) return fail_run(liar.breach);
    liar.is_found_late = true;
    std::vector<std::uint32_t> again;
    for (const std::uint32_t told : doubted) {
        reopen(told, "told by a process that broke the protocol; this is its second run");
        // In a run of its own there was nobody else to tell of it.
        if (std::exchange(items_[told].suspect, true) && told == doubted.front()) {
            charge_death(liar, told, std::nullopt, liar.breach);
        } else if (!liar.run || !liar.run->contains(told)) {
            again.push_back(told);
        }
    }
    if (again.empty()) return;
    std::sort(again.begin(), again.end());
    const std::uint32_t first = again.front();
    const std::uint32_t last = again.back() + 1;
    requeue_unfinished(Run{first, last, liar.pool, 0, std::move(again)}, true);
}

// The test has no verdict any more.
void Session::reopen(std::uint32_t index, std::string note) {
    Item& item = items_[index];
    if (!item.complete) return;
    item.complete = item.held_done = item.started = false;
    --completed_;
    item.messages.clear();
    const bool no_rerun = results_.at(index).no_rerun;
    results_.at(index) = ItemResult{};
    results_.at(index).no_rerun = no_rerun;
    results_.at(index).note = std::move(note);
    if (index >= order_->waiting_for()) order_->reopen(index);
    unsettled_.erase(index);
    replacements_.erase(index);
    judged_.erase(index);
    live_reasons_.erase(index);
}

// It is dead. What it had not told the end of is run again, each test by itself; where there is only one, it lied.
void Session::charge_liar(const Process& liar, std::optional<int> status) {
    std::vector<std::uint32_t> suspects = liar.run->all();
    std::erase_if(suspects, [this](std::uint32_t item) { return items_[item].complete; });
    if (!liar.is_found_late && liar.run->all().size() == 1 && suspects.size() == 1) {
        charge_death(liar, suspects.front(), status, liar.breach);
    }
    for (const std::uint32_t item : suspects) items_[item].suspect = true;
    requeue_unfinished(*liar.run, true);
}

// The process died between two tests, of what the first has left: its verdict was given, and does not stand.
void Session::charge_after_end(const Process& process, const Message& crashed) {
    const std::uint32_t index = crashed.head.item;
    if (interrupted_ || process.claims.has_left(index) || results_.at(index).failures() > 0) return;
    reopen(index, "its process died after its end");
    record_crash(process.number, crashed);
}

}  // namespace tach::supervisor
