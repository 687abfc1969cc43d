#pragma once

// What became of every test: the reports of one item folded into one verdict, and the counts over all of
// them.
//
// Driven by the main loop, which feeds it the messages of workers (and of a solo session) as they arrive;
// read by the printer, the JSON report and the exit code. Plain values without I/O and without errors: a
// message with missing strings is a message with empty ones. Counting follows pytest's terminal reporter:
// every report counts once under the category that pytest_report_teststatus gives it, so a test can count
// twice (passed, and an error in its teardown).

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shm/message.h"

namespace tach::supervisor {

enum class Outcome {
    kNone,  // not run, or not reported yet
    kPassed,
    kFailed,
    kError,
    kSkipped,
    kXfailed,
    kXpassed,
    kCrashed,
    kTimeout,
    kOther,  // a category that only a plugin knows, or finished without any
};
inline constexpr std::size_t kOutcomes = 10;

// "passed", "failed", ...; "none" for kNone.
[[nodiscard]] std::string_view outcome_name(Outcome outcome);

struct PhaseResult {
    bool present = false;
    std::string outcome;  // pytest's report.outcome: "passed", "failed" or "skipped"
    std::int64_t duration_ns = 0;
};

struct Counts {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t error = 0;
    std::size_t skipped = 0;
    std::size_t xfailed = 0;
    std::size_t xpassed = 0;
    std::size_t crashed = 0;
    std::size_t timeout = 0;
    std::size_t deselected = 0;

    [[nodiscard]] bool any_failed() const { return failed + error + crashed + timeout > 0; }
};

// How a test's process ended when it ended too early.
struct Crash {
    int signal = 0;          // 0: it exited
    int exit_status = 0;     // meaningful when signal is 0
    bool timed_out = false;  // the supervisor killed it because its time was up
    std::int64_t duration_ns = 0;
    std::string_view out;
    std::string_view err;
    std::string_view stack;  // the last Python stack, if one could be had
};

// One item's result. Copyable: a second opinion is another ItemResult, compared with the first and put in its
// place.
class ItemResult {
  public:
    // kReport. For a phase that reports more than once (subtests, reruns) a failure stays, else the last one
    // counts.
    void add_report(const shm::Message& report);

    // kAmend: the teardown of a wide fixture that pytest charges to this item. It becomes part of the item's
    // one teardown report: an item whose own teardown has failed already does not count a second error.
    void add_amend(const shm::Message& report);

    // kCategories: what pytest's terminal was told of all its reports, in the place of what a worker could tell.
    void recategorise(const shm::Message& categories);

    // kDone: the item is finished in an orderly way, or (kDoneHeld) but for what a layer's teardown may add
    // to it.
    void add_done(const shm::Message& done);

    // The process died in this item. The item is finished; its reports so far do not count.
    void crash(const Crash& crash);
    void add_crashed(const shm::Message& crashed);  // kCrashed: the same, as the worker that watched it tells it

    [[nodiscard]] Outcome outcome() const;

    // Whether a run in pytest's own order could come out differently: some report is neither passed nor
    // decided by the item's marks alone. Never for a crash, a timeout or an item with the no_rerun mark.
    [[nodiscard]] bool doubtful() const;

    // What pytest adds to session.testsfailed for this item, which is what --maxfail counts.
    [[nodiscard]] std::uint32_t failures() const;

    void add_to(Counts& counts) const;

    std::array<PhaseResult, 3> phases;  // by shm::Phase
    shm::Mode mode = shm::Mode::kFork;
    std::string path = "full";
    int worker = -1;  // -1: the session's own process
    std::int64_t duration_ns = 0;
    std::int64_t reset_ns = 0;
    bool warmed = false;  // see kDoneWarmed
    std::uint64_t dirty_pages = 0;
    std::string message;   // the one-line reason of everything but a pass
    std::string longrepr;  // this and the next two are there only if JSON was asked for
    std::string out;
    std::string err;
    std::string note;
    bool done = false;
    std::string cause;     // of what is in doubt: the same for tests that failed in the same way; "" if it is not known
    bool by_mark = false;  // some report's outcome was decided by the item's marks alone
    bool no_rerun = false;  // set from kItemNoRerun

  private:
    void add_text(const shm::Message& report);
    void keep(PhaseResult& phase, const shm::Message& report);
    void doubt(std::string_view why);

    std::array<std::uint32_t, kOutcomes> tally_{};  // reports by outcome; kNone's place stays 0
    Outcome last_ = Outcome::kNone;                 // of the last report that has a category
    Outcome ended_ = Outcome::kNone;                // kCrashed or kTimeout
    std::uint32_t failures_ = 0;
    bool teardown_failed_ = false;
    bool in_doubt_ = false;
};

// All items of the session, by index in collection order. An index outside of it is the caller's bug.
class Results {
  public:
    Results(std::size_t n, std::vector<std::string> nodeids);

    [[nodiscard]] ItemResult& at(std::size_t item) { return items_.at(item); }
    [[nodiscard]] const ItemResult& at(std::size_t item) const { return items_.at(item); }
    [[nodiscard]] const std::string& nodeid(std::size_t item) const { return nodeids_.at(item); }
    [[nodiscard]] std::size_t size() const { return items_.size(); }

    // Nothing after `item` is reported: parallel workers may have been ahead of the failure that ended the
    // run.
    void cut(std::uint32_t item);
    // One past the last item that counts().
    [[nodiscard]] std::size_t end() const { return end_; }

    // What collection itself adds to the counts: skipped modules, errors, deselected items.
    void set_collected(const Counts& counts) { collected_ = counts; }

    // Sums over all reported items: for a redraw or the end, not for every message.
    [[nodiscard]] Counts counts() const;
    [[nodiscard]] bool any_failed() const { return counts().any_failed(); }

  private:
    std::vector<ItemResult> items_;
    std::vector<std::string> nodeids_;
    std::size_t end_;
    Counts collected_;
};

}  // namespace tach::supervisor
