// Tests that gather state on purpose: they change what is read after them, in another process than the one that is
// rewound. What is read when the session ends is gathered in the process that ends it: nothing that ran before counts,
// and the session is begun anew in the zygote. What a session fixture reads is gathered in the base that has it: that
// becomes the one worker of its tests, and the tests that were rewound without having changed anything stand.

#include <algorithm>
#include <csignal>

#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Role;

void Session::gathers(Id id, const shm::Message& message) {
    const std::uint32_t index = message.head.item;
    const std::uint32_t base = message.head.a;
    const bool at_end = base == shm::kNoItem;
    if (solo_ || is_retreating()) return;
    if (!at_end && (base == 0 || base >= bases_.size())) return doom(id, "it gathers for a base that there is not");
    const std::string reader(message.string(0));
    gatherers_.try_emplace(index, Gathering{.reader = reader, .at_end = at_end});
    if (at_end) return retreat("tests gather what " + reader);
    if (items_[index].complete) return;
    drop(index);
    if (bases_[base].state != BaseState::kReady || bases_[base].is_to_live) return;
    live_reasons_.try_emplace(index, "it changed what " + reader);
    bring_to_life(base);
}

// What was found out about it does not count.
void Session::drop(std::uint32_t index) {
    Item& item = items_[index];
    item.messages.clear();
    unraised_.erase(index);
    item.held_done = false;
    item.dropped = true;
    const bool no_rerun = results_.at(index).no_rerun;
    results_.at(index) = ItemResult{};
    results_.at(index).no_rerun = no_rerun;
}

// Of a test whose result does not count: only its end matters, for the process goes on to the next one.
void Session::pass_over(Process& process, const shm::Message& message) {
    const bool is_held = message.kind() == Kind::kDone && (message.head.b & shm::kDoneHeld) != 0;
    const bool ends = message.kind() == Kind::kDone || message.kind() == Kind::kCrashed;
    if (ends && !is_held) process.claims.ended(message.head.item);
}

// --- all in one process ---------------------------------------------------------------------------------------------

// Ends all processes but the zygote, which is as it was before the first test; the controller without its session's
// end.
void Session::retreat(const std::string& why) {
    if (!retreat_.empty() || interrupted_ || stage_ > Stage::kClosingBases) return;
    retreat_ = why;
    if (schedule_) schedule_->abandon();
    shared_items_.clear();
    unsettled_.clear();
    pass_.reset();
    for (auto& [id, process] : processes_) {
        if (process.opinion && process.state != State::kEnded) process.peer.kill(SIGKILL);
    }
    set_limits();
    if (stage_ == Stage::kRunning) close();
}

// The controller first, and when that is gone, or there is none, the zygote.
void Session::end_retreat() {
    if (Process* controller = find(controller_); controller_ != 0 && controller != nullptr) {
        const auto reason = static_cast<std::uint32_t>(shm::EndReason::kAbandoned);
        if (auto posted = controller->peer.post(Kind::kEnd, shm::kNoItem, reason); !posted) {
            doom(controller_, posted.error().what);
        }
        return;
    }
    if (!solo_) forget_results();
    const std::vector<std::string_view> why{retreat_};
    if (auto posted = processes_.at(zygote_).peer.post(Kind::kGoSolo, shm::kNoItem, 0, 0, why); !posted) {
        fail_run(posted.error().what);
    }
}

void Session::forget_results() {
    results_ = Results(items_.size(), nodeids_);
    results_.set_collected(collect_counts_);
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        Item& item = items_[i];
        item.messages.clear();
        item.started = item.held_done = item.complete = item.dropped = false;
        results_.at(i).no_rerun = (item.flags & shm::kItemNoRerun) != 0;
    }
    order_.emplace(static_cast<std::uint32_t>(items_.size()));
    completed_ = 0;
    cut_.reset();
    cut_final_ = false;
    replacements_.clear();
    noted_.clear();
    live_reasons_.clear();
    unraised_.clear();
    known_dependences_.clear();
    forked_.clear();
    order_dependent_ = 0;
    unconfirmed_ = 0;
}

// --- a base becomes live --------------------------------------------------------------------------------------------

void Session::bring_to_life(std::uint32_t number) {
    bases_[number].is_to_live = true;
    set_limits();
}

bool Session::any_base_is_to_live() const {
    return !interrupted_ && std::any_of(bases_.begin(), bases_.end(), [](const Base& base) { return base.is_to_live; });
}

bool Session::descends(const Process& process, Id ancestor) const {
    for (Id parent = process.parent; parent != 0;) {
        if (parent == ancestor) return true;
        const auto found = processes_.find(parent);
        parent = found == processes_.end() ? 0 : found->second.parent;
    }
    return false;
}

// Whether it is a copy of what is to be the only one: it must not go on.
bool Session::is_held_back(const Process& process) const {
    if (is_retreating()) return process.role == Role::kWorker || process.live;
    return std::any_of(bases_.begin(), bases_.end(),
                       [&](const Base& base) { return base.is_to_live && descends(process, base.process); });
}

// Bases that are to live do so once there are no copies of them.
void Session::settle_lives() {
    for (std::uint32_t number = 1; number < bases_.size() && !interrupted_; ++number) {
        if (bases_[number].is_to_live && !has_copies(bases_[number])) become_live(number);
    }
}

// Asks the last of them to end: workers first, then bases that have been set up above this one.
bool Session::has_copies(const Base& base) {
    Id last_base = 0;
    std::vector<Id> workers;
    for (const auto& [id, process] : processes_) {
        if (!descends(process, base.process)) continue;
        if (process.role == Role::kBase) {
            last_base = std::max(last_base, id);
        } else {
            workers.push_back(id);
        }
    }
    for (const Id id : workers) {
        if (processes_.at(id).state == State::kIdle) finish_process(id);
    }
    if (workers.empty() && last_base != 0 && processes_.at(last_base).state == State::kIdle) finish_process(last_base);
    return !workers.empty() || last_base != 0;
}

void Session::become_live(std::uint32_t number) {
    Base& base = bases_[number];
    // What had been set up above it, and is over, is set up again for those who still need it.
    for (std::uint32_t later = number + 1; later < bases_.size(); ++later) {
        const auto needs = [later](const Item& item) { return item.base == later && !item.complete; };
        const auto first = std::find_if(items_.begin(), items_.end(), needs);
        if (bases_[later].state != BaseState::kGone || first == items_.end()) continue;
        bases_[later] = Base{.opened_by = static_cast<std::uint32_t>(first - items_.begin())};
    }
    // Tests whose outcome is in doubt may have missed what others gather.
    for (const std::uint32_t item : items_of_live(number, true)) {
        if (!items_[item].complete || unsettled_.erase(item) == 0) continue;
        opinions_->forget(item);
        drop(item);
        items_[item].complete = false;
        --completed_;
        order_->reopen(item);
    }
    base.is_to_live = false;
    base.state = BaseState::kLive;
    Process& process = processes_.at(base.process);
    process.live = true;
    if (auto posted = process.peer.post(Kind::kBecomeLive); !posted) return doom(base.process, posted.error().what);
    take_live(number);
}

// --- from run to run ------------------------------------------------------------------------------------------------

void Session::recall_gatherers() {
    if (!memory_ || memory_->gatherings().empty()) return;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        const std::string_view nodeid = nodeids_[i];
        const std::string_view file = nodeid.substr(0, nodeid.find("::"));
        if (!memory_->gatherings().contains(file)) continue;
        const Gathering* known = memory_->gathering(nodeid, guard_key(file));
        if (known != nullptr) known_gatherers_.emplace(i, *known);
    }
    for (const auto& [item, known] : known_gatherers_) {
        if (known.at_end) return retreat("tests gather what " + known.reader);
    }
}

// Before there are copies of it.
void Session::recall_gatherers_of(std::uint32_t number) {
    if (known_gatherers_.empty() || is_retreating()) return;
    const std::vector<std::uint32_t> items = items_of_live(number);
    for (const auto& [item, known] : known_gatherers_) {
        if (!std::binary_search(items.begin(), items.end(), item)) continue;
        live_reasons_.try_emplace(item, "in an earlier run it changed what " + known.reader);
        return bring_to_life(number);
    }
}

void Session::note_gatherer(std::uint32_t index) {
    ItemResult& result = results_.at(index);
    const auto now = gatherers_.find(index);
    const auto earlier = known_gatherers_.find(index);
    if (!result.note.empty() || (now == gatherers_.end() && earlier == known_gatherers_.end())) return;
    result.note = "gathers: it changes what " + (now != gatherers_.end() ? now : earlier)->second.reader;
}

void Session::remember_gatherers() {
    for (const auto& [item, gathering] : gatherers_) {
        const std::string& nodeid = results_.nodeid(item);
        const std::string key = guard_key(std::string_view(nodeid).substr(0, nodeid.find("::")));
        if (!key.empty()) memory_->learn_gathering(nodeid, gathering, key);
    }
}

}  // namespace tach::supervisor
