#include "supervisor/schedule.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "shm/message.h"

// The algorithm
// -------------
// Items are joined into groups that no two workers may share. A run is made of whole groups and aims at a
// share of what is left in its base, remaining / (2 * workers): guided self-scheduling (Polychronopoulos and
// Kuck, 1987) with the usual halving, so that the first runs are long and the last ones a single test, and
// workers end at about the same time whatever the tests cost. What a group costs is its number of items, or,
// if durations are known, its time.
//
// Slowest first needs no sort: with known durations, a group that costs more than the share is handed out at
// once, alone, the most expensive one first. As the share shrinks, this catches every group just before it
// would be too long to be started late, and everything else keeps collection order, so that a run stays in
// few files.

namespace tach::supervisor {

namespace {

// Runs per worker that a fair division of what is left would make. 2 is the customary factor of guided
// self-scheduling: it forgives tests twice as slow as expected.
constexpr std::int64_t kRunsPerWorker = 2;

// What a test costs beside its own time: pytest's protocol, 0.3 ms as measured in DESIGN.md. Keeps tests that
// take no time at all from being handed out by the thousand in the last run.
constexpr std::int64_t kProtocolNs = 300'000;

// No single estimate is above a day (a guess): what a clock that jumped has left in the memory must not
// overflow sums.
constexpr double kLongestS = 86'400;

class DisjointSets {
  public:
    explicit DisjointSets(std::size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0U); }

    // The lowest member of the set.
    std::uint32_t find(std::uint32_t x) {
        while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
        return x;
    }

    void join(std::uint32_t x, std::uint32_t y) {
        x = find(x);
        y = find(y);
        parent_[std::max(x, y)] = std::min(x, y);
    }

  private:
    std::vector<std::uint32_t> parent_;
};

bool has(const ScheduleItem& item, shm::ItemFlags flag) {
    return (item.flags & flag) != 0;
}

}  // namespace

std::vector<std::uint32_t> Run::all() const {
    std::vector<std::uint32_t> every = items;
    if (every.empty()) {
        every.resize(last - first);
        std::iota(every.begin(), every.end(), first);
    }
    std::erase_if(every, [this](std::uint32_t item) { return item < first || item >= last; });
    return every;
}

Schedule::Schedule(std::vector<ScheduleItem> items, Options options)
    : items_(std::move(items)),
      options_(options),
      group_of_(items_.size()),
      cost_(items_.size(), 1),
      out_(items_.size(), true),
      last_(items_.size(), false),
      apart_(items_.size(), false),
      end_(static_cast<std::uint32_t>(items_.size())) {
    options_.workers = std::max(options_.workers, 1U);
    form_groups();
    if (options_.durations_known) estimate();
    for (std::uint32_t i = 0; i < end_; ++i) put_back(i);
}

void Schedule::form_groups() {
    DisjointSets sets(items_.size());
    std::set<std::pair<std::uint32_t, std::uint32_t>> whole_modules;  // (base, module)
    for (const ScheduleItem& item : items_) {
        if (has(item, shm::kItemDynamic)) whole_modules.insert({item.base, item.module});
    }
    // The first item seen of each thing that must stay together. A base is part of every key: its workers
    // cannot run another one's items.
    enum class Bond { kUnit, kModule, kOwnWorker };
    std::map<std::tuple<std::uint32_t, Bond, std::uint32_t>, std::uint32_t> first_of;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        const ScheduleItem& item = items_[i];
        auto bind = [&](Bond bond, std::uint32_t number) {
            sets.join(i, first_of.try_emplace({item.base, bond, number}, i).first->second);
        };
        if (item.unit != 0) bind(Bond::kUnit, item.unit);
        if (whole_modules.contains({item.base, item.module})) bind(Bond::kModule, item.module);
        if (has(item, shm::kItemOwnWorker)) bind(Bond::kOwnWorker, 0);
    }
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
        group_of_[i] = sets.find(i);
        last_[group_of_[i]] = last_[group_of_[i]] || items_[i].last;
    }
}

// Known tests cost what they took, new ones the median of the known.
void Schedule::estimate() {
    std::vector<double> known;
    for (const ScheduleItem& item : items_) {
        if (std::isfinite(item.expected_s) && item.expected_s >= 0) known.push_back(item.expected_s);
    }
    double median = 0;
    if (!known.empty()) {
        auto middle = known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2);
        std::nth_element(known.begin(), middle, known.end());
        median = *middle;
    }
    for (std::size_t i = 0; i < items_.size(); ++i) {
        const double s = items_[i].expected_s;
        const double expected = std::isfinite(s) && s >= 0 ? s : median;
        cost_[i] = kProtocolNs + static_cast<std::int64_t>(std::min(expected, kLongestS) * 1e9);
    }
}

// A group is named after its first item at the start.
std::size_t Schedule::place(std::uint32_t group) const {
    return last_[group] ? items_.size() + group : group;
}

void Schedule::put_back(std::uint32_t item) {
    if (!out_[item] || item >= end_) return;
    out_[item] = false;
    const std::uint32_t id = group_of_[item];
    Pool& pool = pools_[items_[item].base];
    Group& group = pool.groups[place(id)];
    pool.slowest.erase({last_[id], -group.cost, id});
    group.items.insert(std::upper_bound(group.items.begin(), group.items.end(), item), item);
    group.cost += cost_[item];
    group.alone = group.alone || has(items_[item], shm::kItemOwnWorker) || apart_[id];
    pool.slowest.insert({last_[id], -group.cost, id});
    pool.cost += cost_[item];
    ++remaining_;
}

Schedule::Group Schedule::take_group(Pool& pool, std::uint32_t id) {
    Group group = std::move(pool.groups.extract(place(id)).mapped());
    pool.slowest.erase({last_[id], -group.cost, id});
    pool.cost -= group.cost;
    remaining_ -= group.items.size();
    for (std::uint32_t item : group.items) out_[item] = true;
    return group;
}

// Groups in collection order up to the target, at least one. Ends early at the end of a file if half of the
// target is reached, so that the next run starts with a file of its own.
std::vector<std::uint32_t> Schedule::fill(Pool& pool, std::int64_t target) {
    std::vector<std::uint32_t> items;
    std::int64_t cost = 0;
    while (!pool.groups.empty()) {
        const Group& group = pool.groups.begin()->second;
        if (!items.empty()) {
            const bool new_file = items_[items.back()].module != items_[group.items.front()].module;
            if (group.alone || cost + group.cost > target || (new_file && 2 * cost >= target)) break;
        }
        const Group taken = take_group(pool, group_of_[group.items.front()]);
        items.insert(items.end(), taken.items.begin(), taken.items.end());
        cost += taken.cost;
        if (taken.alone) break;
    }
    return items;
}

std::optional<Run> Schedule::next(std::uint32_t base) {
    auto found = pools_.find(base);
    if (found == pools_.end()) return std::nullopt;
    Pool& pool = found->second;
    const std::int64_t target = pool.cost / (kRunsPerWorker * std::int64_t{options_.workers});
    const auto [goes_last, negative_cost, slowest] = *pool.slowest.begin();
    std::vector<std::uint32_t> items;
    if (options_.durations_known && -negative_cost >= target) {
        items = take_group(pool, slowest).items;
    } else {
        items = fill(pool, target);
    }
    if (pool.groups.empty()) pools_.erase(found);
    return make_run(base, std::move(items));
}

Run Schedule::make_run(std::uint32_t base, std::vector<std::uint32_t> items) const {
    std::sort(items.begin(), items.end());  // units of different groups may interleave
    Run run{.first = items.front(), .last = items.back() + 1, .base = base};
    if (run.last - run.first != items.size()) run.items = std::move(items);
    return run;
}

bool Schedule::base_exhausted(std::uint32_t base) const {
    return !pools_.contains(base);
}

std::optional<std::uint32_t> Schedule::next_base() const {
    if (pools_.empty()) return std::nullopt;
    return pools_.begin()->first;
}

void Schedule::requeue(const Run& run) {
    for (const std::uint32_t i : run.all()) {
        if (i < items_.size()) put_back(i);
    }
}

void Schedule::requeue_apart(const Run& run) {
    for (const std::uint32_t i : run.all()) {
        if (i >= items_.size()) continue;
        group_of_[i] = i;  // named after one of its items, as all groups
        last_[i] = items_[i].last;
        apart_[i] = true;
    }
    requeue(run);
}

void Schedule::drop_if(const std::function<bool(std::uint32_t)>& gone) {
    for (auto pool = pools_.begin(); pool != pools_.end();) {
        std::vector<std::uint32_t> touched;
        for (const auto& [position, group] : pool->second.groups) {
            if (std::any_of(group.items.begin(), group.items.end(), gone)) {
                touched.push_back(group_of_[group.items.front()]);
            }
        }
        std::vector<std::uint32_t> kept;
        for (std::uint32_t id : touched) {
            for (std::uint32_t item : take_group(pool->second, id).items) {
                if (!gone(item)) kept.push_back(item);
            }
        }
        for (std::uint32_t item : kept) put_back(item);
        pool = pool->second.groups.empty() ? pools_.erase(pool) : std::next(pool);
    }
}

void Schedule::cut(std::uint32_t item) {
    if (std::size_t{item} + 1 >= end_) return;  // kNoItem is no cut
    drop_if([item](std::uint32_t i) { return i > item; });
    end_ = item + 1;
}

void Schedule::abandon() {
    pools_.clear();
    remaining_ = 0;
    end_ = 0;
}

void Schedule::take(std::span<const std::uint32_t> items) {
    std::vector<bool> gone(items_.size());
    for (std::uint32_t item : items) gone.at(item) = true;
    drop_if([&gone](std::uint32_t i) { return gone[i]; });
}

void ReplayOrder::cut(std::uint32_t item) {
    if (std::size_t{item} + 1 < end_) end_ = std::max(item + 1, next_);
}

std::optional<std::uint32_t> ReplayOrder::advance() {
    while (next_ < end_) {
        const State state = state_[next_];
        if (state == State::kPending && !closed_) return std::nullopt;
        const std::uint32_t item = next_++;
        if (state == State::kDone) return item;
    }
    return std::nullopt;
}

}  // namespace tach::supervisor
