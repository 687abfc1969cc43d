#include "supervisor/results.h"

#include <csignal>

#include "tests/catch.h"

using namespace tach::supervisor;
namespace shm = tach::shm;

namespace {

struct Report {
    shm::Phase phase = shm::Phase::kCall;
    std::string_view category;
    std::uint32_t flags = 0;
    std::string_view message = {};
    std::string_view longrepr = {};
    std::string_view out = {};
    std::string_view err = {};
    std::int64_t duration_ns = 1000;
};

shm::Message message_of(const Report& report) {
    shm::Message m;
    m.head.kind = static_cast<std::uint16_t>(shm::Kind::kReport);
    m.head.a = static_cast<std::uint32_t>(report.phase);
    m.head.b = report.flags;
    m.head.t1 = report.duration_ns;
    m.strings = {"pickle", report.category, report.message, report.longrepr, report.out, report.err};
    return m;
}

void add(ItemResult& result, const Report& report) {
    result.add_report(message_of(report));
}

const Report kSetUp{.phase = shm::Phase::kSetup};
const Report kTornDown{.phase = shm::Phase::kTeardown};
const Report kPass{.category = "passed"};
const Report kFail{.category = "failed", .flags = shm::kReportFailed, .message = "AssertionError: 1"};
const Report kTeardownError{.phase = shm::Phase::kTeardown,
                            .category = "error",
                            .flags = shm::kReportFailed,
                            .message = "OSError: gone",
                            .longrepr = "trace"};

Counts counts_of(const ItemResult& result) {
    Counts counts;
    result.add_to(counts);
    return counts;
}

}  // namespace

TEST_CASE("a test that passes its three phases counts once") {
    ItemResult result;
    CHECK(result.outcome() == Outcome::kNone);
    add(result, kSetUp);
    add(result, kPass);
    add(result, kTornDown);
    CHECK(result.outcome() == Outcome::kPassed);
    CHECK(counts_of(result).passed == 1);
    CHECK(result.failures() == 0);
    CHECK_FALSE(result.doubtful());
    CHECK_FALSE(result.done);
    for (const PhaseResult& phase : result.phases) {
        CHECK(phase.present);
        CHECK(phase.outcome == "passed");
        CHECK(phase.duration_ns == 1000);
    }
}

TEST_CASE("a pass and a teardown error are one passed, one error, and the outcome error") {
    ItemResult result;
    add(result, kPass);
    add(result, kTeardownError);
    CHECK(result.outcome() == Outcome::kError);
    CHECK(counts_of(result).passed == 1);
    CHECK(counts_of(result).error == 1);
    CHECK(result.failures() == 1);
    CHECK(result.doubtful());
    CHECK(result.message == "OSError: gone");
}

TEST_CASE("a failure and a teardown error count both and keep both texts in order") {
    ItemResult result;
    add(result, {.category = "failed", .flags = shm::kReportFailed, .message = "first", .longrepr = "one"});
    add(result, kTeardownError);
    CHECK(result.outcome() == Outcome::kError);
    CHECK(counts_of(result).failed == 1);
    CHECK(counts_of(result).error == 1);
    CHECK(result.failures() == 2);
    CHECK(result.message == "first");
    CHECK(result.longrepr == "one\ntrace");
}

TEST_CASE("a wide fixture's teardown error is charged after the item is done") {
    ItemResult result;
    add(result, kPass);
    add(result, kTornDown);
    shm::Message done;
    done.head.t0 = 5000;
    done.strings = {"extras", "left a thread"};
    result.add_done(done);
    result.add_amend(message_of(kTeardownError));
    CHECK(result.done);
    CHECK(result.note == "left a thread");
    CHECK(result.outcome() == Outcome::kError);
    CHECK(counts_of(result).passed == 1);
    CHECK(counts_of(result).error == 1);
    CHECK(result.phases[2].outcome == "failed");
    CHECK(result.phases[2].duration_ns == 2000);
}

TEST_CASE("two halves of one teardown that both fail are one error") {
    ItemResult result;
    add(result, kPass);
    add(result, kTeardownError);
    result.add_amend(message_of(kTeardownError));
    CHECK(counts_of(result).error == 1);
    CHECK(result.failures() == 1);
    CHECK(result.longrepr == "trace\ntrace");
}

TEST_CASE("an amendment that passed brings its output only") {
    ItemResult result;
    add(result, kPass);
    add(result, kTornDown);
    result.add_amend(message_of({.phase = shm::Phase::kTeardown, .out = "closing\n"}));
    CHECK(result.outcome() == Outcome::kPassed);
    CHECK(result.out == "closing\n");
    CHECK_FALSE(result.doubtful());
}

TEST_CASE("a crash counts in crashed alone and names its signal") {
    ItemResult result;
    add(result, kSetUp);
    add(result, kFail);
    result.crash({.signal = SIGSEGV, .duration_ns = 7, .out = "o", .err = "e", .stack = "File \"t.py\", line 3"});
    CHECK(result.outcome() == Outcome::kCrashed);
    const Counts counts = counts_of(result);
    CHECK(counts.crashed == 1);
    CHECK(counts.failed == 0);
    CHECK(counts.any_failed());
    CHECK(result.failures() == 1);
    CHECK(result.done);
    CHECK_FALSE(result.doubtful());
    CHECK(result.message == "crashed by signal 11 (SIGSEGV)");
    CHECK(result.longrepr == "crashed by signal 11 (SIGSEGV)\nFile \"t.py\", line 3");
    CHECK(result.out == "o");
}

TEST_CASE("a message after the crash changes nothing") {
    ItemResult result;
    result.crash({.exit_status = 3});
    add(result, kPass);
    result.add_amend(message_of(kTeardownError));
    result.add_done(shm::Message{});
    CHECK(result.outcome() == Outcome::kCrashed);
    CHECK(counts_of(result).passed == 0);
    CHECK(result.message == "crashed: the process exited with status 3");
}

TEST_CASE("a time-out is not a crash") {
    ItemResult result;
    result.crash({.signal = SIGKILL, .timed_out = true, .duration_ns = 2'500'000'000});
    CHECK(result.outcome() == Outcome::kTimeout);
    CHECK(counts_of(result).timeout == 1);
    CHECK(counts_of(result).crashed == 0);
    CHECK(result.message == "timed out after 2.5 s");
}

TEST_CASE("subtests count by the category they are given") {
    ItemResult result;
    add(result, kFail);
    add(result, {.category = "skipped", .flags = shm::kReportSkipped});
    add(result, kFail);
    add(result, kPass);
    CHECK(result.outcome() == Outcome::kFailed);
    CHECK(counts_of(result).failed == 2);
    CHECK(counts_of(result).skipped == 1);
    CHECK(counts_of(result).passed == 1);
    CHECK(result.phases[1].outcome == "failed");
}

TEST_CASE("a test that passes when it is rerun has passed") {
    ItemResult result;
    add(result, {.category = "rerun"});
    add(result, kPass);
    CHECK(result.outcome() == Outcome::kPassed);
    CHECK_FALSE(result.doubtful());
}

TEST_CASE("what the terminal was told takes the place of what the worker could tell") {
    ItemResult result;
    add(result, kSetUp);
    add(result, kFail);
    add(result, kTornDown);
    shm::Message told;
    told.head.kind = static_cast<std::uint16_t>(shm::Kind::kCategories);
    told.strings = {"", "flaky", "error"};
    result.recategorise(told);
    CHECK(counts_of(result).failed == 0);
    CHECK(counts_of(result).error == 1);
    CHECK(result.outcome() == Outcome::kError);
    CHECK(result.failures() == 1);
}

TEST_CASE("what an attempt has reported of parts of a test is taken back by the next one") {
    ItemResult result;
    add(result, kFail);
    add(result, {.category = "rerun", .flags = shm::kReportSupersedes});
    add(result, kPass);
    CHECK(result.outcome() == Outcome::kPassed);
    CHECK(counts_of(result).failed == 0);
    CHECK(result.failures() == 0);
    CHECK(result.phases[1].outcome == "passed");
    CHECK_FALSE(result.doubtful());
}

TEST_CASE("a category that only a plugin knows is other, whatever it is called") {
    ItemResult result;
    add(result, {.category = "crashed", .flags = shm::kReportSkipped});
    CHECK(result.outcome() == Outcome::kOther);
    CHECK(counts_of(result).crashed == 0);
    CHECK(result.doubtful());
}

TEST_CASE("what marks alone do not decide is doubtful") {
    auto doubtful = [](const Report& report) {
        ItemResult result;
        add(result, report);
        return result.doubtful();
    };
    const auto skipped = std::uint32_t{shm::kReportSkipped};
    const auto xfail = std::uint32_t{shm::kReportXfail};
    const auto by_mark = std::uint32_t{shm::kReportByMark};
    CHECK(doubtful(kFail));
    CHECK(doubtful({.phase = shm::Phase::kSetup, .category = "error", .flags = shm::kReportFailed}));
    CHECK(doubtful({.category = "skipped", .flags = skipped}));
    CHECK(doubtful({.category = "xpassed", .flags = xfail}));
    CHECK(doubtful({.category = "failed", .flags = shm::kReportFailed | std::uint32_t{shm::kReportStrict}}));
    CHECK(doubtful({.category = "xfailed", .flags = skipped | xfail}));
    CHECK_FALSE(doubtful({.category = "skipped", .flags = skipped | by_mark}));
    CHECK_FALSE(doubtful({.category = "xfailed", .flags = skipped | xfail | by_mark}));
    CHECK_FALSE(doubtful(kPass));
}

TEST_CASE("an item with the no_rerun mark is never doubtful") {
    ItemResult result;
    result.no_rerun = true;
    add(result, kFail);
    CHECK_FALSE(result.doubtful());
}

TEST_CASE("an xfail is no failure for maxfail") {
    ItemResult result;
    add(result, {.category = "xfailed", .flags = shm::kReportSkipped | std::uint32_t{shm::kReportXfail}});
    CHECK(result.failures() == 0);
    CHECK(counts_of(result).xfailed == 1);
    CHECK_FALSE(counts_of(result).any_failed());
}

TEST_CASE("a short message is a message with empty strings") {
    ItemResult result;
    result.add_report(shm::Message{});
    result.add_done(shm::Message{});
    CHECK(result.done);
    CHECK(result.outcome() == Outcome::kOther);
    CHECK(counts_of(result).passed == 0);
}

TEST_CASE("an item whose layer is yet to be torn down is not done") {
    ItemResult result;
    add(result, kPass);
    shm::Message done;
    done.head.b = shm::kDoneHeld;
    done.head.t0 = 900;
    done.strings = {"extras", "note"};
    result.add_done(done);
    CHECK_FALSE(result.done);
    result.add_amend(message_of(kTeardownError));
    done.head.b = 0;
    done.head.t0 = 0;
    result.add_done(done);
    CHECK(result.done);
    CHECK(result.duration_ns == 900);
    CHECK(result.note == "note");
    CHECK(result.outcome() == Outcome::kError);
}

TEST_CASE("nothing after a cut is counted") {
    Results results(3, {"a", "b", "c"});
    add(results.at(0), kPass);
    add(results.at(1), kFail);
    add(results.at(2), kFail);
    results.set_collected({.deselected = 4});
    CHECK(results.counts().failed == 2);
    results.cut(1);
    results.cut(2);
    CHECK(results.end() == 2);
    CHECK(results.counts().failed == 1);
    CHECK(results.counts().passed == 1);
    CHECK(results.counts().deselected == 4);
    CHECK(results.any_failed());
    CHECK(results.nodeid(1) == "b");
}
