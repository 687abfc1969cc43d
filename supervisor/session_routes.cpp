// Which tests are not treated as the others: found out beside the interpreter's start and pytest's collection, from the
// sources and from what earlier runs have learned, and settled once, before the first test is handed out.

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "supervisor/ask_analyzer.h"
#include "supervisor/kept_file.h"
#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;

namespace {

// How long the first test waits for the analysis, which had all of pytest's collection for its work: as long as that
// has taken, within bounds (a guess). An analysis that comes later is for the next run.
constexpr std::int64_t kShortestWaitNs = 200 * base::kNsPerMs;
constexpr std::int64_t kLongestWaitNs = 2 * base::kNsPerSecond;

}  // namespace

// Beside pytest's collection, which takes longer.
void Session::start_analysis() {
    const bool is_wanted = settings_.mode.value != Mode::kShared && settings_.engine.value != Engine::kFork &&
                           !settings_.list && !settings_.explain && !plan_.interactive && !analysis_ &&
                           analysis_started_ns_ == 0;
    if (!is_wanted) return;
    analysis_started_ns_ = base::monotonic_ns();
    std::error_code gone;
    const auto cwd = std::filesystem::current_path(gone);
    if (gone) return;
    auto started = base::RunningCommand::start(
        analyzer_command(plan_.home, cwd, {"--output=" + analysis_file_.string()}, settings_.pytest_args));
    if (!started) {
        if (verbosity_ > 0) printer_.line("tach: the sources are not looked at: " + started.error().what);
        return;
    }
    analysis_.emplace(*std::move(started));
    const auto ended = [this](std::uint32_t) { on_analysis(); };
    if (auto added = loop_->add(analysis_->pidfd(), EPOLLIN, ended); !added) fail_run(added.error().what);
}

void Session::on_analysis() {
    loop_->remove(analysis_->pidfd());
    const base::Finished finished = analysis_->finish();
    analysis_.reset();
    if (finished.status != 0) {
        // A mistake in tach.toml is for the user to mend; a directory that cannot be written only costs the verdict.
        if (finished.status == kAnalyzerMistake || verbosity_ > 0) {
            printer_.line("tach: the sources are not looked at: " + analyzer_reason(finished));
        }
    } else if (auto bytes = read_whole(analysis_file_, kMaxKeptBytes)) {
        if (auto suspicions = Suspicions::read(*bytes)) suspicions_ = *std::move(suspicions);
    }
    settle_routes();
}

std::vector<Grouping> Session::groupings() const {
    std::vector<Grouping> groups;
    groups.reserve(items_.size());
    for (const Item& item : items_) groups.push_back({.module = item.module, .unit = item.unit});
    return groups;
}

// What the guard found on one engine may be otherwise on another. "": not known.
std::string Session::guard_key() const {
    if (opinion_key_.empty() || opinion_key_ == kKeyPending) return {};
    return fmt::format("{} {}", opinion_key_, word(settings_.engine.value));
}

void Session::await_routes() {
    if (memory_ && ((opinions_enabled() && memory_->has_opinions()) || memory_->has_judgements())) {
        modules_asked_ = true;
        if (!processes_.at(zygote_).peer.post(Kind::kModules)) return fail_run("the zygote is gone");
    }
    if (analysis_) {
        const std::int64_t taken_ns = base::monotonic_ns() - analysis_started_ns_;
        loop_->after(std::clamp(taken_ns, kShortestWaitNs, kLongestWaitNs), [this] {
            if (!analysis_) return;
            if (verbosity_ > 0) printer_.line("tach: the sources are still being looked at: that is for the next run");
            loop_->remove(analysis_->pidfd());
            analysis_.reset();
            settle_routes();
        });
    }
    settle_routes();
}

bool Session::routes_are_due() const {
    return stage_ == Stage::kRunning && !routes_settled_ && !analysis_ && !(modules_asked_ && opinion_key_.empty());
}

void Session::settle_routes() {
    if (solo_ || !routes_are_due()) return;
    routes_settled_ = true;
    if (memory_ && settings_.engine.value != Engine::kFork) {
        forked_ = forked_tests(nodeids_, *memory_, guard_key(), suspicions_);
        if (!forked_.empty() && !interrupted_) schedule_.emplace(make_schedule());
    }
    if (opinions_enabled() && modules_asked_) hold_back_order_dependents();
    pump();
}

// What earlier runs found to be order-dependent, and the tests that it needs, run as pytest would run them.
void Session::hold_back_order_dependents() {
    OrderDependents found = order_dependents(nodeids_, groupings(), *memory_, opinion_key_);
    known_dependences_ = std::move(found.known);
    if (found.together.empty()) return;
    shared_items_.assign(found.together.begin(), found.together.end());
    schedule_->take(shared_items_);
}

base::Result<Explanation> Session::explanation() {
    if (!explained_ || !memory_) return base::fail(base::Error{});
    const std::uint32_t item = explained_->item;
    if (item >= items_.size()) return no_such_test(*settings_.explain, nodeids_);
    Explanation::Inputs inputs{
        .settings = settings_, .told = *explained_, .nodeid = nodeids_[item], .workers = workers_};
    std::error_code gone;
    const auto answer = ask_analyzer(plan_.home, "--explain", std::filesystem::current_path(gone),
                                     {"--output=" + analysis_file_.string()}, settings_.pytest_args);
    if (auto bytes = read_whole(analysis_file_, kMaxKeptBytes); answer && bytes) {
        if (auto suspicions = Suspicions::read(*bytes)) suspicions_ = *std::move(suspicions);
    } else {
        inputs.sources_unknown = answer ? bytes.error().what : answer.error().what;
    }
    if (const Suspicion* suspicion = suspicions_.of(inputs.nodeid)) inputs.suspicion = *suspicion;
    const auto forked = forked_tests(nodeids_, *memory_, guard_key(), suspicions_);
    if (const auto found = forked.find(item); found != forked.end()) inputs.forked = found->second;
    if (settings_.second_opinion.value) {
        const OrderDependents dependents = order_dependents(nodeids_, groupings(), *memory_, opinion_key_);
        for (const auto& [dependent, opinion] : dependents.known) {
            if (dependents.together.contains(item)) inputs.dependents.emplace_back(nodeids_[dependent], opinion);
        }
    }
    return Explanation(inputs);
}

}  // namespace tach::supervisor
