#pragma once

// Second opinions: which tests are run again un-rewound, in pytest's own order, before their verdict stands, and what
// follows from it. Pure logic without clock or I/O, driven by the Session, which runs one Pass at a time with nothing
// else running and tells what came of it.
//
// A doubtful test is run again with all of its module, one pass for all doubtful tests of a module; what that confirms
// is run once more after the whole prefix of the run. A test whose outcome differs there is order-dependent, and so is
// one that had passed and is skipped or expected to fail there (steps that give up after a failed one; a test that only
// fails there is polluted, which is the Session's to tell). If it does the same by itself, it is flaky instead: chance
// made the difference, or what its first run left in the world, and that run's verdict stands. Further passes then
// halve the tests before it until those it needs are found. All within a budget of seconds: what it does not reach
// stays unconfirmed.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "supervisor/results.h"

namespace tach::supervisor {

class SecondOpinion {
  public:
    struct Pass {
        std::vector<std::uint32_t> items;  // ascending, to be run in one process without rewinding
        bool search = false;               // a part of the tests: outcomes are not those of pytest's order
    };

    struct Settled {
        // kFlaky: run once more by itself, it did what it does in pytest's order; so the order is not the reason.
        enum class Verdict { kConfirmed, kOrderDependent, kUnconfirmed, kFlaky };
        std::uint32_t item = 0;
        Verdict verdict = Verdict::kConfirmed;
        std::vector<std::uint32_t> needs;  // order-dependent: tests that must precede it for its outcome under pytest
    };

    using Seconds = std::function<double(std::uint32_t item)>;  // what the item is expected to take
    using Seen = std::map<std::uint32_t, Outcome>;              // outcomes of a pass; a missing one did not finish

    // `modules`: for each item in collection order, the index of its file.
    SecondOpinion(std::vector<std::uint32_t> modules, double budget_s);

    // `outcome`: what the isolated run gave.
    void doubt(std::uint32_t item, Outcome outcome);
    [[nodiscard]] bool pending() const { return !doubts_.empty() || !searches_.empty(); }

    // The next pass that the budget allows; nothing when all is settled.
    [[nodiscard]] std::optional<Pass> next(const Seconds& expected);
    using Isolated = std::function<Outcome(std::uint32_t item)>;  // the item's verdict so far; kNone if it has none
    void finished(const Pass& pass, const Seen& seen, const Isolated& isolated, double took_s);

    // Never run again: a pass would set up for the second time what can exist only once (a live session fixture).
    void exclude(std::uint32_t item) { excluded_.insert(item); }

    // What has been settled since the last call.
    [[nodiscard]] std::vector<Settled> take_settled();

    [[nodiscard]] double budget_left_s() const { return budget_s_; }
    [[nodiscard]] std::uint32_t passes() const { return passes_; }

  private:
    enum class Stage { kModule, kPrefix };
    struct Doubt {
        Outcome outcome;
        Stage stage = Stage::kModule;
    };
    // Looks for the tests before `item` without which it does not get `wanted`.
    struct Search {
        std::uint32_t item;
        Outcome wanted;
        std::vector<std::uint32_t> candidates;
        bool tried_alone = false;
        bool second_half = false;  // the first half alone was not enough
    };

    [[nodiscard]] std::uint32_t module_start(std::uint32_t item) const;
    [[nodiscard]] std::optional<Pass> next_doubts(Stage stage, const Seconds& expected);
    [[nodiscard]] std::optional<Pass> next_search(const Seconds& expected);
    [[nodiscard]] static bool affordable(const Pass& pass, const Seconds& expected, double budget_s);
    [[nodiscard]] static std::vector<std::uint32_t> half(const Search& search);
    void judge(const Pass& pass, const Seen& seen, const Isolated& isolated);
    void judge_doubt(std::uint32_t item, std::uint32_t start, const Seen& seen);
    void search(std::uint32_t item, std::uint32_t start, Outcome wanted);
    [[nodiscard]] Pass make_pass(std::uint32_t first, std::uint32_t last) const;
    [[nodiscard]] std::uint32_t module_end(std::uint32_t item) const;
    void narrow(const Seen& seen);
    void settle(std::uint32_t item, Settled::Verdict verdict, std::vector<std::uint32_t> needs = {});

    std::vector<std::uint32_t> modules_;
    double budget_s_;
    double search_budget_s_;
    std::set<std::uint32_t> excluded_;
    std::set<std::uint32_t> order_dependent_;
    std::map<std::uint32_t, Doubt> doubts_;
    std::deque<Search> searches_;
    bool searching_ = false;  // the pass that is out belongs to searches_.front()
    std::vector<Settled> settled_;
    std::uint32_t passes_ = 0;
};

}  // namespace tach::supervisor
