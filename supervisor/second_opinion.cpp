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
// Modules are run before what precedes them if that is this much longer: a pass that only confirms is lost time, one
// that finds an order dependence saves the other. A guess.
constexpr double kModulesShare = 1.0 / 4;

}  // namespace

SecondOpinion::SecondOpinion(std::vector<std::uint32_t> modules, double budget_s)
    : modules_(std::move(modules)), budget_s_(budget_s) {}

void SecondOpinion::doubt(std::uint32_t item, Doubtful doubtful) {
    if (excluded_.contains(item)) return settle(item, Settled::Verdict::kUnconfirmed);
    doubts_[item] = Doubt{std::move(doubtful)};
}

void SecondOpinion::exclude(std::uint32_t item) {
    excluded_.insert(item);
    if (doubts_.contains(item)) settle(item, Settled::Verdict::kUnconfirmed);
}

void SecondOpinion::allow(double seconds) {
    budget_s_ = std::max(budget_s_, seconds);
}

// --- what is run ----------------------------------------------------------------------------------------------------

std::uint32_t SecondOpinion::module_start(std::uint32_t item) const {
    while (item > 0 && modules_[item - 1] == modules_[item]) --item;
    return item;
}

std::uint32_t SecondOpinion::module_end(std::uint32_t item) const {
    while (item + 1 < modules_.size() && modules_[item + 1] == modules_[item]) ++item;
    return item;
}

// The last test of the module that may give up for what `item` leaves; `item` if there is none.
std::uint32_t SecondOpinion::tail_of(std::uint32_t item) const {
    const auto after = giving_up_.upper_bound(module_end(item));
    return after == giving_up_.begin() ? item : std::max(item, *std::prev(after));
}

bool SecondOpinion::matters(std::uint32_t item) const {
    return !excluded_.contains(item) && !harmless_.contains(item);
}

bool SecondOpinion::has_predecessor(std::uint32_t item) const {
    for (std::uint32_t before = 0; before < item; ++before) {
        if (matters(before)) return true;
    }
    return false;
}

// Whether a test after it may give up for what it leaves, which only a pass shows.
bool SecondOpinion::has_followers(std::uint32_t item) const {
    return matters(item) && tail_of(item) > item;
}

SecondOpinion::Pass SecondOpinion::make_pass(std::uint32_t first, std::uint32_t last) const {
    const std::vector<std::uint32_t> wanted = leading();
    Pass pass{.start = first};
    bool is_left = false;  // something that may make a test give up
    for (std::uint32_t item = first; item <= last; ++item) {
        const bool is_wanted = std::binary_search(wanted.begin(), wanted.end(), item);
        const bool gives_up = is_left && giving_up_.contains(item);
        if (excluded_.contains(item) || !(matters(item) || is_wanted || gives_up)) continue;
        pass.items.push_back(item);
        is_left = is_left || matters(item);
    }
    return pass;
}

std::map<std::string, SecondOpinion::Leaders> SecondOpinion::leaders() const {
    std::map<std::string, Leaders> found;
    for (const auto& [item, doubt] : doubts_) {
        const std::string& cause = doubt.is.cause;
        if (cause.empty() || has_followers(item)) continue;
        const auto confirmed = confirmed_firsts_.find(cause);
        const std::uint32_t first = confirmed == confirmed_firsts_.end() ? item : confirmed->second;
        found.try_emplace(cause, Leaders{first, item}).first->second.last = item;
    }
    return found;
}

// The doubtful tests that are run again, ascending; the others wait for what those of the same cause do.
std::vector<std::uint32_t> SecondOpinion::leading() const {
    std::vector<std::uint32_t> found;
    const auto by_cause = leaders();
    for (const auto& [item, doubt] : doubts_) {
        const auto at = by_cause.find(doubt.is.cause);
        const bool leads =
            at == by_cause.end() || item == at->second.first || item == at->second.last || has_followers(item);
        if (leads) found.push_back(item);
    }
    return found;
}

std::optional<SecondOpinion::Pass> SecondOpinion::next(const Seconds& expected) {
    searching_ = false;
    if (auto pass = next_doubts(expected)) return pass;
    return next_search(expected);
}

// Modules one after the other; then what precedes all that is left.
std::optional<SecondOpinion::Pass> SecondOpinion::next_doubts(const Seconds& expected) {
    while (true) {
        confirm_what_nothing_precedes();
        confirm_followers();
        if (doubts_.empty()) return std::nullopt;
        const auto by_cause = leaders();
        std::vector<std::uint32_t> whole;  // they need all that precedes them
        std::vector<std::uint32_t> module;
        for (const std::uint32_t item : leading()) {
            const auto at = by_cause.find(doubts_.at(item).is.cause);
            if (at == by_cause.end() || item == at->second.first || has_followers(item)) whole.push_back(item);
            if (doubts_.at(item).stage == Stage::kModule) module.push_back(item);
        }
        const std::optional<Pass> prefix = prefix_pass(whole, expected);
        const bool is_complete = prefix && !whole.empty() && prefix->items.back() >= whole.back();
        std::vector<std::uint32_t> first;  // what no prefix will show, or what is much shorter than that
        for (const std::uint32_t item : module) {
            if (!is_complete || item > prefix->items.back()) first.push_back(item);
        }
        double modules_s = 0;
        for (const Pass& pass : module_passes(module)) modules_s += cost_s(pass, expected);
        if (is_complete && modules_s <= kModulesShare * cost_s(*prefix, expected)) first = module;
        for (Pass& pass : module_passes(first)) {
            if (cost_s(pass, expected) <= budget_left_s()) return std::move(pass);
            // Too long for what is left: a pass up to the first doubtful test may still be affordable.
            const auto item = *std::find_if(first.begin(), first.end(),
                                            [&](std::uint32_t i) { return module_start(i) == pass.start; });
            Pass shorter = make_pass(pass.start, item);
            if (cost_s(shorter, expected) <= budget_left_s()) return shorter;
        }
        if (prefix) return prefix;
        settle(whole.empty() ? module.front() : whole.front(), Settled::Verdict::kUnconfirmed);
    }
}

// A pass for each module of `leading`, which ascends.
std::vector<SecondOpinion::Pass> SecondOpinion::module_passes(const std::vector<std::uint32_t>& leading) const {
    std::map<std::uint32_t, std::uint32_t> last;  // by the start of the module
    for (const std::uint32_t item : leading) last[module_start(item)] = item;
    std::vector<Pass> passes;
    passes.reserve(last.size());
    for (const auto& [start, item] : last) passes.push_back(make_pass(start, tail_of(item)));
    return passes;
}

// Up to the last of them, or to the first if that is all that the budget allows.
std::optional<SecondOpinion::Pass> SecondOpinion::prefix_pass(const std::vector<std::uint32_t>& leading,
                                                              const Seconds& expected) {
    if (leading.empty()) return std::nullopt;
    for (const std::uint32_t last : {tail_of(leading.back()), leading.front()}) {
        Pass pass = make_pass(0, last);
        if (cost_s(pass, expected) <= budget_left_s()) return pass;
    }
    return std::nullopt;
}

std::optional<SecondOpinion::Pass> SecondOpinion::next_search(const Seconds& expected) {
    while (!searches_.empty()) {
        Search& search = searches_.front();
        Pass pass{.items = part(search), .search = true};
        pass.items.push_back(search.item);
        const bool is_alone = search.step == Search::Step::kAlone;
        const double searching_s = std::min(budget_left_s(), budget_s_ * kSearchShare - searched_s_);
        const bool done = !is_alone && search.candidates.size() <= 1;
        if (!done && cost_s(pass, expected) <= (is_alone ? budget_left_s() : searching_s)) {
            searching_ = true;
            return pass;
        }
        settle(search.item, Settled::Verdict::kOrderDependent, search.candidates);
        searches_.pop_front();
    }
    return std::nullopt;
}

double SecondOpinion::cost_s(const Pass& pass, const Seconds& expected) {
    double total = kPassOverheadS;
    for (const std::uint32_t item : pass.items) {
        const double seconds = expected(item);
        total += seconds < 0 ? kUnknownTestS : seconds;
    }
    return total;
}

std::vector<std::uint32_t> SecondOpinion::part(const Search& search) const {
    const auto& all = search.candidates;
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    switch (search.step) {
        case Search::Step::kAlone:
            return {};
        case Search::Step::kModule:
            return {std::lower_bound(all.begin(), all.end(), module_start(search.item)), all.end()};
        case Search::Step::kFirstHalf:
            return {all.begin(), middle};
        case Search::Step::kSecondHalf:
            return {middle, all.end()};
    }
    return {};
}

// --- what follows ---------------------------------------------------------------------------------------------------

void SecondOpinion::confirm_what_nothing_precedes() {
    std::uint32_t first = 0;  // that matters
    while (first < modules_.size() && !matters(first)) ++first;
    std::vector<std::uint32_t> confirmed;
    for (const auto& [item, doubt] : doubts_) {
        if (item <= first && doubt.is.undisturbed && !has_followers(item)) confirmed.push_back(item);
    }
    for (const std::uint32_t item : confirmed) settle(item, Settled::Verdict::kConfirmed);
}

// The first of their cause did the same after all that precedes it, the last one after its module.
void SecondOpinion::confirm_followers() {
    for (const auto& [cause, leaders] : leaders()) {
        if (!confirmed_firsts_.contains(cause) || doubts_.at(leaders.last).stage == Stage::kModule) continue;
        std::vector<std::uint32_t> followers;
        for (const auto& [item, doubt] : doubts_) {
            if (doubt.is.cause == cause && !has_followers(item)) followers.push_back(item);
        }
        for (const std::uint32_t item : followers) settle(item, Settled::Verdict::kConfirmed);
    }
}

// One of them did something else: they had not one cause.
void SecondOpinion::look_at_each(const std::string& cause) {
    if (cause.empty()) return;
    const std::string copy = cause;
    for (auto& [item, doubt] : doubts_) {
        if (doubt.is.cause == copy) doubt.is.cause.clear();
    }
}

void SecondOpinion::finished(const Pass& pass, const Seen& seen, const Isolated& isolated, double took_s) {
    ++passes_;
    spent_s_ += took_s;
    if (searching_) {
        searched_s_ += took_s;
        narrow(seen);
    } else {
        judge(pass, seen, isolated);
    }
    searching_ = false;
}

void SecondOpinion::judge(const Pass& pass, const Seen& seen, const Isolated& isolated) {
    for (const std::uint32_t item : pass.items) {
        if (doubts_.contains(item)) {
            judge_doubt(item, pass.start, seen);
            continue;
        }
        const auto found = seen.find(item);
        if (found == seen.end() || isolated(item) != Outcome::kPassed) continue;
        const Outcome outcome = found->second;
        if (outcome == Outcome::kSkipped || outcome == Outcome::kXfailed || outcome == Outcome::kXpassed) {
            search(item, pass.start, outcome);
        }
    }
}

void SecondOpinion::judge_doubt(std::uint32_t item, std::uint32_t start, const Seen& seen) {
    const auto found = seen.find(item);
    Doubt& doubt = doubts_.at(item);
    if (found == seen.end()) {
        settle(item, Settled::Verdict::kUnconfirmed);
    } else if (found->second != doubt.is.outcome) {
        search(item, start, found->second);
    } else if (doubt.stage == Stage::kPrefix && start > 0) {
        return;
    } else if (has_predecessor(start)) {
        doubt.stage = Stage::kPrefix;
    } else {
        settle(item, Settled::Verdict::kConfirmed);
    }
}

void SecondOpinion::search(std::uint32_t item, std::uint32_t start, Outcome wanted) {
    Search search{item, wanted, {}};
    if (item > start) search.candidates = make_pass(start, item - 1).items;
    if (const auto doubt = doubts_.find(item); doubt != doubts_.end()) {
        look_at_each(doubt->second.is.cause);
        doubts_.erase(item);
    }
    const bool known =
        std::any_of(searches_.begin(), searches_.end(), [item](const Search& s) { return s.item == item; });
    if (known || !order_dependent_.insert(item).second) return;
    searches_.push_back(std::move(search));
}

void SecondOpinion::narrow(const Seen& seen) {
    using Step = Search::Step;
    Search& search = searches_.front();
    const auto found = seen.find(search.item);
    const bool as_wanted = found != seen.end() && found->second == search.wanted;
    if (search.step == Step::kAlone) {
        const std::uint32_t start = module_start(search.item);
        const bool has_others = !search.candidates.empty() && search.candidates.front() < start;
        search.step = has_others && search.candidates.back() >= start ? Step::kModule : Step::kFirstHalf;
        if (!as_wanted) return;
        settle(search.item, Settled::Verdict::kFlaky);
        searches_.pop_front();
    } else if (as_wanted) {
        search.candidates = part(search);
        search.step = Step::kFirstHalf;
    } else if (search.step != Step::kSecondHalf) {
        search.step = search.step == Step::kModule ? Step::kFirstHalf : Step::kSecondHalf;
    } else {
        // Neither half alone: it needs several of them together.
        settle(search.item, Settled::Verdict::kOrderDependent, search.candidates);
        searches_.pop_front();
    }
}

void SecondOpinion::settle(std::uint32_t item, Settled::Verdict verdict, std::vector<std::uint32_t> needs) {
    if (const auto doubt = doubts_.find(item); doubt != doubts_.end()) {
        const std::string cause = doubt->second.is.cause;
        doubts_.erase(doubt);
        if (verdict == Settled::Verdict::kConfirmed && !cause.empty()) confirmed_firsts_.try_emplace(cause, item);
        if (verdict != Settled::Verdict::kConfirmed) look_at_each(cause);
    }
    settled_.push_back({item, verdict, std::move(needs)});
}

std::vector<SecondOpinion::Settled> SecondOpinion::take_settled() {
    return std::exchange(settled_, {});
}

}  // namespace tach::supervisor
