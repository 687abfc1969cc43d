// Which tests are not treated as the others: found out beside the interpreter's start and pytest's collection, from the
// sources and from what earlier runs have learned, and settled once, before the first test is handed out.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/whole_file.h"
#include "supervisor/ask_analyzer.h"
#include "supervisor/kept_file.h"
#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;

namespace {

// How long the first test waits for the analysis, which had all of pytest's collection for its work: as long as that
// has taken, within bounds (a guess). One that comes later is for the next run.
constexpr std::int64_t kShortestWaitNs = 200 * base::kNsPerMs;
constexpr std::int64_t kLongestWaitNs = 2 * base::kNsPerSecond;
// What the compiler is given when the tests are over: to end, or else suites that take no longer than its interpreter's
// start would never get an image; then to write down what it has, for which it needs a few milliseconds. Guesses.
constexpr int kCompilerLastMs = 250;
constexpr int kCompilerEndMs = 500;
constexpr int kSignalledExit = 128;  // and the signal's number
// How long --explain waits, which has nothing else to do. A guess: a million lines take ten seconds.
constexpr int kLongestExplainMs = 30'000;

}  // namespace

bool Session::wants_analysis() const {
    return settings_.mode.value != Mode::kShared && settings_.engine.value != Engine::kFork && !settings_.list;
}

base::Result<base::RunningCommand> Session::launch_analysis() const {
    if (auto made = make_kept_directory(kept_root_); !made) return base::fail(made.error());
    std::error_code gone;
    const auto cwd = std::filesystem::current_path(gone);
    const std::vector<std::string> question{"--output=" + analysis_file_.string()};
    return base::RunningCommand::start(analyzer_command(plan_.home, cwd, question, settings_));
}

// Beside pytest's collection, which takes longer.
void Session::start_analysis() {
    if (!wants_analysis() || analysis_started_ns_ != 0) return;
    analysis_started_ns_ = base::monotonic_ns();
    auto started = launch_analysis();
    if (!started) {
        sources_unknown_ = started.error().what;
        if (verbosity_ > 0) printer_.line("tach: the sources are not looked at: " + sources_unknown_);
        return;
    }
    analysis_.emplace(*std::move(started));
    const auto ended = [this](std::uint32_t) { on_analysis(); };
    if (auto added = loop_->add(analysis_->pidfd(), EPOLLIN, ended); !added) fail_run(added.error().what);
}

void Session::on_analysis() {
    loop_->remove(analysis_->pidfd());
    read_analysis();
    settle_routes();
}

// What it has found, once it has ended. A mistake in tach.toml is for the user to mend; a directory that cannot be
// written only costs the verdict.
void Session::read_analysis() {
    const base::Finished finished = analysis_->finish();
    analysis_.reset();
    if (finished.status != 0) {
        sources_unknown_ = stage_reason(kAnalyzer, finished);
        const bool is_shown = finished.status == kAnalyzerMistake || verbosity_ > 0;
        if (is_shown && !settings_.explain) printer_.line("tach: the sources are not looked at: " + sources_unknown_);
        return;
    }
    if (routes_settled_) return;
    const auto bytes = base::read_file(analysis_file_, kMaxKeptBytes);
    auto read = bytes ? Suspicions::read(*bytes) : base::fail(bytes.error());
    if (read) {
        suspicions_ = *std::move(read);
    } else {
        sources_unknown_ = read.error().what;
    }
}

std::vector<Grouping> Session::groupings() const {
    std::vector<Grouping> groups;
    groups.reserve(items_.size());
    for (const Item& item : items_) groups.push_back({.module = item.module, .unit = item.unit});
    return groups;
}

// Of what a test's behaviour depends on, as far as it can be known cheaply; what the guard found on one engine may be
// otherwise on another. "": not known, nothing is remembered.
std::string Session::guard_key(std::string_view file) {
    const auto [key, is_new] = guard_keys_.try_emplace(std::string(file));
    if (!is_new) return key->second;
    const std::string contents = suspicions_.contents_key(file);
    if (contents.empty()) return {};
    std::vector<std::filesystem::path> files;
    if (!suspicions_.ini_file().empty()) files.push_back(rootdir_ / suspicions_.ini_file());
    const std::string extra = fmt::format("{} {} {}", contents, python_version_, word(settings_.engine.value));
    return key->second = content_keys_.key(files, extra);
}

// One worker keeps pytest's order, which may matter to files.
bool Session::may_go_last(const Item& item) const {
    return workers_ > 1 && (item.flags & shm::kItemOwnWorker) == 0;
}

// Whether the schedule hands the test out after the others: it, or what stays with it in one process, is forked.
bool Session::goes_last(std::uint32_t index) const {
    const Item& item = items_[index];
    if (!may_go_last(item)) return false;
    if (item.unit == 0) return forked_.contains(index);
    return std::any_of(forked_.begin(), forked_.end(),
                       [&](const auto& entry) { return items_[entry.first].unit == item.unit; });
}

void Session::await_routes() {
    if (memory_ && opinions_enabled() && memory_->has_opinions()) {
        modules_asked_ = true;
        if (!processes_.at(zygote_).peer.post(Kind::kModules)) return fail_run("the zygote is gone");
    }
    if (analysis_) {
        const std::int64_t taken_ns = base::monotonic_ns() - analysis_started_ns_;
        loop_->after(std::clamp(taken_ns, kShortestWaitNs, kLongestWaitNs), [this] { await_no_longer(); });
    }
    settle_routes();
}

// It goes on beside the tests.
void Session::await_no_longer() {
    if (routes_settled_ || !analysis_) return;
    if (verbosity_ > 0) printer_.line("tach: the sources are still being looked at: what they say is for the next run");
    are_sources_late_ = true;
    settle_routes();
}

bool Session::routes_are_due() const {
    const bool waits = (analysis_ && !are_sources_late_) || (modules_asked_ && opinion_key_.empty());
    return stage_ == Stage::kRunning && !routes_settled_ && !waits;
}

void Session::settle_routes() {
    if (solo_ || !routes_are_due()) return;
    routes_settled_ = true;
    if (wants_analysis()) {
        find_forked();
        recall_gatherers();
    }
    if (is_retreating()) return;
    if (!forked_.empty() && !interrupted_) schedule_.emplace(make_schedule());
    if (opinions_enabled() && modules_asked_) hold_back_order_dependents();
    pump();
}

// For the next run, with what processors the tests leave; once the first test runs, which needs none of it.
void Session::start_compiler() {
    if (!uncompiled_ || compiler_ || interrupted_) return;
    std::vector<std::string> command{plan_.home.compiler.string(),
                                     "--idle",
                                     fmt::format("--parent={}", ::getpid()),
                                     "--imports=" + uncompiled_->imports,
                                     "--output=" + uncompiled_->image,
                                     "--root=" + rootdir_.string(),
                                     "--python=" + plan_.interpreter.executable.string()};
    if (analysis_started_ns_ != 0 && !analysis_ && sources_unknown_.empty())
        command.push_back("--analysis=" + analysis_file_.string());
    uncompiled_.reset();
    auto started = base::RunningCommand::start(command);
    if (started) {
        compiler_.emplace(*std::move(started));
    } else if (verbosity_ > 0) {
        printer_.line("tach: no bytecode image is made: " + started.error().what);
    }
}

// It writes what it has, and the next run goes on from there.
void Session::stop_compiler() {
    if (!compiler_) return;
    if (interrupted_ || !compiler_->ends_within(kCompilerLastMs)) {
        static_cast<void>(base::send_signal(compiler_->pidfd(), SIGTERM));
    }
    if (compiler_->ends_within(kCompilerEndMs)) {
        const base::Finished finished = compiler_->finish();
        const bool is_its_end = finished.status == 0 || finished.status > kSignalledExit;
        if (!is_its_end && verbosity_ > 0) {
            printer_.line(fmt::format("tach: no bytecode image is made: {}", stage_reason("tach-compiler", finished)));
        }
    }
    compiler_.reset();
}

void Session::find_forked() {
    if (!memory_) return;
    const auto key = [this](std::string_view file) { return guard_key(file); };
    forked_ = forked_tests(nodeids_, *memory_, key, suspicions_);
}

// What earlier runs found to be order-dependent, and the tests that it needs, run as pytest would run them.
void Session::hold_back_order_dependents() {
    OrderDependents found = order_dependents(nodeids_, groupings(), *memory_, opinion_key_);
    known_dependences_ = std::move(found.known);
    if (found.together.empty()) return;
    shared_items_.assign(found.together.begin(), found.together.end());
    schedule_->take(shared_items_);
}

base::Result<Explanation> Session::explain() {
    if (!explained_ || !memory_) return base::fail(base::Error{});
    const std::uint32_t item = explained_->item;
    if (item >= items_.size()) return no_such_test(*settings_.explain, nodeids_);
    if (analysis_) {
        // Nothing is left to finalise: from here on a signal may end us.
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
        if (analysis_->ends_within(kLongestExplainMs)) {
            read_analysis();
        } else {
            sources_unknown_ = fmt::format("tach-analyzer has not ended after {} s", kLongestExplainMs / 1000);
        }
    }
    find_forked();
    Explanation::Inputs inputs{.settings = settings_, .told = *explained_, .nodeid = nodeids_[item]};
    inputs.is_last = goes_last(item);
    inputs.sources_unknown = sources_unknown_;
    if (const Suspicion* suspicion = suspicions_.of(inputs.nodeid)) inputs.suspicion = *suspicion;
    if (const auto found = forked_.find(item); found != forked_.end()) inputs.forked = found->second;
    if (settings_.second_opinion.value) {
        const OrderDependents dependents = order_dependents(nodeids_, groupings(), *memory_, opinion_key_);
        for (const auto& [dependent, opinion] : dependents.known) {
            if (dependents.together.contains(item)) inputs.dependents.emplace_back(nodeids_[dependent], opinion);
        }
    }
    return Explanation(inputs);
}

}  // namespace tach::supervisor
