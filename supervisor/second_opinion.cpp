#include "supervisor/second_opinion.h"

#include <algorithm>
#include <utility>

namespace tach::supervisor {
namespace {

// What a pass costs beside its tests: a process, and wide fixtures of unknown cost. A guess.
constexpr double kPassOverheadS = 0.05;
// For a test that has no duration yet. A guess; most tests take less.
constexpr double kUnknownTestS = 0.01;
// Share of the budget that may go into finding what an order-dependent test needs: its verdict is known by then. A
// guess.
constexpr double kSearchShare = 1.0 / 3;

}  // namespace

SecondOpinion::SecondOpinion(std::vector<std::uint32_t> modules, double budget_s)
    : modules_(std::move(modules)), budget_s_(budget_s), search_budget_s_(budget_s * kSearchShare) {}

void SecondOpinion::doubt(std::uint32_t item, Outcome outcome) {
    if (excluded_.contains(item)) return settle(item, Settled::Verdict::kUnconfirmed);
    doubts_[item] = Doubt{outcome};
}

std::uint32_t SecondOpinion::module_start(std::uint32_t item) const {
    while (item > 0 && modules_[item - 1] == modules_[item]) --item;
    return item;
}

std::uint32_t SecondOpinion::module_end(std::uint32_t item) const {
    while (item + 1 < modules_.size() && modules_[item + 1] == modules_[item]) ++item;
    return item;
}

SecondOpinion::Pass SecondOpinion::make_pass(std::uint32_t first, std::uint32_t last) const {
    Pass pass;
    for (std::uint32_t item = first; item <= last; ++item) {
        if (!excluded_.contains(item)) pass.items.push_back(item);
    }
    return pass;
}

std::optional<SecondOpinion::Pass> SecondOpinion::next(const Seconds& expected) {
    searching_ = false;
    for (const Stage stage : {Stage::kModule, Stage::kPrefix}) {
        if (auto pass = next_doubts(stage, expected)) return pass;
    }
    return next_search(expected);
}

// Modules one after the other; then one prefix for all that is left. What starts at the first item of the run is its
// own prefix.
std::optional<SecondOpinion::Pass> SecondOpinion::next_doubts(Stage stage, const Seconds& expected) {
    while (true) {
        const auto at = [stage](const auto& entry) { return entry.second.stage == stage; };
        const auto first = std::find_if(doubts_.begin(), doubts_.end(), at);
        if (first == doubts_.end()) return std::nullopt;
        const auto last = std::find_if(doubts_.rbegin(), doubts_.rend(), at);
        const std::uint32_t start = stage == Stage::kModule ? module_start(first->first) : 0;
        Pass pass = make_pass(start, stage == Stage::kModule ? module_end(first->first) : last->first);
        if (affordable(pass, expected, budget_s_)) return pass;
        // Too long for what is left: a pass up to the first doubtful test may still be affordable.
        pass = make_pass(start, first->first);
        if (affordable(pass, expected, budget_s_)) return pass;
        settle(first->first, Settled::Verdict::kUnconfirmed);
    }
}

std::optional<SecondOpinion::Pass> SecondOpinion::next_search(const Seconds& expected) {
    while (!searches_.empty()) {
        Search& search = searches_.front();
        Pass pass;
        if (search.tried_alone && search.candidates.size() > 1) pass.items = half(search);
        pass.items.push_back(search.item);
        const double budget_s = search.tried_alone ? std::min(budget_s_, search_budget_s_) : budget_s_;
        const bool done = search.tried_alone && search.candidates.size() <= 1;
        if (!done && affordable(pass, expected, budget_s)) {
            searching_ = pass.search = true;
            return pass;
        }
        settle(search.item, Settled::Verdict::kOrderDependent, search.candidates);
        searches_.pop_front();
    }
    return std::nullopt;
}

bool SecondOpinion::affordable(const Pass& pass, const Seconds& expected, double budget_s) {
    double total = kPassOverheadS;
    for (const std::uint32_t item : pass.items) {
        const double seconds = expected(item);
        total += seconds < 0 ? kUnknownTestS : seconds;
    }
    return total <= budget_s;
}

std::vector<std::uint32_t> SecondOpinion::half(const Search& search) {
    const auto middle = search.candidates.begin() + static_cast<std::ptrdiff_t>(search.candidates.size() / 2);
    return search.second_half ? std::vector(middle, search.candidates.end())
                              : std::vector(search.candidates.begin(), middle);
}

void SecondOpinion::finished(const Pass& pass, const Seen& seen, const Isolated& isolated, double took_s) {
    ++passes_;
    budget_s_ -= took_s;
    if (searching_) {
        search_budget_s_ -= took_s;
        narrow(seen);
    } else {
        judge(pass, seen, isolated);
    }
    searching_ = false;
}

void SecondOpinion::judge(const Pass& pass, const Seen& seen, const Isolated& isolated) {
    const std::uint32_t start = pass.items.front();
    for (const std::uint32_t item : pass.items) {
        if (doubts_.contains(item)) {
            judge_doubt(item, start, seen);
            continue;
        }
        const auto found = seen.find(item);
        if (found == seen.end() || isolated(item) != Outcome::kPassed) continue;
        const Outcome outcome = found->second;
        if (outcome == Outcome::kSkipped || outcome == Outcome::kXfailed || outcome == Outcome::kXpassed) {
            search(item, start, outcome);
        }
    }
}

void SecondOpinion::judge_doubt(std::uint32_t item, std::uint32_t start, const Seen& seen) {
    const auto found = seen.find(item);
    if (found == seen.end()) {
        settle(item, Settled::Verdict::kUnconfirmed);
    } else if (found->second != doubts_.at(item).outcome) {
        search(item, start, found->second);
    } else if (doubts_.at(item).stage == Stage::kPrefix || module_start(item) == 0) {
        settle(item, Settled::Verdict::kConfirmed);
    } else {
        doubts_.at(item).stage = Stage::kPrefix;
    }
}

void SecondOpinion::search(std::uint32_t item, std::uint32_t start, Outcome wanted) {
    doubts_.erase(item);
    const bool known =
        std::any_of(searches_.begin(), searches_.end(), [item](const Search& s) { return s.item == item; });
    if (known || !order_dependent_.insert(item).second) return;
    Search search{item, wanted, {}};
    if (item > start) search.candidates = make_pass(start, item - 1).items;
    searches_.push_back(std::move(search));
}

void SecondOpinion::narrow(const Seen& seen) {
    Search& search = searches_.front();
    const auto found = seen.find(search.item);
    const bool as_wanted = found != seen.end() && found->second == search.wanted;
    if (!search.tried_alone) {
        search.tried_alone = true;
        if (!as_wanted) return;
        settle(search.item, Settled::Verdict::kFlaky);
        searches_.pop_front();
    } else if (as_wanted) {
        search.candidates = half(search);
        search.second_half = false;
    } else if (!search.second_half) {
        search.second_half = true;
    } else {
        // Neither half alone: it needs several of them together.
        settle(search.item, Settled::Verdict::kOrderDependent, search.candidates);
        searches_.pop_front();
    }
}

void SecondOpinion::settle(std::uint32_t item, Settled::Verdict verdict, std::vector<std::uint32_t> needs) {
    doubts_.erase(item);
    settled_.push_back({item, verdict, std::move(needs)});
}

std::vector<SecondOpinion::Settled> SecondOpinion::take_settled() {
    return std::exchange(settled_, {});
}

}  // namespace tach::supervisor
