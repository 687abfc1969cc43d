#pragma once

// Who runs what, and in which order the results are told.
//
// Schedule hands out the session's items to idle workers in runs. It is pure logic, deterministic, without
// clock or I/O: the main loop asks next() whenever a worker is idle and tells it of deaths and of the end. It
// promises that every item is in exactly one place (the pool, or one run), that a unit (the tests that share
// a package, module or class fixture) is never divided between two workers (but by requeue_apart()), and that a run
// needs one base only.
//
// ReplayOrder turns results that arrive in any order into pytest's collection order, for the controller.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace tach::supervisor {

struct ScheduleItem {
    std::uint32_t unit = 0;    // 0: stands alone
    std::uint32_t base = 0;    // the base its worker must be forked from
    std::uint32_t flags = 0;   // shm::ItemFlags
    std::uint32_t module = 0;  // index of its file
    double expected_s = -1;    // from earlier runs; negative: unknown
    bool last = false;         // it, and what stays with it, is in nobody's way if it runs after the others
};

// Items for one worker, to be run in collection order.
struct Run {
    std::uint32_t first = 0;
    std::uint32_t last = 0;  // one past
    std::uint32_t base = 0;
    std::uint32_t flags = 0;           // shm::RunFlags; the schedule hands out 0
    std::vector<std::uint32_t> items;  // ascending; empty: everything in [first, last). Otherwise only these: others in
                                       // between belong to another base or unit, or have run already

    [[nodiscard]] bool contains(std::uint32_t item) const {
        if (items.empty()) return item >= first && item < last;
        return std::binary_search(items.begin(), items.end(), item);
    }
    [[nodiscard]] std::vector<std::uint32_t> all() const;  // those from `first` up to `last`, written out
};

class Schedule {
  public:
    struct Options {
        std::uint32_t workers = 1;
        bool durations_known = false;  // slowest first, by expected_s; otherwise collection order
    };

    Schedule(std::vector<ScheduleItem> items, Options options);

    // The next run for an idle worker of that base, or nothing if none of its items is left.
    [[nodiscard]] std::optional<Run> next(std::uint32_t base);

    [[nodiscard]] bool base_exhausted(std::uint32_t base) const;
    // The lowest base that has unassigned items.
    [[nodiscard]] std::optional<std::uint32_t> next_base() const;

    // After a worker's death: what its run had not started goes back. The first form takes the items of `run`
    // from run.first on (move it forward past those that started); the second is for a run without a list.
    void requeue(const Run& run);
    void requeue(std::uint32_t first, std::uint32_t last) { requeue(Run{.first = first, .last = last}); }

    // The same, each item as a run of its own, whatever its unit: one of them is deadly, and it is not known which.
    void requeue_apart(const Run& run);

    // -x, --maxfail, stepwise: nothing after `item` is handed out any more, everything before it still is.
    void cut(std::uint32_t item);
    // Ctrl-C: nothing is handed out any more.
    void abandon();
    // Removes items that somebody else will run: the worker that has a live base or layer.
    void take(std::span<const std::uint32_t> items);

    [[nodiscard]] bool empty() const { return remaining_ == 0; }
    [[nodiscard]] std::size_t remaining() const { return remaining_; }

  private:
    // What must go to one worker together.
    struct Group {
        std::vector<std::uint32_t> items;  // ascending, never empty
        std::int64_t cost = 0;
        bool alone = false;  // is a run of its own
    };
    struct Pool {
        std::map<std::size_t, Group> groups;  // by place(): collection order, but for those that go last
        std::set<std::tuple<bool, std::int64_t, std::uint32_t>> slowest;  // (goes last, -cost, group)
        std::int64_t cost = 0;
    };

    void form_groups();
    void estimate();
    void put_back(std::uint32_t item);
    [[nodiscard]] std::size_t place(std::uint32_t group) const;
    [[nodiscard]] Group take_group(Pool& pool, std::uint32_t id);
    [[nodiscard]] std::vector<std::uint32_t> fill(Pool& pool, std::int64_t target);
    void drop_if(const std::function<bool(std::uint32_t)>& gone);
    [[nodiscard]] Run make_run(std::uint32_t base, std::vector<std::uint32_t> items) const;

    std::vector<ScheduleItem> items_;
    Options options_;
    std::vector<std::uint32_t> group_of_;  // by item
    std::vector<std::int64_t> cost_;       // by item
    std::vector<bool> out_;                // handed out in some run
    std::vector<bool> last_;               // by group: after the others
    std::vector<bool> apart_;              // by group: is a run of its own from now on
    std::map<std::uint32_t, Pool> pools_;  // by base; never an empty one
    std::size_t remaining_ = 0;
    std::uint32_t end_;  // one past the last item that may be handed out
};

class ReplayOrder {
  public:
    explicit ReplayOrder(std::uint32_t items) : state_(items), end_(items) {}

    // The item has its result, or never will have one.
    void done(std::uint32_t item) { state_.at(item) = State::kDone; }
    void skip(std::uint32_t item) { state_.at(item) = State::kSkipped; }
    // Its result is none. It must not have been told.
    void reopen(std::uint32_t item) { state_.at(item) = State::kPending; }

    // Nothing after `item` is told any more.
    void cut(std::uint32_t item);
    // Nothing runs any more: items without a result are skipped.
    void close() { closed_ = true; }

    // The next item all of whose predecessors have been told; each item once. Call until it has nothing.
    [[nodiscard]] std::optional<std::uint32_t> advance();

    [[nodiscard]] bool complete() const { return next_ >= end_; }
    // The item that the others wait for; one past the last if complete().
    [[nodiscard]] std::uint32_t waiting_for() const { return next_; }

  private:
    enum class State : std::uint8_t { kPending, kDone, kSkipped };

    std::vector<State> state_;
    std::uint32_t next_ = 0;
    std::uint32_t end_;
    bool closed_ = false;
};

}  // namespace tach::supervisor
