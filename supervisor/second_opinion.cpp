#include "supervisor/second_opinion.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tach::supervisor {
namespace {

// What a pass costs beside its tests: a process, and wide fixtures of unknown cost. A guess.
constexpr double kPassOverheadS = 0.05;
// For a test that has no duration yet. A guess; most tests take less.
constexpr double kUnknownTestS = 0.01;

}  // namespace

SecondOpinion::SecondOpinion(std::vector<std::uint32_t> modules, double budget_s)
    : modules_(std::move(modules)), budget_s_(budget_s) {}

void SecondOpinion::doubt(std::uint32_t item, Outcome outcome) { doubts_[item] = Doubt{outcome}; }

std::uint32_t SecondOpinion::module_start(std::uint32_t item) const {
    while (item > 0 && modules_[item - 1] == modules_[item]) --item;
    return item;
}

std::optional<SecondOpinion::Pass> SecondOpinion::next(const Seconds& expected) {
    searching_ = false;
    for (const Stage stage : {Stage::kModule, Stage::kPrefix}) {
        if (auto pass = next_doubts(stage, expected)) return pass;
    }
    return next_search(expected);
}

// Modules one after the other, each up to its last doubtful test; then one prefix for all that is left. What starts at
// the first item of the run is its own prefix.
std::optional<SecondOpinion::Pass> SecondOpinion::next_doubts(Stage stage, const Seconds& expected) {
    while (true) {
        const auto first = std::find_if(doubts_.begin(), doubts_.end(), [&](const auto& entry) { return entry.second.stage == stage; });
        if (first == doubts_.end()) return std::nullopt;
        const std::uint32_t start = stage == Stage::kModule ? module_start(first->first) : 0;
        std::uint32_t last = first->first;
        for (auto it = first; it != doubts_.end(); ++it) {
            const bool together = stage == Stage::kPrefix || module_start(it->first) == start;
            if (it->second.stage == stage && together) last = it->first;
        }
        Pass pass;
        pass.items.resize(last - start + 1);
        std::iota(pass.items.begin(), pass.items.end(), start);
        if (affordable(pass, expected)) return pass;
        // Too long for what is left: a shorter pass, up to the first doubtful test alone, may still be affordable.
        if (last != first->first) {
            pass.items.resize(first->first - start + 1);
            if (affordable(pass, expected)) return pass;
        }
        settle(first->first, Settled::Verdict::kUnconfirmed);
    }
}

std::optional<SecondOpinion::Pass> SecondOpinion::next_search(const Seconds& expected) {
    while (!searches_.empty()) {
        Search& search = searches_.front();
        Pass pass;
        if (search.candidates.size() > 1) {
            pass.items = half(search);
            pass.items.push_back(search.item);
        }
        if (!pass.items.empty() && affordable(pass, expected)) {
            searching_ = true;
            return pass;
        }
        settle(search.item, Settled::Verdict::kOrderDependent, search.candidates);
        searches_.pop_front();
    }
    return std::nullopt;
}

bool SecondOpinion::affordable(const Pass& pass, const Seconds& expected) const {
    double total = kPassOverheadS;
    for (const std::uint32_t item : pass.items) {
        const double seconds = expected(item);
        total += seconds < 0 ? kUnknownTestS : seconds;
    }
    return total <= budget_s_;
}

std::vector<std::uint32_t> SecondOpinion::half(const Search& search) {
    const auto middle = search.candidates.begin() + static_cast<std::ptrdiff_t>(search.candidates.size() / 2);
    return search.second_half ? std::vector(middle, search.candidates.end()) : std::vector(search.candidates.begin(), middle);
}

void SecondOpinion::finished(const Pass& pass, const Seen& seen, double took_s) {
    ++passes_;
    budget_s_ -= took_s;
    if (searching_) {
        narrow(seen);
    } else {
        judge(pass, seen);
    }
    searching_ = false;
}

void SecondOpinion::judge(const Pass& pass, const Seen& seen) {
    const std::uint32_t start = pass.items.front();
    std::vector<std::uint32_t> concerned;
    for (const std::uint32_t item : pass.items) {
        if (doubts_.contains(item)) concerned.push_back(item);
    }
    for (const std::uint32_t item : concerned) {
        const auto found = seen.find(item);
        if (found == seen.end()) {
            settle(item, Settled::Verdict::kUnconfirmed);
        } else if (found->second != doubts_.at(item).outcome) {
            std::vector<std::uint32_t> before(item - start);
            std::iota(before.begin(), before.end(), start);
            searches_.push_back({item, found->second, std::move(before)});
            doubts_.erase(item);
        } else if (start == 0) {
            settle(item, Settled::Verdict::kConfirmed);
        } else {
            doubts_.at(item).stage = Stage::kPrefix;
        }
    }
}

void SecondOpinion::narrow(const Seen& seen) {
    Search& search = searches_.front();
    const auto found = seen.find(search.item);
    if (found != seen.end() && found->second == search.wanted) {
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

std::vector<SecondOpinion::Settled> SecondOpinion::take_settled() { return std::exchange(settled_, {}); }

}  // namespace tach::supervisor
