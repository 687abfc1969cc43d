// What the processes of a run say, and what follows from it. Every index in a message is a claim.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "base/clock.h"
#include "supervisor/kept_file.h"
#include "supervisor/project_directories.h"
#include "supervisor/session.h"
#include "supervisor/split.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Message;
using shm::Role;

namespace {

// No suite has more session fixtures than this; begin_running() checks the numbers against each other.
constexpr std::int64_t kMostBases = 1 << 20;

// pytest knows of four levels; a plugin may know more.
constexpr std::uint32_t kMostVerbosity = 1000;
// A worker has something to say once, or with each process that it replaces. Guesses.
constexpr std::uint32_t kMostWorkerLines = 100;
constexpr std::size_t kMostLineBytes = 1000;

std::string shared_from(std::string_view nodeid, std::string_view why) {
    return fmt::format("shared from {} on: {}", nodeid, why);
}

}  // namespace

void Session::handle(Id id, Message message) {
    Process* process = find(id);
    if (process == nullptr || process->doomed) return;
    switch (message.kind()) {
        case Kind::kOutput:
            if (id == zygote_ || id == controller_) {
                const auto stage = static_cast<shm::Stage>(std::min(message.head.a, 2U));
                const bool keeps = settings_.list || settings_.explain;
                if (keeps) listing_.texts.push_back({stage, std::string(message.string(0))});
                if (id == controller_ && stage == shm::Stage::kProgress) {
                    told_bytes_ += static_cast<std::uint32_t>(message.string(0).size());
                }
                if (!settings_.explain) printer_.text(stage, message.string(0));
            } else {
                worker_line(*process, message.string(0));
            }
            return;
        case Kind::kProblem:
            if (process->role == Role::kWorker || process->role == Role::kBase)
                return doom(id, std::string(message.string(0)));
            return fail_run(std::string(message.string(0)));
        case Kind::kReaped:
            return reaped(id, message);
        case Kind::kTerminal:
            return terminal_wanted(id, message);
        case Kind::kBaseReady:
            return base_ready(id, message);
        case Kind::kRetired:
            if (process->role != Role::kZygote && process->role != Role::kController && !process->finishing) {
                return break_protocol(id, "told tach that all is finalised", shm::kNoItem);
            }
            process->retired = true;
            return;
        case Kind::kHello:
        case Kind::kRoot:
        case Kind::kExplained:
        case Kind::kLoaded:
        case Kind::kWitness:
        case Kind::kCollectCounts:
        case Kind::kItem:
        case Kind::kCollected:
        case Kind::kSolo:
        case Kind::kModuleFiles:
        case Kind::kGivingUp:
            if (id == zygote_) handle_zygote(id, message);
            return;
        case Kind::kRunDone:
            return run_done(id, message);
        case Kind::kDifference:
            return difference_found(message);
        case Kind::kCategories:
            if ((solo_ || id == controller_) && message.head.item < results_.size())
                results_.at(message.head.item).recategorise(message);
            return;
        default:
            return handle_item_message(id, std::move(message));
    }
}

// A line of ours for the user. A test can send as many as it likes.
void Session::worker_line(Process& process, std::string_view text) {
    if (process.opinion || process.lines > kMostWorkerLines) return;
    if (++process.lines > kMostWorkerLines) text = "it says more, which is left out";
    printer_.line(fmt::format("tach: worker {}: {}", process.number, text.substr(0, kMostLineBytes)));
}

// What the engine should have restored and did not: all verdicts after it are in doubt.
void Session::difference_found(const Message& message) {
    if (!settings_.verify_snapshots) return;
    ++differences_;
    const std::uint32_t index = message.head.item;
    const std::string after = index < items_.size() ? results_.nodeid(index) : std::string("a rewind");
    printer_.line(fmt::format("tach: --verify-snapshots: after {}: {}", after, message.string(0)));
}

void Session::handle_zygote(Id, const Message& message) {
    switch (message.kind()) {
        case Kind::kHello:
            python_version_ = message.string(0);
            return;
        case Kind::kRoot:
            return root_known(message);
        case Kind::kExplained:
            explained_ = Explained::parse(message);
            return;
        case Kind::kLoaded:
            loaded_ = {.hits = message.head.a, .stale = message.head.b, .is_told = true};
            if (!message.string(0).empty()) printer_.line(fmt::format("tach: {}", message.string(0)));
            if (!message.string(1).empty()) {
                uncompiled_ = Uncompiled{std::string(message.string(1)), std::string(message.string(2))};
                if (is_testing_) start_compiler();
            }
            if (stage_ == Stage::kClosingBases) close_step();
            return;
        case Kind::kWitness:
            listing_.witness = Witness::parse(message);
            return;
        case Kind::kCollectCounts:
            collect_counts_ = {.error = message.head.b,
                               .skipped = message.head.a,
                               .deselected = static_cast<std::size_t>(std::max<std::int64_t>(0, message.head.t0))};
            return results_.set_collected(collect_counts_);
        case Kind::kItem:
            return add_item(message);
        case Kind::kCollected:
            return collected(message);
        case Kind::kSolo:
            return go_solo(message);
        case Kind::kModuleFiles:
            return know_modules(message);
        case Kind::kGivingUp:
            return know_giving_up(message);
        default:
            return;
    }
}

void Session::root_known(const Message& message) {
    if (message.head.a != 0) printer_.show_no_status();  // by an ini file
    rootdir_ = std::string(message.string(0));
    std::error_code gone;
    kept_root_ = kept_root(rootdir_, std::filesystem::current_path(gone));
    if (!memory_) memory_ = Memory::load(kept_root_);
    verbosity_ = std::atoi(std::string(message.string(2)).c_str());  // NOLINT(cert-err34-c): 0 when it makes no sense
    analysis_file_ = kept_directory(kept_root_) / "analysis";
    // The harness puts what it has imported there. Where it cannot be made nothing is kept, and nothing is lost.
    if (settings_.loader.value) static_cast<void>(make_kept_directory(kept_root_));
    start_analysis();
    std::string entries;
    for (const std::string& file : memory_->files_with_late_fixtures()) {
        if (!entries.empty()) entries += '\0';
        entries += file;
        for (const std::string& name : memory_->late_fixtures(file)) entries.append("\n").append(name);
    }
    std::string imports;
    for (const auto& [module, origin] : memory_->imports()) {
        if (!imports.empty()) imports += '\0';
        imports.append(module).append("\n").append(origin);
    }
    for (const auto& [module, known] : memory_->left_out()) {
        if (!imports.empty()) imports += '\0';
        imports.append(module).append("\n").append(known.origin).append("\n").append(known.stamp);
    }
    const std::string unaffected = fmt::format("{}", fmt::join(settings_.unaffected, std::string_view("\0", 1)));
    const std::string kept = kept_directory(kept_root_).string();
    const std::array<std::string_view, 4> strings{entries, imports, unaffected, kept};
    if (auto posted = processes_.at(zygote_).peer.post(Kind::kLate, shm::kNoItem, 0, 0, strings); !posted) {
        fail_run(posted.error().what);
    }
}

// A restarted interpreter announces its items again; they must be the same.
void Session::add_item(const Message& message) {
    const std::uint32_t index = message.head.item;
    const std::string file = std::string(message.string(1));
    if (announced_) {
        if (index >= items_.size() || results_.nodeid(index) != message.string(0)) {
            fail_run(fmt::format("a restarted interpreter collected other tests: {}", message.string(0)));
        }
        return;
    }
    if (index != items_.size()) return fail_run("the zygote announced its items out of order");
    Item item;
    item.unit = message.head.a;
    item.flags = message.head.b;
    item.base = static_cast<std::uint32_t>(std::clamp<std::int64_t>(message.head.t0, 0, kMostBases));
    item.opens_base = static_cast<std::uint32_t>(std::clamp<std::int64_t>(message.head.t1, 0, kMostBases));
    item.module = modules_.try_emplace(file, static_cast<std::uint32_t>(modules_.size())).first->second;
    item.file = file;
    for (const std::string& line : split(message.string(2), '\n')) {
        SessionFixture fixture;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), fixture.base);
        if (error != std::errc() || fixture.base > item.base) return fail_run("a session fixture of an unknown base");
        fixture.name.assign(end, line.data() + line.size());
        item.session_fixtures.push_back(std::move(fixture));
    }
    nodeids_.emplace_back(message.string(0));
    items_.push_back(std::move(item));
}

void Session::collected(const Message& message) {
    if (announced_) return;
    if (message.head.item != items_.size()) return fail_run("the zygote announced too few items");
    announced_ = true;
    results_ = Results(items_.size(), nodeids_);
    results_.set_collected(collect_counts_);
    for (std::size_t i = 0; i < items_.size(); ++i) {
        results_.at(i).no_rerun = (items_[i].flags & shm::kItemNoRerun) != 0;
    }
    maxfail_ = message.head.a;
    if (message.head.b > 0) printer_.set_verbosity(static_cast<int>(std::min(message.head.b, kMostVerbosity)));
    if (settings_.workers.source == Source::kDefault && message.head.t1 > 0) {
        workers_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(message.head.t1, 1, kMaxWorkers));
    }
    if (settings_.mode.value == Mode::kShared) workers_ = 1;
    workers_ = std::min(workers_, static_cast<std::uint32_t>(std::max<std::size_t>(1, items_.size())));
    order_.emplace(static_cast<std::uint32_t>(items_.size()));
}

// Everything in one process: replay what an earlier one that died had found out, then let it go.
void Session::go_solo(const Message& message) {
    Process& process = processes_.at(zygote_);
    if (process.claims.has_begun()) return;
    std::vector<std::uint32_t> all(items_.size());
    std::iota(all.begin(), all.end(), 0U);
    process.claims.begin(std::move(all));
    const bool is_retreat = is_retreating();
    solo_ = true;
    stage_ = Stage::kRunning;
    workers_ = 1;
    solo_reason_ = message.string(0);
    if (!solo_reason_.empty() && (respawns_ == 0 || is_retreat)) {
        printer_.line(fmt::format("tach: no test is isolated, all run in one process: {}", solo_reason_));
    }
    Peer& peer = process.peer;
    for (const Item& item : items_) {
        if (!item.complete) continue;
        for (const Message& stored : item.messages) {
            if (auto posted = peer.pass_on(stored); !posted) return fail_run(posted.error().what);
        }
    }
    const std::uint32_t shown = is_retreat ? std::exchange(told_bytes_, 0) : 0;
    if (auto posted = peer.post(Kind::kResume, shm::kNoItem, shown); !posted) return fail_run(posted.error().what);
    if (interrupted_) peer.kill(SIGINT);
}

void Session::base_ready(Id id, const Message& message) {
    if (id == zygote_) {
        if (!retreat_.empty()) return end_retreat();  // an interpreter that was started again
        if (stage_ == Stage::kCollecting) begin_running();
        return;
    }
    Process& process = processes_.at(id);
    const bool is_base = process.role == Role::kBase && process.number < bases_.size();
    if (!is_base || bases_[process.number].process != id || bases_[process.number].state != BaseState::kStarting) {
        return break_protocol(id, "told tach that it can be forked", shm::kNoItem);
    }
    Base& base = bases_[process.number];
    if (message.head.b == 0) {
        base.state = BaseState::kReady;
        process.state = State::kIdle;
        recall_gatherers_of(process.number);
    } else {
        base.state = BaseState::kLive;
        process.live = true;
        live_reasons_[base.opened_by] = message.string(0);
        process.cause = shared_from(results_.nodeid(base.opened_by), message.string(0));
        take_live(process.number);
    }
    pump();
}

// A worker is through with its run; the solo process or the controller wants what ends its summary.
void Session::run_done(Id id, const Message& message) {
    Process& process = processes_.at(id);
    if (solo_ || id == controller_) {
        if (id == controller_ && message.head.b != 0) {
            if (message.head.item < items_.size()) cut(message.head.item, true);
            return pump();
        }
        return end_controller();
    }
    if (message.head.t0 != 0) rewind_metrics_.respawned();
    if (process.state == State::kFinishing) {
        // A kept test's process took the order to finish with it when it died; its parent has not heard of it.
        if (auto posted = process.peer.post(Kind::kFinish, charged_item()); !posted) doom(id, posted.error().what);
        return;
    }
    if (process.state != State::kRunning) return;
    if (is_in_a_test(process)) {
        return break_protocol(id, "told tach that it is not running", shm::kNoItem);
    }
    process.state = State::kIdle;
    process.replace = process.replace || message.head.a != 0;
    const std::optional<Run> run = std::exchange(process.run, std::nullopt);
    if (process.opinion) return opinion_ended(id);
    if (message.head.b != 0) process.replace = true;
    // Items that the worker was told not to start any more go back; whether they are still wanted is the schedule's
    // word.
    if (run) requeue_unfinished(*run, false);
    pump();
}

void Session::handle_item_message(Id id, Message message) {
    Process& process = processes_.at(id);
    const bool is_runner = process.role == Role::kWorker || process.role == Role::kBase || solo_;
    if (!is_runner) return;
    const std::uint32_t index = message.head.item;
    if (message.kind() == Kind::kWarning && index >= items_.size() && !items_.empty()) message.head.item = 0;
    if (message.head.item >= items_.size()) {
        return break_protocol(id, fmt::format("told tach of item {}, which does not exist", index), shm::kNoItem);
    }
    if (message.kind() == Kind::kImported) return learn_imports(message);  // also between tests

    const Claim claim = weigh_message(process, message);
    if (claim == Claim::kBroken) return break_protocol(id, "told tach of one that it is not", message.head.item);
    if (claim == Claim::kIgnored) return;
    if (process.opinion) return opinion_message(id, message);
    if (message.kind() == Kind::kGathers) return gathers(id, message);

    Item& item = items_[message.head.item];
    ItemResult& result = results_.at(message.head.item);
    if (message.kind() == Kind::kUnraised && !item.dropped) {
        unraised_[message.head.item].push_back(std::move(message));
        return;
    }
    if (item.dropped && message.kind() != Kind::kStarted) return pass_over(process, message);
    if (message.kind() == Kind::kAmend && !item.messages.empty()) {
        const std::uint32_t before = result.failures();
        const bool was_failed = before > 0;
        result.add_amend(message);
        if (item.complete) count_failures(message.head.item, result.failures() - before);
        if (item.complete && !was_failed && result.failures() > 0) account_failures();
        item.messages.insert(item.messages.end() - 1, std::move(message));  // before its Done
        return;
    }
    if (item.complete) return late_message(id, std::move(message));
    hear_item_message(id, std::move(message));
    Process* still = find(id);
    if (still == nullptr || !item.complete) return;
    still->claims.ended(index);
    note_cause(*still, index);
}

// About a test that has not ended, by the process that runs it.
void Session::hear_item_message(Id id, Message message) {
    Process& process = processes_.at(id);
    Item& item = items_[message.head.item];
    ItemResult& result = results_.at(message.head.item);
    switch (message.kind()) {
        case Kind::kStarted:
            result.mode = message.head.a <= 2 ? static_cast<shm::Mode>(message.head.a) : shm::Mode::kShared;
            result.worker = solo_ ? 0 : static_cast<int>(process.number);
            if (item.started) item.messages.clear();  // a second run; otherwise the warnings of its wide fixtures
            item.started = true;
            item.started_ns = message.head.t0;
            item.runner = id;
            item.dropped = false;
            unraised_.erase(message.head.item);
            is_testing_ = true;
            start_compiler();
            return;
        case Kind::kReport:
            result.add_report(message);
            item.messages.push_back(std::move(message));
            return;
        case Kind::kLogStart:
        case Kind::kLogFinish:
        case Kind::kWarning:
            item.messages.push_back(std::move(message));
            return;
        case Kind::kDone:
            return item_done(id, std::move(message));
        case Kind::kCrashed:
            return item_crashed(id, message);
        case Kind::kExit:
            process.claims.left(message.head.item);
            return item_exit(id, std::move(message));
        case Kind::kAmend:  // of a test that has told nothing
            return;
        case Kind::kLive:
            live_reasons_[message.head.item] = message.string(0);
            process.cause = shared_from(results_.nodeid(message.head.item), message.string(0));
            return;
        case Kind::kJudged:
            judged_[message.head.item] = message.string(0);
            return;
        default:
            return break_protocol(id, fmt::format("told tach something unknown ({})", message.head.kind), shm::kNoItem);
    }
}

void Session::learn_imports(const Message& message) {
    if (!memory_) return;
    for (const std::string& pair : split(message.string(0), '\0')) {
        const std::vector<std::string> words = split(pair, '\n');
        if (words.size() == 1) memory_->forget_import(words[0]);
        if (words.size() == 2) memory_->learn_import(words[0], words[1]);
        if (words.size() == 4) {
            memory_->learn_left_out(words[0], {.origin = words[1], .stamp = words[2], .why = words[3]});
            left_out_.insert_or_assign(words[0], words[3]);
        }
    }
}

// About an item that is complete: what its layer's end or a base's end has to add. Anything else was said already, by a
// process that died since.
void Session::late_message(Id id, Message message) {
    Item& item = items_[message.head.item];
    if (processes_.at(id).finishing && message.kind() == Kind::kCrashed) {
        const int status =
            message.head.a != 0 ? static_cast<int>(message.head.a) : static_cast<int>(message.head.b << 8U);
        return charge_finalisers(processes_.at(id), status);
    }
    if (message.kind() == Kind::kCrashed) return charge_after_end(processes_.at(id), message);
    const bool ends_session = message.kind() == Kind::kExit && !interrupted_;
    if (message.kind() != Kind::kWarning && !ends_session) return;
    if (!item.messages.empty()) {
        const auto place = ends_session ? item.messages.end() : item.messages.end() - 1;  // before its Done
        item.messages.insert(place, std::move(message));
    } else if (Process* controller = find(controller_); controller != nullptr && !ends_session) {
        if (auto passed = controller->peer.pass_on(message); !passed) fail_run(passed.error().what);
    }
}

void Session::item_done(Id id, Message message) {
    const std::uint32_t index = message.head.item;
    Item& item = items_[index];
    ItemResult& result = results_.at(index);
    result.add_done(message);
    if (const auto rewind = shm::RewindReport::parse(message.string(3))) {
        rewind_metrics_.add(message.head.t1, *rewind);
        result.dirty_pages = static_cast<std::uint64_t>(std::max<std::int64_t>(0, rewind->dirty_pages));
    }
    if ((message.head.b & shm::kDoneCondemned) != 0) {
        rewind_metrics_.condemned(std::string(message.string(4)));
        judged_[index] = message.string(4);
        Process& process = processes_.at(id);
        if (process.cause.empty()) {
            process.cause = fmt::format("shared after {}: {}", results_.nodeid(index), message.string(4));
        }
    }
    result.warmed = result.warmed || (message.head.b & shm::kDoneWarmed) != 0;
    const bool held = (message.head.b & shm::kDoneHeld) != 0;
    if ((message.head.b & shm::kDoneKept) != 0 && memory_) {
        const std::string file = results_.nodeid(index).substr(0, results_.nodeid(index).find("::"));
        for (const std::string& name : split(message.string(2), '\n')) memory_->learn_late_fixture(file, name);
    }
    if (item.held_done) {
        item.held_done = false;
        return complete(index);
    }
    message.head.b &= ~static_cast<std::uint32_t>(shm::kDoneHeld);  // the controller hears of it when it is complete
    item.messages.push_back(std::move(message));
    item.held_done = held;
    if (!held) complete(index);
}

void Session::item_crashed(Id id, const Message& message) {
    if (interrupted_) return;  // it was killed because it would not be interrupted
    record_crash(solo_ ? 0 : processes_.at(id).number, message);
}

// `why`: in the place of how its process ended.
void Session::record_crash(std::uint32_t worker, const Message& message, std::string_view why) {
    const std::uint32_t index = message.head.item;
    Item& item = items_[index];
    ItemResult& result = results_.at(index);
    result.add_crashed(message);
    if (!why.empty()) result.message = result.longrepr = why;
    result.worker = static_cast<int>(worker);
    // Reports of a test that then crashed do not count, but for its set-up, which opens the test in plugins' books.
    std::erase_if(item.messages, [](const Message& stored) {
        const bool setup = stored.head.a == static_cast<std::uint32_t>(shm::Phase::kSetup);
        const bool passed = (stored.head.b & (shm::kReportFailed | shm::kReportSkipped)) == 0;
        return stored.kind() != Kind::kLogStart && !(stored.kind() == Kind::kReport && setup && passed);
    });
    shm::MessageHead head{};
    head.item = index;
    if (item.messages.empty()) {
        head.kind = static_cast<std::uint16_t>(Kind::kLogStart);
        item.messages.push_back(stored_message(head, {}));
    }
    head = message.head;
    head.kind = static_cast<std::uint16_t>(Kind::kCrash);
    item.messages.push_back(
        stored_message(head, {result.message, message.string(0), message.string(1), message.string(2)}));
    item.held_done = false;
    complete(index);
}

// KeyboardInterrupt or pytest.exit in a test, or an exception in a hook: the session ends with this item.
void Session::item_exit(Id, Message message) {
    const std::uint32_t index = message.head.item;
    if (interrupted_) return interrupted_at(index, std::move(message));  // ours
    if (cut_ && index > *cut_) return;
    shm::MessageHead done{};
    done.a = static_cast<std::uint32_t>(results_.at(index).mode);
    results_.at(index).add_done(stored_message(done, {}));
    items_[index].messages.push_back(std::move(message));
    items_[index].held_done = false;
    complete(index);
    cut(index, true);
}

}  // namespace tach::supervisor
