#include "supervisor/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tach::supervisor {

namespace {

constexpr std::array<std::string_view, kOutcomes> kNames = {"none",    "passed",  "failed",  "error",   "skipped",
                                                            "xfailed", "xpassed", "crashed", "timeout", "other"};

std::size_t index(Outcome outcome) {
    return static_cast<std::size_t>(outcome);
}

// The category as pytest_report_teststatus gives it. Only pytest's own are recognised: a plugin that invents
// a category "crashed" must not be taken for the supervisor's.
Outcome category_outcome(std::string_view category) {
    if (category.empty()) return Outcome::kNone;
    for (auto outcome : {Outcome::kPassed, Outcome::kFailed, Outcome::kError, Outcome::kSkipped, Outcome::kXfailed,
                         Outcome::kXpassed}) {
        if (category == outcome_name(outcome)) return outcome;
    }
    return Outcome::kOther;
}

std::string_view report_outcome(const shm::Message& report) {
    if ((report.head.b & shm::kReportFailed) != 0) return "failed";
    if ((report.head.b & shm::kReportSkipped) != 0) return "skipped";
    return "passed";
}

shm::Mode mode_of(std::uint32_t value) {
    return value <= static_cast<std::uint32_t>(shm::Mode::kShared) ? static_cast<shm::Mode>(value) : shm::Mode::kShared;
}

void append_block(std::string& to, std::string_view text) {
    if (text.empty()) return;
    if (!to.empty() && to.back() != '\n') to += '\n';
    to += text;
}

std::string crash_message(const Crash& crash) {
    if (crash.timed_out) {
        return fmt::format("timed out after {:.1f} s", static_cast<double>(crash.duration_ns) / 1e9);
    }
    if (crash.signal == 0) return fmt::format("crashed: the process exited with status {}", crash.exit_status);
    const char* name = ::sigabbrev_np(crash.signal);
    if (name == nullptr) return fmt::format("crashed by signal {}", crash.signal);
    return fmt::format("crashed by signal {} (SIG{})", crash.signal, name);
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
    return kNames[index(outcome)];
}

void ItemResult::keep(PhaseResult& phase, const shm::Message& report) {
    // A failed subtest is followed by the report of the test that contains it; a rerun's failed attempts are
    // not "failed" and give way.
    const bool failed_already = phase.present && phase.outcome == "failed";
    phase.present = true;
    phase.duration_ns = report.head.t1;
    if (!failed_already) phase.outcome = report_outcome(report);
}

// The captured output of a report includes that of the phases before, as in pytest: the last one has it all.
void ItemResult::add_text(const shm::Message& report) {
    if (message.empty()) message = report.string(2);
    append_block(longrepr, report.string(3));
    if (!report.string(4).empty()) out = report.string(4);
    if (!report.string(5).empty()) err = report.string(5);
}

// One report without a known cause, and that of the test is not known.
void ItemResult::doubt(std::string_view why) {
    const bool is_known = !why.empty() && (!in_doubt_ || !cause.empty());
    cause = is_known ? fmt::format("{}{}\n", cause, why) : std::string();
    in_doubt_ = true;
}

void ItemResult::add_report(const shm::Message& report) {
    if (ended_ != Outcome::kNone) return;
    const Outcome outcome = category_outcome(report.string(1));
    const std::uint32_t flags = report.head.b;
    const bool failed = (flags & shm::kReportFailed) != 0;
    if ((flags & shm::kReportSupersedes) != 0) {
        tally_ = {};
        failures_ = 0;
        in_doubt_ = false;
        if (report.head.a < phases.size()) phases[report.head.a] = {};
    }
    if (report.head.a < phases.size()) keep(phases[report.head.a], report);
    if (failed && (flags & shm::kReportXfail) == 0) ++failures_;
    if (failed && report.head.a == static_cast<std::uint32_t>(shm::Phase::kTeardown)) teardown_failed_ = true;
    if ((flags & shm::kReportByMark) != 0) by_mark = true;
    if (outcome != Outcome::kNone) {
        ++tally_[index(outcome)];
        last_ = outcome;
        // A rerun is a category of its own that neither failed nor was skipped: its last attempt decides.
        const bool settled = outcome == Outcome::kPassed ||
                             (outcome == Outcome::kOther && (flags & (shm::kReportFailed | shm::kReportSkipped)) == 0);
        if (!settled && (flags & shm::kReportByMark) == 0) doubt(report.string(6));
    }
    add_text(report);
}

void ItemResult::add_amend(const shm::Message& report) {
    if (ended_ != Outcome::kNone) return;
    PhaseResult& teardown = phases[static_cast<std::size_t>(shm::Phase::kTeardown)];
    const std::int64_t before = teardown.duration_ns;
    keep(teardown, report);
    teardown.duration_ns += before;  // two halves of one teardown
    if ((report.head.b & shm::kReportFailed) != 0 && !teardown_failed_) {
        teardown_failed_ = true;
        doubt(report.string(6));
        ++failures_;
        ++tally_[index(Outcome::kError)];
        last_ = Outcome::kError;
    }
    if (message.empty()) message = report.string(2);
    append_block(longrepr, report.string(3));
    out += report.string(4);
    err += report.string(5);
}

void ItemResult::recategorise(const shm::Message& categories) {
    tally_ = {};
    last_ = Outcome::kNone;
    for (const std::string_view category : categories.strings) {
        const Outcome outcome = category_outcome(category);
        if (outcome == Outcome::kNone) continue;
        ++tally_[index(outcome)];
        last_ = outcome;
    }
}

void ItemResult::add_done(const shm::Message& message_done) {
    if (ended_ != Outcome::kNone) return;
    done = (message_done.head.b & shm::kDoneHeld) == 0;
    mode = mode_of(message_done.head.a);
    duration_ns = std::max(duration_ns, message_done.head.t0);
    reset_ns = std::max(reset_ns, message_done.head.t1);
    if (note != message_done.string(1)) append_block(note, message_done.string(1));
}

void ItemResult::crash(const Crash& crash) {
    done = true;
    ended_ = crash.timed_out ? Outcome::kTimeout : Outcome::kCrashed;
    duration_ns = crash.duration_ns;
    message = crash_message(crash);
    longrepr = message;
    append_block(longrepr, crash.stack);
    out = crash.out;
    err = crash.err;
}

void ItemResult::add_crashed(const shm::Message& crashed) {
    crash({.signal = static_cast<int>(crashed.head.a),
           .exit_status = static_cast<int>(crashed.head.b),
           .duration_ns = crashed.head.t0,
           .out = crashed.string(0),
           .err = crashed.string(1),
           .stack = crashed.string(2)});
}

Outcome ItemResult::outcome() const {
    if (ended_ != Outcome::kNone) return ended_;
    if (tally_[index(Outcome::kError)] > 0) return Outcome::kError;
    if (tally_[index(Outcome::kFailed)] > 0) return Outcome::kFailed;
    // Finished without a report that counts: a plugin has run it by a protocol of its own.
    return done && last_ == Outcome::kNone ? Outcome::kOther : last_;
}

bool ItemResult::doubtful() const {
    return ended_ == Outcome::kNone && in_doubt_ && !no_rerun;
}

std::uint32_t ItemResult::failures() const {
    return ended_ != Outcome::kNone ? 1 : failures_;
}

void ItemResult::add_to(Counts& counts) const {
    if (ended_ == Outcome::kCrashed) {
        ++counts.crashed;
        return;
    }
    if (ended_ == Outcome::kTimeout) {
        ++counts.timeout;
        return;
    }
    counts.passed += tally_[index(Outcome::kPassed)];
    counts.failed += tally_[index(Outcome::kFailed)];
    counts.error += tally_[index(Outcome::kError)];
    counts.skipped += tally_[index(Outcome::kSkipped)];
    counts.xfailed += tally_[index(Outcome::kXfailed)];
    counts.xpassed += tally_[index(Outcome::kXpassed)];
}

Results::Results(std::size_t n, std::vector<std::string> nodeids) : items_(n), nodeids_(std::move(nodeids)), end_(n) {
    nodeids_.resize(n);
}

void Results::cut(std::uint32_t item) {
    end_ = std::min(end_, std::size_t{item} + 1);
}

Counts Results::counts() const {
    Counts counts = collected_;
    for (std::size_t i = 0; i < end_; ++i) items_[i].add_to(counts);
    return counts;
}

}  // namespace tach::supervisor
