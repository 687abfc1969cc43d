#include "supervisor/claims.h"

#include <algorithm>

namespace tach::supervisor {

using shm::Kind;

namespace {

Claim weigh_current(Kind kind, bool is_started) {
    switch (kind) {
        case Kind::kReport:
        case Kind::kLogStart:
        case Kind::kLogFinish:
        case Kind::kDone:
        case Kind::kJudged:
            return is_started ? Claim::kHeard : Claim::kBroken;
        default:
            return Claim::kHeard;
    }
}

Claim weigh_last(Kind kind) {
    switch (kind) {
        case Kind::kAmend:
        case Kind::kWarning:
        case Kind::kExit:
        case Kind::kCrashed:
        case Kind::kGathers:   // what its layer's end has changed
        case Kind::kUnraised:  // what was found when it was rewound
            return Claim::kLate;
        case Kind::kDone:  // of a process that fell apart when all was said
            return Claim::kIgnored;
        default:
            return Claim::kBroken;
    }
}

}  // namespace

Claim weigh(Kind kind, Standing standing, bool is_started) {
    switch (standing) {
        case Standing::kCurrent:
            return weigh_current(kind, is_started);
        case Standing::kLast:
            return weigh_last(kind);
        case Standing::kOthers:
            return kind == Kind::kWarning ? Claim::kLate : Claim::kIgnored;
        case Standing::kEarlier:
        case Standing::kForeign:
            break;
    }
    return kind == Kind::kWarning ? Claim::kIgnored : Claim::kBroken;
}

void Claims::begin(std::vector<std::uint32_t> items) {
    items_ = std::move(items);
    at_ = 0;
    left_.reset();
}

void Claims::ended(std::uint32_t item) {
    if (at_ < items_.size() && items_[at_] == item) ++at_;
    if (ended_.empty() || ended_.back() != item) ended_.push_back(item);
}

std::vector<std::uint32_t> Claims::ended_since(std::uint32_t item) const {
    // The last time, should it have had the test more than once.
    const auto found = std::find(ended_.rbegin(), ended_.rend(), item);
    if (found == ended_.rend()) return {};
    return {std::prev(found.base()), ended_.end()};
}

Standing Claims::ended_standing(std::uint32_t item, bool is_done) const {
    if (std::find(ended_.begin(), ended_.end(), item) != ended_.end()) return Standing::kEarlier;
    const bool is_of_run = std::binary_search(items_.begin(), items_.end(), item);
    return is_of_run && is_done ? Standing::kOthers : Standing::kForeign;
}

}  // namespace tach::supervisor
