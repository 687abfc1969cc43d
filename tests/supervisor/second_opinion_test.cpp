// Second opinions: what is run again, and what follows from it. A function plays the tests: it gives the outcome of one
// after those that ran before it in the same process.

#include "supervisor/second_opinion.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"

using namespace tach::supervisor;

namespace {

using Items = std::vector<std::uint32_t>;
using Passes = std::vector<Items>;
using Lines = std::vector<std::string>;
using World = std::function<Outcome(const Items& before, std::uint32_t item)>;

// Far more than any pass here takes.
constexpr double kPlenty = 1000;

bool has(const Items& items, std::uint32_t item) {
    return std::find(items.begin(), items.end(), item) != items.end();
}

// "3 confirmed", "3 unconfirmed", "3 flaky", "3 needs 0 1"
std::string in_words(const SecondOpinion::Settled& settled) {
    std::string words = std::to_string(settled.item);
    switch (settled.verdict) {
        case SecondOpinion::Settled::Verdict::kConfirmed:
            words += " confirmed";
            break;
        case SecondOpinion::Settled::Verdict::kUnconfirmed:
            words += " unconfirmed";
            break;
        case SecondOpinion::Settled::Verdict::kOrderDependent:
            words += " needs";
            break;
        case SecondOpinion::Settled::Verdict::kFlaky:
            words += " flaky";
            break;
    }
    for (const std::uint32_t item : settled.needs) words += " " + std::to_string(item);
    return words;
}

// A session in which every test passed alone, but for the doubtful ones.
class Run {
  public:
    Run(std::vector<std::uint32_t> modules, World tests, double budget_s = kPlenty)
        : opinion(std::move(modules), budget_s), tests_(std::move(tests)) {}

    void doubt(std::uint32_t item, Outcome alone = Outcome::kFailed) {
        alone_[item] = alone;
        opinion.doubt(item, {.outcome = alone, .cause = cause, .undisturbed = undisturbed});
    }
    void never_ran(std::uint32_t item) { alone_[item] = Outcome::kNone; }

    // Runs the next pass; false if there is none.
    bool step() {
        const auto pass = opinion.next([this](std::uint32_t) { return expected_s; });
        for (const auto& settled : opinion.take_settled()) told.push_back(in_words(settled));
        if (!pass) return false;
        passes.push_back(pass->items);
        searched.push_back(pass->search);
        SecondOpinion::Seen seen;
        Items before;
        for (const std::uint32_t item : pass->items) {
            const Outcome outcome = tests_(before, item);
            if (outcome != Outcome::kNone) seen[item] = outcome;
            before.push_back(item);
        }
        const auto alone = [this](std::uint32_t item) {
            return alone_.contains(item) ? alone_.at(item) : Outcome::kPassed;
        };
        opinion.finished(*pass, seen, alone, took_s);
        for (const auto& settled : opinion.take_settled()) told.push_back(in_words(settled));
        return true;
    }

    void to_the_end() {
        while (step()) REQUIRE(passes.size() < 100);
    }

    SecondOpinion opinion;
    double expected_s = 0;  // of every test
    std::string cause;      // of what is put into doubt next
    bool undisturbed = false;
    double took_s = 0;  // every pass
    Passes passes;
    std::vector<bool> searched;
    Lines told;

  private:
    World tests_;
    std::map<std::uint32_t, Outcome> alone_;
};

Outcome always_fails(const Items&, std::uint32_t) {
    return Outcome::kFailed;
}

// `item` passes if all of `needed` ran before it, and fails otherwise; the others pass.
World needs(std::uint32_t item, const Items& needed) {
    return [=](const Items& before, std::uint32_t now) {
        const bool good = std::all_of(needed.begin(), needed.end(), [&](std::uint32_t n) { return has(before, n); });
        return now != item || good ? Outcome::kPassed : Outcome::kFailed;
    };
}

}  // namespace

// --- confirmed ------------------------------------------------------------------------------------------------------

TEST_CASE("without doubts there is no pass") {
    Run run({0, 0, 1}, always_fails);
    CHECK_FALSE(run.step());
    CHECK_FALSE(run.opinion.pending());
}

TEST_CASE("a doubtful test is run again after all that precedes it, and then it stands") {
    Run run({0, 0, 1, 1, 1, 2}, always_fails);
    run.doubt(3);
    CHECK(run.opinion.pending());
    REQUIRE(run.step());
    CHECK(run.passes == Passes{{0, 1, 2, 3}});
    CHECK(run.searched == std::vector<bool>{false});
    CHECK(run.told == Lines{"3 confirmed"});
    CHECK_FALSE(run.opinion.pending());
    CHECK(run.opinion.passes() == 1);
}

TEST_CASE("doubtful tests share a pass up to the last of them") {
    Run run({0, 1, 1, 1, 2, 3}, always_fails);
    run.doubt(4);
    run.doubt(3);
    run.doubt(1);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4}});
    CHECK(run.told == Lines{"1 confirmed", "3 confirmed", "4 confirmed"});
}

TEST_CASE("where what precedes its module is much longer, the module comes first") {
    std::vector<std::uint32_t> modules(50, 0);
    modules.insert(modules.end(), {1, 1, 1});
    Run run(modules, needs(52, {50}));
    run.expected_s = 1;
    run.doubt(52);
    run.to_the_end();
    CHECK(run.passes == Passes{{50, 51, 52}, {52}, {50, 52}});
    CHECK(run.told == Lines{"52 needs 50"});
}

TEST_CASE("a module that confirms is no reason to leave out what precedes it") {
    std::vector<std::uint32_t> modules(50, 0);
    modules.push_back(1);
    Run run(modules, needs(50, {7}));
    run.expected_s = 1;
    run.doubt(50);
    run.step();
    run.step();
    CHECK(run.passes[0] == Items{50});
    CHECK(run.passes[1].size() == 51);
}

// --- what can matter ------------------------------------------------------------------------------------------------

TEST_CASE("the first test of a run is not run again: nothing precedes it") {
    Run run({0, 0}, always_fails);
    run.undisturbed = true;
    run.doubt(0);
    run.to_the_end();
    CHECK(run.passes.empty());
    CHECK(run.told == Lines{"0 confirmed"});
}

TEST_CASE("tests that left nothing are left out, and where no others are, nothing is run again") {
    Run run({0, 0, 0, 1, 1}, always_fails);
    run.undisturbed = true;
    for (const std::uint32_t item : {0, 1, 2}) run.opinion.left_nothing(item);
    run.doubt(3);
    run.doubt(4);
    run.to_the_end();
    CHECK(run.passes == Passes{{3, 4}});
    CHECK(run.told == Lines{"3 confirmed", "4 confirmed"});
}

TEST_CASE("a test that began before others had ended is run again by itself at least: they may have written a file") {
    Run run({0, 0, 0}, always_fails);
    for (const std::uint32_t item : {0, 1, 2}) run.opinion.left_nothing(item);
    run.doubt(2);
    run.to_the_end();
    CHECK(run.passes == Passes{{2}});
    CHECK(run.told == Lines{"2 confirmed"});
}

TEST_CASE("what a test needs is looked for among those that left something") {
    Run run({0, 0, 0, 0, 0, 0}, needs(5, {3}));
    for (const std::uint32_t item : {0, 2, 4}) run.opinion.left_nothing(item);
    run.doubt(5);
    run.to_the_end();
    CHECK(run.passes == Passes{{1, 3, 5}, {5}, {1, 5}, {3, 5}});
    CHECK(run.told == Lines{"5 needs 3"});
}

// --- one cause ------------------------------------------------------------------------------------------------------

TEST_CASE("tests that fail for one cause are confirmed by the first of them, and the last after its module") {
    Run run({0, 0, 0, 0, 1, 1, 1, 1}, always_fails);
    run.cause = "a fixture";
    for (const std::uint32_t item : {1, 2, 3, 4, 5, 6}) run.doubt(item);
    run.to_the_end();
    CHECK(run.passes == Passes{{4, 5, 6}, {0, 1}});
    CHECK(run.told == Lines{"1 confirmed", "2 confirmed", "3 confirmed", "4 confirmed", "5 confirmed", "6 confirmed"});
}

TEST_CASE("two causes are two groups") {
    Run run({0, 0, 0, 0, 0, 0}, always_fails);
    run.cause = "a fixture";
    for (const std::uint32_t item : {0, 1, 2}) run.doubt(item);
    run.cause = "another";
    for (const std::uint32_t item : {3, 4, 5}) run.doubt(item);
    run.to_the_end();
    CHECK(run.told.size() == 6);
    CHECK(run.passes.size() <= 2);
}

TEST_CASE("should one of them differ, each is looked at for itself") {
    // The last one passes after 3, which none of the others comes after.
    Run run({0, 0, 0, 0, 0}, needs(4, {3}));
    run.cause = "a fixture";
    run.doubt(1);
    run.doubt(2);
    run.doubt(4);
    run.to_the_end();
    CHECK(has(run.passes[0], 4));
    CHECK(std::find(run.told.begin(), run.told.end(), "4 needs 3") != run.told.end());
    CHECK(run.told.size() == 3);
}

TEST_CASE("what has been settled is told once") {
    SecondOpinion opinion({0}, kPlenty);
    opinion.doubt(0, {});
    const auto pass = opinion.next([](std::uint32_t) { return 0.0; });
    REQUIRE(pass);
    opinion.finished(
        *pass, {{0, Outcome::kFailed}}, [](std::uint32_t) { return Outcome::kFailed; }, 0);
    CHECK(opinion.take_settled().size() == 1);
    CHECK(opinion.take_settled().empty());
}

// --- order-dependent ------------------------------------------------------------------------------------------------

TEST_CASE("a test that differs in its module is order-dependent, and halving finds the test that it needs") {
    Run run({0, 0, 0, 0, 0, 0, 0, 0}, needs(7, {2}));
    run.doubt(7);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4, 5, 6, 7}, {7}, {0, 1, 2, 7}, {0, 7}, {1, 2, 7}, {1, 7}, {2, 7}});
    CHECK(run.searched == std::vector<bool>{false, true, true, true, true, true, true});
    CHECK(run.told == Lines{"7 needs 2"});
}

TEST_CASE("what a test needs is looked for in its module first") {
    Run run({0, 0, 1, 1, 1}, needs(4, {2}));
    run.doubt(4);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4}, {4}, {2, 3, 4}, {2, 4}});
    CHECK(run.told == Lines{"4 needs 2"});
}

TEST_CASE("a test that differs only after the whole prefix is order-dependent, and halving finds what it needs there") {
    Run run({0, 0, 0, 0, 1, 1}, needs(5, {1}));
    run.doubt(5);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4, 5}, {5}, {4, 5}, {0, 1, 5}, {0, 5}, {1, 5}});
    CHECK(run.told == Lines{"5 needs 1"});
}

TEST_CASE("a test that needs several is told with the least that they were found together in") {
    Run run({0, 0, 0, 0, 0, 0, 0, 0, 0}, needs(8, {4, 7}));
    run.doubt(8);
    run.to_the_end();
    CHECK(run.passes ==
          Passes{{0, 1, 2, 3, 4, 5, 6, 7, 8}, {8}, {0, 1, 2, 3, 8}, {4, 5, 6, 7, 8}, {4, 5, 8}, {6, 7, 8}});
    CHECK(run.told == Lines{"8 needs 4 5 6 7"});
}

TEST_CASE("a single test before it needs no halving") {
    Run run({0, 0}, needs(1, {0}));
    run.doubt(1);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1}, {1}});
    CHECK(run.told == Lines{"1 needs 0"});
}

TEST_CASE("a passed test that gives up in pytest's order is order-dependent, too") {
    const auto outcome = GENERATE(Outcome::kSkipped, Outcome::kXfailed, Outcome::kXpassed);
    Run run({0, 0, 0, 0}, [&](const Items& before, std::uint32_t item) {
        if (item == 0) return Outcome::kFailed;
        return item == 3 && has(before, 0) ? outcome : Outcome::kPassed;
    });
    run.undisturbed = true;
    run.opinion.may_give_up(3);
    run.doubt(0);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3}, {3}, {0, 3}});
    CHECK(run.told == Lines{"0 confirmed", "3 needs 0"});
}

TEST_CASE("a passed test that fails in pytest's order is not settled here") {
    Run run({0, 0}, always_fails);
    run.opinion.may_give_up(1);
    run.doubt(0);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1}});
    CHECK(run.told == Lines{"0 confirmed"});
}

TEST_CASE("a test without a verdict of its own is not compared") {
    Run run({0, 0}, [](const Items&, std::uint32_t item) { return item == 0 ? Outcome::kFailed : Outcome::kSkipped; });
    run.opinion.may_give_up(1);
    run.doubt(0);
    run.never_ran(1);
    run.to_the_end();
    CHECK(run.told == Lines{"0 confirmed"});
}

TEST_CASE("a test that differs in several passes is searched for once") {
    // 2 gives up after 1; it is in the pass of its module and in the prefix of 3.
    Run run({0, 1, 1, 2}, [](const Items& before, std::uint32_t item) {
        if (item == 2) return has(before, 1) ? Outcome::kSkipped : Outcome::kPassed;
        return item == 0 ? Outcome::kPassed : Outcome::kFailed;
    });
    run.doubt(1);
    run.doubt(3);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3}, {2}, {1, 2}});
    CHECK(run.told == Lines{"1 confirmed", "3 confirmed", "2 needs 1"});
}

// --- flaky ----------------------------------------------------------------------------------------------------------

TEST_CASE("a test that differs by itself, too, is flaky") {
    Run run({0, 0, 0, 0}, needs(3, {}));
    run.doubt(3);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3}, {3}});
    CHECK(run.searched == std::vector<bool>{false, true});
    CHECK(run.told == Lines{"3 flaky"});
}

TEST_CASE("a passed test that gives up by itself, too, is flaky") {
    Run run({0, 0, 0},
            [](const Items&, std::uint32_t item) { return item == 0 ? Outcome::kFailed : Outcome::kSkipped; });
    run.never_ran(1);
    run.opinion.may_give_up(2);
    run.doubt(0);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2}, {2}});
    CHECK(run.told == Lines{"0 confirmed", "2 flaky"});
}

TEST_CASE("a test that differs when the budget is used up is order-dependent, on any of the tests before it") {
    Run run({0, 0, 0, 0}, needs(3, {}), 2.5);
    run.expected_s = 0.5;
    run.took_s = 2.5;
    run.doubt(3);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3}});
    CHECK(run.told == Lines{"3 needs 0 1 2"});
}

// --- unconfirmed ----------------------------------------------------------------------------------------------------

TEST_CASE("a doubtful test that its pass did not finish stays unconfirmed, the others are judged") {
    Run run({0, 0, 0},
            [](const Items& before, std::uint32_t) { return before.empty() ? Outcome::kFailed : Outcome::kNone; });
    run.doubt(0);
    run.doubt(2);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2}});
    CHECK(run.told == Lines{"0 confirmed", "2 unconfirmed"});
}

TEST_CASE("a search whose passes do not finish ends with what it has") {
    Run run({0, 0, 0, 0, 0},
            [](const Items& before, std::uint32_t) { return before.size() == 4 ? Outcome::kPassed : Outcome::kNone; });
    run.doubt(4);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4}, {4}, {0, 1, 4}, {2, 3, 4}});
    CHECK(run.told == Lines{"4 needs 0 1 2 3"});
}

TEST_CASE("what the budget does not reach stays unconfirmed, without a pass") {
    Run run({0, 0}, always_fails, 1.5);
    run.expected_s = 1;
    run.doubt(1);
    run.to_the_end();
    CHECK(run.passes == Passes{});
    CHECK(run.told == Lines{"1 unconfirmed"});
    CHECK(run.opinion.budget_left_s() == 1.5);
}

TEST_CASE("a module that is too long for the budget is run up to the doubtful test") {
    Run run({0, 0, 0, 0}, always_fails, 2.5);
    run.expected_s = 1;
    run.doubt(1);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1}});
    CHECK(run.told == Lines{"1 confirmed"});
}

TEST_CASE("passes are paid for with the time they took, and what is left decides") {
    std::vector<std::uint32_t> modules(50, 0);
    modules.insert(modules.end(), {1, 1});
    Run run(modules, always_fails, 60);
    run.expected_s = 1;
    run.took_s = 58;
    run.doubt(50);
    run.to_the_end();
    CHECK(run.passes == Passes{{50}});
    CHECK(run.told == Lines{"50 unconfirmed"});
    CHECK(run.opinion.budget_left_s() == 2);
}

TEST_CASE("the budget grows with what the run has taken") {
    Run run({0, 0}, always_fails, 1.5);
    run.expected_s = 1;
    run.opinion.allow(3);
    run.opinion.allow(2);
    run.doubt(1);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1}});
    CHECK(run.opinion.budget_left_s() == 3);
}

TEST_CASE("tests of unknown duration cost something, but less than a second each") {
    const std::vector<std::uint32_t> thousand(1000);
    Run many(thousand, always_fails, 1);
    many.expected_s = -1;
    many.doubt(999);
    many.to_the_end();
    CHECK(many.passes == Passes{});
    Run few({0, 0, 0}, always_fails, 1);
    few.expected_s = -1;
    few.doubt(2);
    few.to_the_end();
    CHECK(few.passes == Passes{{0, 1, 2}});
}

TEST_CASE("without a budget nothing is run, not even what takes no time") {
    Run run({0}, always_fails, 0);
    run.doubt(0);
    run.to_the_end();
    CHECK(run.passes == Passes{});
    CHECK(run.told == Lines{"0 unconfirmed"});
}

TEST_CASE("a search may take a third of the budget, and then tells how far it came") {
    Run run({0, 0, 0, 0, 0, 0, 0, 0}, needs(7, {2}), 3);
    run.expected_s = 0.05;
    run.took_s = 0.6;
    run.doubt(7);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 1, 2, 3, 4, 5, 6, 7}, {7}, {0, 1, 2, 7}});
    CHECK(run.told == Lines{"7 needs 0 1 2"});
}

// --- excluded -------------------------------------------------------------------------------------------------------

TEST_CASE("an excluded test is in no pass, be it a module, a prefix or a search") {
    Run run({0, 0, 0, 0, 1, 1}, needs(5, {3}));
    run.opinion.exclude(1);
    run.opinion.exclude(4);
    run.doubt(5);
    run.to_the_end();
    CHECK(run.passes == Passes{{0, 2, 3, 5}, {5}, {0, 5}, {2, 3, 5}, {2, 5}, {3, 5}});
    CHECK(run.told == Lines{"5 needs 3"});
}

TEST_CASE("a prefix whose first test is excluded confirms as well") {
    Run run({0, 0, 1, 1}, always_fails);
    run.opinion.exclude(0);
    run.doubt(3);
    run.to_the_end();
    CHECK(run.passes == Passes{{1, 2, 3}});
    CHECK(run.told == Lines{"3 confirmed"});
}

TEST_CASE("a first module whose first test is excluded is still its own prefix") {
    Run run({0, 0, 0}, always_fails);
    run.opinion.exclude(0);
    run.doubt(2);
    run.to_the_end();
    CHECK(run.passes == Passes{{1, 2}});
    CHECK(run.told == Lines{"2 confirmed"});
}

TEST_CASE("a doubtful test that is excluded later stays unconfirmed") {
    Run run({0, 0}, always_fails);
    run.doubt(1);
    run.opinion.exclude(1);
    run.to_the_end();
    CHECK(run.passes.empty());
    CHECK(run.told == Lines{"1 unconfirmed"});
}
