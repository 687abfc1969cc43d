// The orderly end of a run: workers first, then bases in reverse order of their making, then the controller, which ends
// pytest's session, then the zygote.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Role;

namespace {

// More lines of one kind than fit a screen help nobody; every test's note is in --format json.
constexpr std::size_t kMostLines = 50;

void append_bounded(std::vector<std::string>& lines, std::vector<std::string> more) {
    const std::size_t left_out = more.size() > kMostLines ? more.size() - kMostLines : 0;
    more.resize(more.size() - left_out);
    lines.insert(lines.end(), more.begin(), more.end());
    if (left_out > 0) lines.push_back(fmt::format("... and {} more, see --format json", left_out));
}

}  // namespace

void Session::close() {
    stage_ = Stage::kClosingWorkers;
    for (std::uint32_t i = 0; i < items_.size() && !is_retreating(); ++i) {
        if (items_[i].held_done && !items_[i].complete) complete(i);
    }
    close_step();
}

void Session::close_step() {
    if (stage_ == Stage::kClosingWorkers) {
        bool left = false;
        for (auto& [id, process] : processes_) {
            if (process.role != Role::kWorker) continue;
            finish_process(id);
            left = true;
        }
        if (left) return;
        stage_ = Stage::kClosingBases;
    }
    if (stage_ == Stage::kClosingBases) {
        // Bases are numbered in the order of their making, and a later one may be a copy of an earlier one.
        Id last = 0;
        for (const auto& [id, process] : processes_) {
            if (process.role == Role::kBase && (last == 0 || process.number > processes_.at(last).number)) last = id;
        }
        if (last != 0) return finish_process(last);
        // The zygote tells of what was imported once it has forked the controller: suites that are over by then, too,
        // get an image.
        if (settings_.loader.value && !loaded_.is_told && !is_retreating()) return;
        stage_ = Stage::kClosingController;
        if (is_retreating()) return end_retreat();
        hold_charged_ = false;
        order_->close();
        replay();
        return end_controller();
    }
    if (stage_ == Stage::kClosingController && find(controller_) == nullptr) {
        stage_ = Stage::kClosingZygote;
        remember();
        finish_process(zygote_);
    }
}

// Everything was told; what is left for pytest's session is its end. Solo: the same process.
void Session::end_controller() {
    Process* reader = find(solo_ ? zygote_ : controller_);
    if (reader == nullptr) return;
    if (solo_) remember();
    pass_on_interruption();
    for (const auto& [item, messages] : std::exchange(unraised_, {})) {
        if (solo_ || (cut_ && item > *cut_)) continue;
        for (const shm::Message& message : messages) {
            if (auto passed = reader->peer.pass_on(message); !passed) return fail_run(passed.error().what);
        }
    }
    std::vector<std::string> lines = summary_lines();
    append_bounded(lines, interruption_lines());
    const std::vector<std::string_view> strings(lines.begin(), lines.end());
    const auto reason = interrupted_ ? shm::EndReason::kInterrupted
                        : cut_       ? shm::EndReason::kStopped
                                     : shm::EndReason::kComplete;
    if (auto posted = reader->peer.post(Kind::kEnd, shm::kNoItem, static_cast<std::uint32_t>(reason), 0, strings);
        !posted) {
        fail_run(posted.error().what);
    }
}

std::vector<std::string> Session::summary_lines() const {
    std::array<std::size_t, 3> modes{};
    for (std::size_t i = 0; i < results_.end(); ++i) {
        if (results_.at(i).done) ++modes[static_cast<std::size_t>(results_.at(i).mode)];
    }
    std::string used;
    constexpr std::array<const char*, 3> kNames{"snapshot", "fork", "shared"};
    for (std::size_t mode = 0; mode < modes.size(); ++mode) {
        if (modes[mode] > 0) used += fmt::format("{}{} {}", used.empty() ? "" : ", ", modes[mode], kNames[mode]);
    }
    std::vector<std::string> lines;
    lines.push_back(fmt::format("seed {}, {} worker{}, engine {}, modes: {}", plan_.seed, workers_,
                                workers_ == 1 ? "" : "s", word(settings_.engine.value), used.empty() ? "none" : used));
    if (const std::string rewinds = rewind_metrics_.line(); verbosity_ > 0 && !rewinds.empty())
        lines.push_back(rewinds);
    if (verbosity_ > 0 && loaded_.hits > 0) {
        lines.push_back(
            fmt::format("{} modules from the bytecode image, {} sources changed since", loaded_.hits, loaded_.stale));
    }
    if (differences_ > 0) lines.push_back(fmt::format("{} differences found by --verify-snapshots", differences_));
    if (!solo_reason_.empty()) lines.push_back("not isolated: " + solo_reason_);
    std::vector<std::string> left_out;
    for (const auto& [module, why] : left_out_) {
        left_out.push_back(fmt::format("each test that needs {} imports it for itself: {}", module, why));
    }
    append_bounded(lines, std::move(left_out));
    std::vector<std::string> forked;
    std::size_t suspected = 0;
    for (const auto& [item, test] : forked_) {
        if (item >= results_.end() || results_.at(item).mode != shm::Mode::kFork || !results_.at(item).done) continue;
        const bool by_sources = test.by == Forked::By::kSources;
        if (by_sources) ++suspected;
        forked.push_back(
            fmt::format("forked: {}: {}{}", results_.nodeid(item), by_sources ? "" : "in an earlier run ", test.why));
    }
    if (suspected > 0) {
        lines.push_back(fmt::format("{} test{} forked for what the sources import or set up: --explain ID says what",
                                    suspected, suspected == 1 ? " was" : "s were"));
    }
    std::vector<std::string> noted;
    for (const std::uint32_t item : noted_) {
        if (item >= results_.end()) break;
        noted.push_back(fmt::format("{}: {}", results_.nodeid(item), results_.at(item).note));
    }
    append_bounded(lines, lost_lines());
    if (verbosity_ > 0) append_bounded(lines, std::move(forked));
    append_bounded(lines, std::move(noted));
    if (unconfirmed_ > 0) {
        lines.push_back(
            fmt::format("{} test{} without a second opinion in pytest's own order (second_opinion.budget_s)",
                        unconfirmed_, unconfirmed_ == 1 ? "" : "s"));
    }
    return lines;
}

// Why tests were not isolated, a line for each cause, in the order of the tests.
std::vector<std::string> Session::lost_lines() const {
    std::vector<std::string> causes;
    std::map<std::string, std::size_t> tests;
    const auto add = [&](const std::string& cause, std::size_t count) {
        const auto [at, is_new] = tests.try_emplace(cause, 0);
        if (is_new) causes.push_back(cause);
        at->second += count;
    };
    for (const auto& [item, why] : live_reasons_) {
        add(fmt::format("shared from {} on: {}", results_.nodeid(item), why), 0);
    }
    for (const auto& [item, cause] : lost_) {
        if (item < results_.end()) add(cause, 1);
    }
    std::vector<std::string> lines;
    for (const std::string& cause : causes) {
        const std::size_t count = tests.at(cause);
        lines.push_back(count > 1 ? fmt::format("{} ({} tests)", cause, count) : cause);
    }
    return lines;
}

// For the test's own note and the summary, if it ran less isolated than the user wishes.
void Session::note_cause(const Process& process, std::uint32_t index) {
    ItemResult& result = results_.at(index);
    const bool is_wished = settings_.mode.value == Mode::kShared || settings_.mode.value == Mode::kFork;
    if (result.mode != shm::Mode::kShared || is_wished) return;
    const std::string cause = solo_                   ? "not isolated: " + solo_reason_
                              : process.cause.empty() ? "shared: its process could not be rewound"
                                                      : process.cause;
    if (!solo_) lost_.insert_or_assign(index, cause);  // solo: the summary has the line
    if (result.note.empty()) result.note = cause;
}

void Session::remember() {
    if (!memory_) return;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        const ItemResult& result = results_.at(i);
        if (result.done && result.outcome() == Outcome::kPassed) {
            memory_->learn_duration(results_.nodeid(i), result.duration_ns);
        }
    }
    for (const auto& [item, why] : judged_) {
        const auto forked = forked_.find(item);
        // What was once seen to be in the way stands: whether it is may be chance.
        const bool stands = forked != forked_.end() && forked->second.by == Forked::By::kEarlierRun;
        const std::string& nodeid = results_.nodeid(item);
        const std::string key = guard_key(std::string_view(nodeid).substr(0, nodeid.find("::")));
        if (!stands && !key.empty()) memory_->learn_judgement(nodeid, why, key);
    }
    remember_gatherers();
    memory_->save();
    if (auto warning = memory_->take_warning()) printer_.line("tach: " + *warning);
}

}  // namespace tach::supervisor
