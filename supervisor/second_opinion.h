#pragma once

// Second opinions: which tests are run again un-rewound, in pytest's own order, before their verdict stands, and what
// follows from it. Pure logic without clock or I/O, driven by the Session, which runs one Pass at a time with nothing
// else running and tells what came of it.
//
// What confirms a doubtful test is a run after all that precedes it under pytest. Of that, only what can matter is run:
// not a test that is known to have left nothing, and nothing at all where nothing is left that could (the first test of
// a run; see `left_nothing`). Doubtful tests share one pass up to the last of them; where their modules are much
// shorter than that, each module comes first, since most order dependences are within one. What comes after the last
// doubtful test of its module is run only as far as it may give up at run time, for what a failed one left.
//
// Tests that fail for one cause are confirmed together, by the first of them after all that precedes it, and by the
// last of them after its module. Should either differ, each is looked at for itself.
//
// A test whose outcome differs there is order-dependent, and so is one that had passed and is skipped or expected to
// fail there (steps that give up after a failed one; a test that only fails there is polluted, which is the Session's
// to tell). If it does the same by itself, it is flaky instead: chance made the difference, or what its first run left
// in the world, and that run's verdict stands. Further passes then narrow down the tests before it, those of its module
// first, then by halves, until those it needs are found. All within a budget of seconds: what it does not reach stays
// unconfirmed.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/results.h"

namespace tach::supervisor {

class SecondOpinion {
  public:
    struct Pass {
        std::vector<std::uint32_t> items;  // ascending, to be run in one process without rewinding
        bool search = false;               // a part of the tests: outcomes are not those of pytest's order
        std::uint32_t start = 0;           // nothing before it was left out but what cannot matter
    };

    struct Settled {
        // kFlaky: run once more by itself, it did what it does in pytest's order; so the order is not the reason.
        enum class Verdict { kConfirmed, kOrderDependent, kUnconfirmed, kFlaky };
        std::uint32_t item = 0;
        Verdict verdict = Verdict::kConfirmed;
        std::vector<std::uint32_t> needs;  // order-dependent: tests that must precede it for its outcome under pytest
    };

    // Why a test is in doubt.
    struct Doubtful {
        Outcome outcome = Outcome::kFailed;  // what the isolated run gave
        std::string cause = {};              // the same for tests that failed in the same way at the same place; or ""
        // All tests before it had ended when it began, and it began as under pytest: only what they left in memory that
        // was rewound can make a difference.
        bool undisturbed = false;
    };

    using Seconds = std::function<double(std::uint32_t item)>;  // what the item is expected to take
    using Seen = std::map<std::uint32_t, Outcome>;              // outcomes of a pass; a missing one did not finish

    // `modules`: for each item in collection order, the index of its file.
    SecondOpinion(std::vector<std::uint32_t> modules, double budget_s);

    void doubt(std::uint32_t item, Doubtful doubtful);
    [[nodiscard]] bool pending() const { return !doubts_.empty() || !searches_.empty(); }

    // Nothing that a later test could read is other than before it.
    void left_nothing(std::uint32_t item) { harmless_.insert(item); }
    // It, or what is set up for it, may skip at run time or be expected to fail, for what a test before it has left.
    void may_give_up(std::uint32_t item) { giving_up_.insert(item); }
    // Never run again: a pass would set up for the second time what can exist only once (a live session fixture).
    void exclude(std::uint32_t item);

    // The next pass that the budget allows; nothing when all is settled.
    [[nodiscard]] std::optional<Pass> next(const Seconds& expected);
    using Isolated = std::function<Outcome(std::uint32_t item)>;  // the item's verdict so far; kNone if it has none
    void finished(const Pass& pass, const Seen& seen, const Isolated& isolated, double took_s);

    // It is going to be run again anyway, where its verdict is pytest's.
    void forget(std::uint32_t item) { doubts_.erase(item); }

    // What has been settled since the last call.
    [[nodiscard]] std::vector<Settled> take_settled();

    // The whole budget is at least this: as much as the run itself has taken.
    void allow(double seconds);
    [[nodiscard]] double budget_left_s() const { return budget_s_ - spent_s_; }
    [[nodiscard]] std::uint32_t passes() const { return passes_; }
    [[nodiscard]] std::size_t doubts() const { return doubts_.size(); }
    [[nodiscard]] bool is_doubtful(std::uint32_t item) const { return doubts_.contains(item); }

  private:
    enum class Stage { kModule, kPrefix };
    struct Doubt {
        Doubtful is;
        Stage stage = Stage::kModule;
    };
    // Of one cause. Both may be one and the same.
    struct Leaders {
        std::uint32_t first;
        std::uint32_t last;
    };
    // Looks for the tests before `item` without which it does not get `wanted`.
    struct Search {
        std::uint32_t item;
        Outcome wanted;
        std::vector<std::uint32_t> candidates;
        enum class Step { kAlone, kModule, kFirstHalf, kSecondHalf } step = Step::kAlone;
    };

    [[nodiscard]] std::uint32_t module_start(std::uint32_t item) const;
    [[nodiscard]] std::uint32_t module_end(std::uint32_t item) const;
    [[nodiscard]] std::uint32_t tail_of(std::uint32_t item) const;
    [[nodiscard]] bool matters(std::uint32_t item) const;
    [[nodiscard]] bool has_predecessor(std::uint32_t item) const;
    [[nodiscard]] bool has_followers(std::uint32_t item) const;
    [[nodiscard]] Pass make_pass(std::uint32_t first, std::uint32_t last) const;

    [[nodiscard]] std::map<std::string, Leaders> leaders() const;
    [[nodiscard]] std::vector<std::uint32_t> leading() const;
    void confirm_what_nothing_precedes();
    void confirm_followers();
    void look_at_each(const std::string& cause);

    [[nodiscard]] std::optional<Pass> next_doubts(const Seconds& expected);
    [[nodiscard]] std::vector<Pass> module_passes(const std::vector<std::uint32_t>& leading) const;
    [[nodiscard]] std::optional<Pass> prefix_pass(const std::vector<std::uint32_t>& leading, const Seconds& expected);
    [[nodiscard]] std::optional<Pass> next_search(const Seconds& expected);
    [[nodiscard]] static double cost_s(const Pass& pass, const Seconds& expected);
    [[nodiscard]] std::vector<std::uint32_t> part(const Search& search) const;

    void judge(const Pass& pass, const Seen& seen, const Isolated& isolated);
    void judge_doubt(std::uint32_t item, std::uint32_t start, const Seen& seen);
    void search(std::uint32_t item, std::uint32_t start, Outcome wanted);
    void narrow(const Seen& seen);
    void settle(std::uint32_t item, Settled::Verdict verdict, std::vector<std::uint32_t> needs = {});

    std::vector<std::uint32_t> modules_;
    double budget_s_;
    double spent_s_ = 0;
    double searched_s_ = 0;
    std::set<std::uint32_t> excluded_;
    std::set<std::uint32_t> harmless_;
    std::set<std::uint32_t> giving_up_;
    std::set<std::uint32_t> order_dependent_;
    std::map<std::uint32_t, Doubt> doubts_;
    std::map<std::string, std::uint32_t> confirmed_firsts_;  // by cause: the first of its tests, which is confirmed
    std::deque<Search> searches_;
    bool searching_ = false;  // the pass that is out belongs to searches_.front()
    std::vector<Settled> settled_;
    std::uint32_t passes_ = 0;
};

}  // namespace tach::supervisor
