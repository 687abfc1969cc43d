// Workers and bases: who is forked from whom, who runs what, and what happens when one of them ends.

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <numeric>
#include <set>

#include "base/clock.h"
#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Role;

namespace {

// Workers that die one after the other without a single test done in between: the environment is broken, not a test.
constexpr std::uint32_t kFruitlessDeaths = 5;

constexpr int kExitInternal = 3;  // pytest.ExitCode.INTERNAL_ERROR

std::string as_bytes(const std::vector<std::uint32_t>& items) {
    std::string bytes(items.size() * sizeof(std::uint32_t), '\0');
    if (!items.empty()) std::memcpy(bytes.data(), items.data(), bytes.size());
    return bytes;
}

}  // namespace

Schedule Session::make_schedule() const {
    std::vector<ScheduleItem> items;
    items.reserve(items_.size());
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        const Item& item = items_[i];
        // Rows of tests that are rewound stay whole, and what may cost a worker its process comes when it is in
        // nobody's way.
        const bool last = may_go_last(item) && forked_.contains(i);
        items.push_back({item.unit, item.base, item.flags, item.module, expected_s(i), last});
    }
    return Schedule(std::move(items), {.workers = workers_, .durations_known = memory_ && memory_->has_durations()});
}

void Session::begin_running() {
    stage_ = Stage::kRunning;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        while (bases_.size() <= items_[i].opens_base) bases_.push_back(Base{.opened_by = i});
    }
    for (const Item& item : items_) {
        if (item.base >= bases_.size()) return fail_run("the zygote announced an item of a base that no item opens");
    }
    std::vector<std::uint32_t> modules;
    for (const Item& item : items_) modules.push_back(item.module);
    opinions_.emplace(std::move(modules), settings_.second_opinion_budget_s.value);
    schedule_.emplace(make_schedule());
    if (interrupted_) schedule_->abandon();
    await_routes();
    fork_controller();
}

// Once the workers have been asked for, or while the routes are awaited: the first test does not wait for it.
void Session::fork_controller() {
    if (controller_ != 0 || stage_ != Stage::kRunning) return;
    auto controller = fork_process(zygote_, Kind::kForkController, Role::kController, shm::kNoItem, 0, 0);
    if (!controller) return fail_run(controller.error().what);
    controller_ = *controller;
}

// --- handing out ----------------------------------------------------------------------------------------------------

// The one place that decides what happens next; called whenever something has changed.
void Session::pump() {
    if (stage_ != Stage::kRunning || solo_ || !routes_settled_) return;
    settle_lives();
    if (!pass_) {
        for (auto& [id, process] : processes_) {
            if (process.role == Role::kWorker && process.state == State::kIdle) assign(id);
        }
        fork_workers();
    }
    fork_controller();
    replay();
    if (!quiescent()) return;
    if (give_opinions()) return;
    if (cut_ && !cut_final_) cut_final_ = true;
    close();
}

// Nothing runs and nothing is left to hand out.
bool Session::quiescent() const {
    const bool running = std::any_of(processes_.begin(), processes_.end(), [](const auto& entry) {
        const Process& process = entry.second;
        const bool worker = process.role == Role::kWorker || process.live;
        return worker && (process.state == State::kRunning || process.state == State::kBooting ||
                          (process.state == State::kEnded && process.run));
    });
    const bool base_starting =
        std::any_of(bases_.begin(), bases_.end(), [](const Base& base) { return base.state == BaseState::kStarting; });
    return !running && !base_starting && !any_base_is_to_live() &&
           ((schedule_->empty() && shared_items_.empty()) || interrupted_);
}

void Session::assign(Id id) {
    Process& process = processes_.at(id);
    if (process.replace || is_held_back(process)) return finish_process(id);
    if (process.shared && !shared_items_.empty() && !interrupted_) {
        std::vector<std::uint32_t> items = std::exchange(shared_items_, {});
        process.replace = true;
        const std::uint32_t first = items.front();
        const std::uint32_t last = items.back() + 1;
        return start_run(id, Run{first, last, process.pool, 0, std::move(items)}, shm::kRunShared);
    }
    auto run = schedule_->next(process.pool);
    if (run && is_suspect(*run)) {
        if (process.claims.last()) {  // what it says then must be about that test
            schedule_->requeue_apart(*run);
            return finish_process(id);
        }
        process.replace = true;
    }
    if (run) return start_run(id, *std::move(run), 0);
    // Others may still die and give back what they have; but a place is better used for a base that has work.
    if (!schedule_->empty()) finish_process(id);
}

void Session::start_run(Id id, Run run, std::uint32_t flags) {
    Process& process = processes_.at(id);
    process.state = State::kRunning;
    std::vector<std::uint32_t> forked;
    const auto end = forked_.lower_bound(run.last);
    for (auto known = forked_.lower_bound(run.first); known != end; ++known) {
        if ((flags & shm::kRunShared) == 0 && run.contains(known->first)) forked.push_back(known->first);
    }
    const std::array<std::string, 2> lists{as_bytes(run.items), as_bytes(forked)};
    const std::array<std::string_view, 2> strings{lists[0], lists[1]};
    const std::uint32_t first = run.first;
    const std::uint32_t last = run.last;
    process.claims.begin(run.all());
    if (!process.live) process.cause.clear();  // it is rewound again, or another process by now
    if (process.shared && !known_dependences_.empty()) {
        const auto& [dependent, opinion] = *known_dependences_.begin();
        process.cause =
            fmt::format("shared, in pytest's order: {} depends on tests before it", results_.nodeid(dependent));
    }
    process.run = std::move(run);
    if (auto posted = process.peer.post(Kind::kRun, first, last, flags, strings); !posted)
        doom(id, posted.error().what);
}

std::size_t Session::live_workers() const {
    return static_cast<std::size_t>(std::count_if(processes_.begin(), processes_.end(), [](const auto& entry) {
        const Process& process = entry.second;
        const bool worker = process.role == Role::kWorker || (process.live && process.state == State::kRunning);
        return worker && process.state != State::kEnded;
    }));
}

// The process that workers for this base are forked from: the last base up to it that can be forked.
Session::Id Session::source_of(std::uint32_t base) const {
    for (std::uint32_t b = base; b > 0; --b) {
        if (bases_[b].state == BaseState::kReady) return bases_[b].process;
    }
    return zygote_;
}

// Whether workers for this base can be forked now. Bases are set up one after the other, each when the items before it
// have been handed out, so that their fixtures come into being in pytest's order.
bool Session::ensure_base(std::uint32_t number) {
    for (std::uint32_t b = 1; b <= number; ++b) {
        Base& base = bases_[b];
        if (base.state == BaseState::kStarting) return false;
        if (base.state != BaseState::kUnstarted) continue;
        auto id = fork_process(source_of(b), Kind::kForkBase, Role::kBase, base.opened_by, b, 0);
        if (!id) {
            fail_run(id.error().what);
            return false;
        }
        base.state = BaseState::kStarting;
        base.process = *id;
        return false;
    }
    return true;
}

void Session::fork_workers() {
    if (interrupted_ || failure_ || any_base_is_to_live()) return;
    std::size_t places = workers_ - std::min<std::size_t>(workers_, live_workers());
    if (places > 0 && !shared_items_.empty() && !has_shared_worker()) {
        const std::uint32_t base = items_[shared_items_.back()].base;
        if (!ensure_base(base)) return;
        if (!fork_worker(base, true)) return;
        --places;
    }
    const auto base = schedule_->next_base();
    if (!base || places == 0 || !ensure_base(*base)) return;
    const auto wanted = std::min<std::size_t>(places, schedule_->remaining());
    const auto booting =
        static_cast<std::size_t>(std::count_if(processes_.begin(), processes_.end(), [](const auto& entry) {
            return entry.second.role == Role::kWorker && entry.second.state == State::kBooting;
        }));
    for (std::size_t i = booting; i < wanted; ++i) {
        if (!fork_worker(*base, false)) return;
    }
}

bool Session::has_shared_worker() const {
    return std::any_of(processes_.begin(), processes_.end(),
                       [](const auto& entry) { return entry.second.shared && entry.second.state != State::kEnded; });
}

// A worker with the lowest free number; `attempt` tells its temporary directory from those of its predecessors.
bool Session::fork_worker(std::uint32_t base, bool shared) {
    std::set<std::uint32_t> taken;
    for (const auto& [id, process] : processes_) {
        if (process.role == Role::kWorker && process.state != State::kEnded) taken.insert(process.number);
    }
    std::uint32_t number = 0;
    while (taken.contains(number)) ++number;
    const std::uint32_t attempt = attempts_[number]++;
    auto id = fork_process(source_of(base), Kind::kForkWorker, Role::kWorker, workers_, number, attempt,
                           word(settings_.engine.value));
    if (!id) {
        fail_run(id.error().what);
        return false;
    }
    Process& process = processes_.at(*id);
    process.pool = base;
    process.shared = shared;
    if (attempt > 0) ++respawns_;
    return true;
}

// Session fixtures of this base hold something that cannot be copied: its process becomes the one worker of all items
// that use them, and of all that share another session fixture with those, since each may exist only once.
void Session::take_live(std::uint32_t number) {
    std::vector<std::uint32_t> items = items_of_live(number);
    std::vector<std::uint32_t> both;
    std::set_intersection(items.begin(), items.end(), shared_items_.begin(), shared_items_.end(),
                          std::back_inserter(both));
    if (!both.empty()) {
        // What is order-dependent across them must share their process as well.
        std::vector<std::uint32_t> all;
        std::set_union(items.begin(), items.end(), shared_items_.begin(), shared_items_.end(), std::back_inserter(all));
        items = std::move(all);
        shared_items_.clear();
    }
    schedule_->take(items);
    for (const std::uint32_t item : items) opinions_->exclude(item);
    // A later base that was to be opened by one of them has nothing of its own left: whoever shared it was taken as
    // well.
    for (std::uint32_t b = number + 1; b < bases_.size(); ++b) {
        if (std::binary_search(items.begin(), items.end(), bases_[b].opened_by)) bases_[b].state = BaseState::kGone;
    }
    if (items.empty() || interrupted_) return;
    Process& process = processes_.at(bases_[number].process);
    process.pool = number;
    start_run(bases_[number].process, Run{items.front(), items.back() + 1, number, 0, items}, 0);
}

std::vector<std::uint32_t> Session::items_of_live(std::uint32_t number, bool complete_ones) const {
    const auto is_copied = [&](const SessionFixture& fixture) {  // it is in a base that can be forked: everybody has it
        return fixture.base < number && bases_[fixture.base].state == BaseState::kReady;
    };
    std::set<SessionFixture> fixtures;
    for (const SessionFixture& fixture : items_[bases_[number].opened_by].session_fixtures) {
        if (fixture.base <= number) fixtures.insert(fixture);
    }
    std::set<std::uint32_t> items;
    for (bool grown = true; grown;) {
        grown = false;
        for (std::uint32_t i = 0; i < items_.size(); ++i) {
            const auto& names = items_[i].session_fixtures;
            const bool uses = std::any_of(names.begin(), names.end(), [&](const SessionFixture& fixture) {
                return fixtures.contains(fixture) && !is_copied(fixture);
            });
            if (!uses || (items_[i].complete && !complete_ones) || (cut_ && i > *cut_) || !items.insert(i).second)
                continue;
            grown = true;
            fixtures.insert(names.begin(), names.end());
        }
    }
    for (const auto& [id, process] : processes_) {
        if (!process.run) continue;
        const Run& run = *process.run;  // clang 14 cannot capture a structured binding
        std::erase_if(items, [&run](std::uint32_t item) { return run.contains(item); });
    }
    return {items.begin(), items.end()};
}

// --- ends -----------------------------------------------------------------------------------------------------------

void Session::finish_process(Id id) {
    Process& process = processes_.at(id);
    if (process.state == State::kFinishing || process.state == State::kEnded) return;
    process.state = State::kFinishing;
    process.finishing = true;
    process.charged = charged_item();
    if (auto posted = process.peer.post(Kind::kFinish, process.charged); !posted) doom(id, posted.error().what);
}

// Its parent's to tell, of a process that has ended.
void Session::reaped(Id parent, const shm::Message& message) {
    for (auto& [id, process] : processes_) {
        const bool is_meant = static_cast<std::uint32_t>(process.peer.pid()) == message.head.a;
        if (is_meant && process.state == State::kEnded && process.parent == parent) {
            return worker_ended(id, static_cast<int>(message.head.b));
        }
    }
}

// A process of ours is gone and its status known, as far as it can be.
void Session::worker_ended(Id id, std::optional<int> status) {
    Process ended = std::move(processes_.extract(id).mapped());
    if (id == controller_) {
        if (is_retreating()) {
            controller_ = 0;
            return stage_ == Stage::kClosingController ? end_retreat() : close_step();
        }
        if (!status || !WIFEXITED(*status) || stage_ != Stage::kClosingController) {
            return fail_run("the controller process, which reports to pytest's plugins, ended unexpectedly");
        }
        exit_code_ = differences_ > 0 ? kExitInternal : WEXITSTATUS(*status);
        return close_step();
    }
    if (ended.role == Role::kBase && bases_[ended.number].process == id) {
        bases_[ended.number].state = BaseState::kGone;
    }
    if (ended.finishing && !ended.retired && !ended.opinion) charge_finalisers(ended, status);
    if (ended.opinion) {
        if (ended.run) opinion_ended(id);
    } else if (ended.run) {
        worker_died(ended, status);
    }
    if (ended.role == Role::kBase && !ended.retired && stage_ == Stage::kRunning) base_died(ended, status);
    if (stage_ == Stage::kRunning) return pump();
    close_step();
}

// A process died while it finalised session fixtures: pytest would have died in its last test.
void Session::charge_finalisers(const Process& ended, std::optional<int> status) {
    const std::uint32_t item = charged_item();
    if (interrupted_ || item == shm::kNoItem || !items_[item].complete || !hold_charged_) return;
    const bool failed_before = results_.at(item).failures() > 0;
    charge_death(ended, item, status);
    results_.at(item).note = "the process that finalised session fixtures died";
    if (!failed_before) account_failures();
}

// The process that set up session fixtures died while doing so, or while holding them: the test that asked for them is
// charged, the others get them from a new base.
void Session::base_died(const Process& ended, std::optional<int> status) {
    Base& base = bases_[ended.number];
    if (!ended.live && !items_[base.opened_by].complete) charge_death(ended, base.opened_by, status, ended.breach);
    // The next item that still needs this base sets it up again.
    for (std::uint32_t i = base.opened_by; i < items_.size(); ++i) {
        if (items_[i].base == ended.number && !items_[i].complete) {
            base = Base{.state = BaseState::kUnstarted, .process = 0, .opened_by = i};
            return;
        }
    }
}

// A worker died with a run: its test is charged, what it had not started goes back.
void Session::worker_died(Process& ended, std::optional<int> status) {
    const std::size_t before = completed_;
    if (!ended.breach.empty()) return charge_liar(ended, status);
    for (const std::uint32_t item : ended.run->all()) {
        if (items_[item].held_done) {
            items_[item].held_done = false;
            complete(item);  // it was through but for its layer's end
        }
    }
    std::uint32_t claimed = ended.peer.channel().record().item.load(std::memory_order_acquire);
    // It was not heard any more since it was given up, and may have ended the test and begun others.
    if (ended.doomed && is_in_a_test(ended)) claimed = *current_of(ended);
    const bool between_tests = claimed == shm::kNoItem;
    const bool has_ended = claimed < items_.size() && ended.run->contains(claimed) && items_[claimed].complete;
    const bool plausible = between_tests || has_ended || claimed == current_of(ended);
    if (!plausible) {
        charge_unknown(ended, status);
    } else {
        if (!between_tests && !items_[claimed].complete) charge_death(ended, claimed, status);
        requeue_unfinished(*ended.run, false);
    }
    deaths_without_progress_ = completed_ > before ? 0 : deaths_without_progress_ + 1;
    if (deaths_without_progress_ >= kFruitlessDeaths) fail_run("workers die before they can run a test");
}

// Something overwrote the memory in which the worker said what it ran. If several tests may have been it, each of them
// is run again by itself.
void Session::charge_unknown(const Process& ended, std::optional<int> status) {
    std::vector<std::uint32_t> suspects = ended.run->all();
    std::erase_if(suspects, [this](std::uint32_t item) { return items_[item].complete; });
    if (suspects.size() == 1) charge_death(ended, suspects.front(), status);
    requeue_unfinished(*ended.run, true);
}

void Session::charge_death(const Process& ended, std::uint32_t item, std::optional<int> status, std::string_view why) {
    ItemResult& result = results_.at(item);
    if (interrupted_) return;
    const int signal = status && WIFSIGNALED(*status) ? WTERMSIG(*status) : (status ? 0 : SIGKILL);
    shm::Message crashed;
    crashed.head.kind = static_cast<std::uint16_t>(Kind::kCrashed);
    crashed.head.item = item;
    crashed.head.a = static_cast<std::uint32_t>(signal);
    crashed.head.b = status && WIFEXITED(*status) ? static_cast<std::uint32_t>(WEXITSTATUS(*status)) : 0;
    crashed.head.t0 = base::monotonic_ns() - ended.peer.channel().record().started_ns.load(std::memory_order_relaxed);
    result.note = "its worker process died with it";
    record_crash(ended.number, crashed, why);
}

void Session::requeue_unfinished(const Run& run, bool apart) {
    std::vector<std::uint32_t> items = run.all();
    std::erase_if(items, [&](std::uint32_t item) { return items_[item].complete; });
    if (items.empty() || interrupted_) return;
    for (const std::uint32_t item : items) {
        if (!items_[item].messages.empty()) {
            const bool no_rerun = results_.at(item).no_rerun;
            results_.at(item) = ItemResult{};
            results_.at(item).no_rerun = no_rerun;
            results_.at(item).note = "started before, in a worker that died; this is its second run";
            items_[item].messages.clear();
        }
        items_[item].started = false;
    }
    Run rest = run;
    rest.first = items.front();
    rest.last = items.back() + 1;
    rest.items = std::move(items);
    if (apart) {
        schedule_->requeue_apart(rest);
    } else {
        schedule_->requeue(rest);
    }
}

// --- results --------------------------------------------------------------------------------------------------------

void Session::complete(std::uint32_t index) {
    Item& item = items_[index];
    if (item.complete) return;
    item.complete = true;
    ++completed_;
    deaths_without_progress_ = 0;
    ItemResult& result = results_.at(index);
    note_gatherer(index);
    if (solo_) return show_failure(index);
    if (const auto forked = forked_.find(index); forked != forked_.end() && result.done) {
        // A crash has a note of its own, and a test in a live layer was not forked.
        if (result.mode == shm::Mode::kFork && result.note.empty()) result.note = forked->second.note();
    }
    if (const auto known = known_dependences_.find(index); known != known_dependences_.end() && result.done) {
        note_order_dependence(index, known->second);
    }
    if (opinions_enabled() && result.doubtful() && result.mode != shm::Mode::kShared) doubt(index);
    order_->done(index);
    if (index < order_->waiting_for()) tell(index);  // once more, after what a process had made up
    show_failure(index);
    count_failures(index, result.failures());
    if (result.failures() > 0) account_failures();
    replay();
}

void Session::show_failure(std::uint32_t index) {
    const ItemResult& result = results_.at(index);
    const Outcome outcome = result.outcome();
    if (outcome == Outcome::kFailed || outcome == Outcome::kError || outcome == Outcome::kCrashed) {
        printer_.failure(results_.nodeid(index), outcome, result.message);
    }
}

// -x and --maxfail give pytest's verdict: the first failures in collection order, everything before them completed.
void Session::account_failures() {
    if (maxfail_ == 0 || solo_) return;
    std::uint32_t failures = 0;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        failures += items_[i].complete ? results_.at(i).failures() : 0;
        if (failures >= maxfail_) return cut(i, !opinions_enabled());
    }
}

// Nothing after `item` is wanted. Not final: a second opinion may still lift it.
void Session::cut(std::uint32_t item, bool final) {
    if (cut_ && *cut_ < item) return;
    cut_ = item;
    cut_final_ = cut_final_ || final;
    schedule_->cut(item);
    std::erase_if(shared_items_, [item](std::uint32_t shared) { return shared > item; });
    set_limits();
    if (!cut_final_) return;
    order_->cut(item);
    results_.cut(item);
    const auto unwanted = [this, item](const Process& process) {
        const auto current = process.peer.current_item(items_.size());
        const auto phase = process.peer.channel().record().phase.load(std::memory_order_relaxed);
        const bool pops = phase == static_cast<std::uint32_t>(shm::Phase::kPop);  // what a wanted item may have set up
        return process.state == State::kRunning && current && *current > item && !pops;
    };
    stop_tests(unwanted, shm::Phase::kFill);
}

// The failure that had ended the run turned out to be none.
void Session::uncut() {
    cut_.reset();
    schedule_.emplace(make_schedule());
    std::vector<std::uint32_t> gone;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        if (items_[i].complete) gone.push_back(i);
    }
    schedule_->take(gone);
    set_limits();
    account_failures();
}

void Session::set_limits() {
    std::uint32_t limit = cut_ ? *cut_ + 2 : 0;
    if (interrupted_) limit = 1;
    for (auto& [id, process] : processes_) {
        std::uint32_t own = process.opinion && !interrupted_ ? 0 : limit;
        if (is_held_back(process)) own = 1;
        process.peer.channel().orders().limit.store(own, std::memory_order_relaxed);
    }
}

// Tests and the teardown of fixtures may ask pytest's session for them.
void Session::count_failures(std::uint32_t item, std::uint32_t failures) {
    if (failures == 0) return;
    failures_ += failures;
    if (Process* runner = find(items_[item].runner)) runner->failures += failures;
    for (const auto& [id, process] : processes_) tell_failures(process);
}

void Session::tell_failures(const Process& process) const {
    if (process.opinion) return;  // it runs from a module's start on, and counts for itself
    process.peer.channel().orders().failures.store(failures_ - process.failures, std::memory_order_relaxed);
}

// The item that pytest charges with what goes wrong when session fixtures are finalised: the last one.
std::uint32_t Session::charged_item() const {
    if (items_.empty()) return shm::kNoItem;
    return cut_ ? *cut_ : static_cast<std::uint32_t>(items_.size() - 1);
}

// Passes on to the controller, in collection order, what is settled. The charged item waits for the end of all bases.
void Session::replay() {
    if (solo_ || controller_ == 0 || is_retreating()) return;
    Process* controller = find(controller_);
    if (controller == nullptr || controller->state == State::kEnded) return;
    while (true) {
        if (cut_ && !cut_final_) return;
        const std::uint32_t waiting = order_->waiting_for();
        if (waiting < items_.size() && unsettled_.contains(waiting)) return;
        if (hold_charged_ && waiting == charged_item()) return;
        const auto next = order_->advance();
        if (!next) return;
        tell(*next);
    }
}

void Session::tell(std::uint32_t index) {
    Process* controller = find(controller_);
    if (controller == nullptr || controller->state == State::kEnded) return;
    for (const shm::Message& message : items_[index].messages) {
        if (auto passed = controller->peer.pass_on(message); !passed) return fail_run(passed.error().what);
    }
    items_[index].messages.clear();
    items_[index].messages.shrink_to_fit();
}

}  // namespace tach::supervisor
