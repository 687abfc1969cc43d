#pragma once

// What a process may say of which tests. A process that runs tests runs code that may do anything, and so may say
// anything; but it says it in an order that is known: it was given a run, and it tells of one test after the other.
//
// One of each process, driven by the Session: begin() with each run, ended() with what ends a test, and weigh() before
// anything else is made of a message. Pure, without I/O; constant work for each message.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shm/message.h"

namespace tach::supervisor {

// How a test stands to the process that speaks of it.
enum class Standing {
    kCurrent,  // the first of its run of which it has not told the end
    kLast,     // the one before: its layer may still be finalised
    kEarlier,  // it has told the end of it, and of another one since
    kOthers,   // of its run, but another process has told the end of it
    kForeign,  // none of those
};

enum class Claim {
    kHeard,
    kLate,     // about a test that has ended: what its layer's end has to add
    kIgnored,  // makes no difference
    kBroken,   // nobody who keeps to the protocol says this
};

// `is_started`: it has said that it runs the test.
[[nodiscard]] Claim weigh(shm::Kind kind, Standing standing, bool is_started);

class Claims {
  public:
    // A run, as the process will go through it.
    void begin(std::vector<std::uint32_t> items);
    // Of the current test: nothing more is to come, but for what its layer's end may add.
    void ended(std::uint32_t item);
    // It was interrupted: more may follow in any order, and none of it is a verdict.
    void left(std::uint32_t item) { left_ = item; }

    [[nodiscard]] bool has_left(std::uint32_t item) const { return left_ == item; }
    [[nodiscard]] bool has_begun() const { return !items_.empty(); }
    // The test that it has told the end of last.
    [[nodiscard]] std::optional<std::uint32_t> last() const {
        return ended_.empty() ? std::nullopt : std::optional(ended_.back());
    }

    // `is_done`: whether somebody, this process or another, has told the end of a test.
    template <class IsDone>
    [[nodiscard]] std::optional<std::uint32_t> current(const IsDone& is_done) {
        while (at_ < items_.size() && is_done(items_[at_])) ++at_;
        return at_ < items_.size() ? std::optional(items_[at_]) : std::nullopt;
    }

    template <class IsDone>
    [[nodiscard]] Standing standing(std::uint32_t item, const IsDone& is_done) {
        if (current(is_done) == item) return Standing::kCurrent;
        if (!ended_.empty() && ended_.back() == item) return Standing::kLast;
        return ended_standing(item, is_done(item));
    }

    // What it has told the end of, from that test on; empty if that is none of them.
    [[nodiscard]] std::vector<std::uint32_t> ended_since(std::uint32_t item) const;

  private:
    [[nodiscard]] Standing ended_standing(std::uint32_t item, bool is_done) const;

    std::vector<std::uint32_t> items_;  // of the run, in order
    std::size_t at_ = 0;
    std::vector<std::uint32_t> ended_;  // in all its runs
    std::optional<std::uint32_t> left_;
};

}  // namespace tach::supervisor
