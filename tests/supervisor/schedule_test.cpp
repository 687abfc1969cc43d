#include "supervisor/schedule.h"

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <set>

#include "shm/message.h"
#include "tests/catch.h"

using namespace tach::supervisor;
namespace shm = tach::shm;

namespace {

std::vector<std::uint32_t> items_of(const Run& run) {
    if (!run.items.empty()) return run.items;
    std::vector<std::uint32_t> items;
    for (std::uint32_t i = run.first; i < run.last; ++i) items.push_back(i);
    return items;
}

std::vector<std::vector<std::uint32_t>> drain(Schedule& schedule, std::uint32_t base = 0) {
    std::vector<std::vector<std::uint32_t>> runs;
    while (auto run = schedule.next(base)) runs.push_back(items_of(*run));
    return runs;
}

std::vector<ScheduleItem> plain(std::size_t n) {
    return std::vector<ScheduleItem>(n);
}

using Items = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("runs shrink towards the end and cover everything once, in order") {
    Schedule schedule(plain(100), {.workers = 2});
    CHECK(schedule.remaining() == 100);
    Items all;
    std::size_t previous = 100;
    for (const Items& run : drain(schedule)) {
        CHECK(run.size() <= previous);
        previous = run.size();
        all.insert(all.end(), run.begin(), run.end());
    }
    CHECK(previous == 1);
    CHECK(all.size() == 100);
    CHECK(std::is_sorted(all.begin(), all.end()));
    CHECK(schedule.empty());
    CHECK(schedule.base_exhausted(0));
    CHECK_FALSE(schedule.next_base());
}

TEST_CASE("the first run is a guided share") {
    Schedule schedule(plain(100), {.workers = 2});
    CHECK(items_of(*schedule.next(0)).size() == 25);
    CHECK(items_of(*schedule.next(0)).size() == 18);
}

TEST_CASE("no items, or no workers, is not an accident") {
    Schedule none({}, {.workers = 4});
    CHECK(none.empty());
    CHECK_FALSE(none.next(0));
    Schedule schedule(plain(3), {.workers = 0});
    CHECK(drain(schedule).size() == 3);
}

TEST_CASE("a unit is never split") {
    auto items = plain(20);
    for (std::size_t i = 2; i < 14; ++i) items[i].unit = 1;
    Schedule schedule(items, {.workers = 4});
    bool seen = false;
    for (const Items& run : drain(schedule)) {
        const auto inside = std::count_if(run.begin(), run.end(), [&](auto i) { return items[i].unit == 1; });
        CHECK((inside == 0 || inside == 12));
        seen = seen || inside == 12;
    }
    CHECK(seen);
}

TEST_CASE("a unit that others interrupt is handed out as a list") {
    auto items = plain(4);
    items[0].unit = 1;
    items[2].unit = 1;
    items[1].unit = 2;
    items[3].unit = 2;
    Schedule schedule(items, {.workers = 4});
    auto run = schedule.next(0);
    CHECK(run->first == 0);
    CHECK(run->last == 3);
    CHECK(run->items == Items{0, 2});
    CHECK(items_of(*schedule.next(0)) == Items{1, 3});
}

TEST_CASE("a run of interleaved units is in collection order") {
    auto items = plain(40);
    items[0].unit = 1;
    items[2].unit = 1;
    items[1].unit = 2;
    items[3].unit = 2;
    Schedule schedule(items, {.workers = 1});
    auto run = schedule.next(0);
    CHECK(run->items.empty());
    CHECK(run->first == 0);
    CHECK(run->last == 20);
}

TEST_CASE("a run has one base, the lowest base comes first") {
    auto items = plain(6);
    for (std::size_t i : {0U, 2U, 4U}) items[i].base = 7;
    for (std::size_t i : {1U, 3U, 5U}) items[i].base = 3;
    Schedule schedule(items, {.workers = 1});
    CHECK(*schedule.next_base() == 3);
    CHECK(items_of(*schedule.next(3)) == Items{1});
    CHECK(drain(schedule, 3) == std::vector<Items>{{3}, {5}});
    CHECK(schedule.base_exhausted(3));
    CHECK_FALSE(schedule.base_exhausted(7));
    CHECK(*schedule.next_base() == 7);
    CHECK_FALSE(schedule.next(3));
    CHECK(drain(schedule, 7).size() == 3);
}

TEST_CASE("items for one worker are one run in collection order") {
    auto items = plain(30);
    for (std::size_t i : {3U, 11U, 29U}) items[i].flags = shm::kItemOwnWorker;
    Schedule schedule(items, {.workers = 2});
    std::size_t runs = 0;
    for (const Items& run : drain(schedule)) {
        if (std::find(run.begin(), run.end(), 3U) == run.end()) continue;
        CHECK(run == Items{3, 11, 29});
        ++runs;
    }
    CHECK(runs == 1);
}

TEST_CASE("a module with a dynamic item is never split") {
    auto items = plain(12);
    for (std::size_t i = 4; i < 9; ++i) items[i].module = 1;
    for (std::size_t i = 9; i < 12; ++i) items[i].module = 2;
    items[6].flags = shm::kItemDynamic;
    Schedule schedule(items, {.workers = 4});
    const auto runs = drain(schedule);
    CHECK(std::find(runs.begin(), runs.end(), Items{4, 5, 6, 7, 8}) != runs.end());
}

TEST_CASE("a run ends with its file where sizes allow") {
    auto items = plain(40);
    for (std::size_t i = 0; i < items.size(); ++i) items[i].module = static_cast<std::uint32_t>(i / 8);
    Schedule schedule(items, {.workers = 2});
    CHECK(items_of(*schedule.next(0)).size() == 8);  // the share is 10
    CHECK(items_of(*schedule.next(0)).front() == 8);
}

TEST_CASE("slow tests start first when durations are known") {
    auto items = plain(100);
    for (auto& item : items) item.expected_s = 0.01;
    items[90].expected_s = 3;
    items[40].expected_s = 30;
    Schedule schedule(items, {.workers = 2, .durations_known = true});
    CHECK(items_of(*schedule.next(0)) == Items{40});
    CHECK(items_of(*schedule.next(0)) == Items{90});
    CHECK(items_of(*schedule.next(0)).front() == 0);
}

TEST_CASE("a slow module starts at once, as a whole") {
    auto items = plain(200);
    for (auto& item : items) item.expected_s = 0.1;
    for (std::size_t i = 100; i < 160; ++i) {
        items[i].unit = 5;
        items[i].expected_s = 0.5;
    }
    Schedule schedule(items, {.workers = 4, .durations_known = true});
    auto run = schedule.next(0);
    CHECK(run->first == 100);
    CHECK(run->last == 160);
}

TEST_CASE("without durations the order is pytest's") {
    auto items = plain(10);
    items[9].expected_s = 100;
    Schedule schedule(items, {.workers = 2, .durations_known = false});
    CHECK(schedule.next(0)->first == 0);
}

TEST_CASE("durations that cannot be are unknown") {
    auto items = plain(4);
    items[0].expected_s = std::numeric_limits<double>::quiet_NaN();
    items[1].expected_s = std::numeric_limits<double>::infinity();
    items[2].expected_s = 1e300;
    Schedule schedule(items, {.workers = 2, .durations_known = true});
    CHECK(drain(schedule).size() <= 4);
    CHECK(schedule.empty());
}

TEST_CASE("what a dead worker had not started is handed out again, before the rest") {
    Schedule schedule(plain(20), {.workers = 1});
    auto run = schedule.next(0);
    REQUIRE(run->last == 10);
    schedule.requeue(4, run->last);  // 3 crashed
    CHECK(schedule.remaining() == 16);
    CHECK(schedule.next(0)->first == 4);
    std::set<std::uint32_t> rest;
    for (const Items& items : drain(schedule)) rest.insert(items.begin(), items.end());
    CHECK(*rest.rbegin() == 19);
    CHECK(schedule.empty());
}

TEST_CASE("a base whose items were all handed out comes back with a requeue") {
    Schedule schedule(plain(1), {.workers = 1});
    auto run = schedule.next(0);
    CHECK_FALSE(schedule.next_base());
    schedule.requeue(*run);
    CHECK(*schedule.next_base() == 0);
    schedule.requeue(*run);  // what is in the pool stays there once
    CHECK(schedule.remaining() == 1);
}

TEST_CASE("the rest of a unit stays whole when its worker died") {
    auto items = plain(10);
    for (auto& item : items) item.unit = 1;
    Schedule schedule(items, {.workers = 4});
    auto run = schedule.next(0);
    run->first = 4;
    schedule.requeue(*run);
    CHECK(drain(schedule) == std::vector<Items>{{4, 5, 6, 7, 8, 9}});
}

TEST_CASE("a requeued list leaves the items of others alone") {
    auto items = plain(6);
    for (std::size_t i : {0U, 2U, 4U}) items[i].unit = 1;
    for (std::size_t i : {1U, 3U, 5U}) items[i].unit = 2;
    Schedule schedule(items, {.workers = 4});
    auto run = schedule.next(0);
    auto other = schedule.next(0);
    REQUIRE(items_of(*other) == Items{1, 3, 5});
    run->first = 1;  // 0 crashed
    schedule.requeue(*run);
    CHECK(drain(schedule) == std::vector<Items>{{2, 4}});
}

TEST_CASE("after a cut everything before it is still handed out and nothing after it") {
    Schedule schedule(plain(40), {.workers = 2});
    auto run = schedule.next(0);
    REQUIRE(run->last == 10);
    schedule.cut(15);
    CHECK(schedule.remaining() == 6);
    schedule.cut(30);
    CHECK(schedule.remaining() == 6);
    schedule.requeue(8, 10);
    CHECK(schedule.remaining() == 8);
    schedule.cut(8);
    CHECK(schedule.remaining() == 1);
    CHECK(drain(schedule) == std::vector<Items>{{8}});
    schedule.requeue(9, 10);
    CHECK(schedule.empty());
}

TEST_CASE("a cut goes through the middle of a unit") {
    auto items = plain(10);
    for (auto& item : items) item.unit = 1;
    Schedule schedule(items, {.workers = 2});
    schedule.cut(3);
    CHECK(drain(schedule) == std::vector<Items>{{0, 1, 2, 3}});
}

TEST_CASE("kNoItem is no cut") {
    Schedule schedule(plain(4), {.workers = 2});
    schedule.cut(shm::kNoItem);
    CHECK(schedule.remaining() == 4);
}

TEST_CASE("after abandon nothing is handed out, not even what comes back") {
    Schedule schedule(plain(40), {.workers = 2});
    auto run = schedule.next(0);
    schedule.abandon();
    CHECK(schedule.empty());
    CHECK_FALSE(schedule.next(0));
    schedule.requeue(*run);
    CHECK_FALSE(schedule.next(0));
    CHECK_FALSE(schedule.next_base());
}

TEST_CASE("taken items are not handed out") {
    auto items = plain(6);
    items[1].unit = items[2].unit = 1;
    Schedule schedule(items, {.workers = 1});
    const Items taken{0, 2, 5};
    schedule.take(taken);
    schedule.take(taken);
    CHECK(schedule.remaining() == 3);
    Items left;
    for (const Items& run : drain(schedule)) left.insert(left.end(), run.begin(), run.end());
    CHECK(left == Items{1, 3, 4});
}

TEST_CASE("what is put back apart is handed out one by one, units as well") {
    auto items = plain(4);
    items[1].unit = items[2].unit = 1;
    Schedule schedule(items, {.workers = 1});
    static_cast<void>(drain(schedule));
    schedule.requeue_apart(Run{.first = 0, .last = 4});
    CHECK(drain(schedule) == std::vector<Items>{{0}, {1}, {2}, {3}});
}

TEST_CASE("whatever happens, no item is lost or handed out twice, and units stay whole") {
    std::mt19937 random(2);
    auto below = [&random](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    for (int round = 0; round < 200; ++round) {
        auto items = plain(1 + below(200));
        for (auto& item : items) {
            item.base = below(3);
            item.unit = below(2) == 0 ? 0 : 1 + below(8);
            item.module = below(10);
            item.flags = below(20) == 0 ? below(8) : 0;
            item.expected_s = static_cast<double>(below(1000)) / 100 - 1;
        }
        Schedule schedule(items, {.workers = 1 + below(8), .durations_known = below(2) == 0});
        std::vector<int> ran(items.size());
        while (auto base = schedule.next_base()) {
            auto run = schedule.next(*base);
            REQUIRE(run);
            const Items mine = items_of(*run);
            REQUIRE(std::is_sorted(mine.begin(), mine.end()));
            std::set<std::uint32_t> units;
            for (std::uint32_t i : mine) {
                REQUIRE(items[i].base == *base);
                units.insert(items[i].unit);
            }
            units.erase(0);
            const std::set<std::uint32_t> inside(mine.begin(), mine.end());
            for (std::uint32_t i = 0; i < items.size(); ++i) {
                if (ran[i] == 0 && items[i].base == *base && units.contains(items[i].unit)) {
                    REQUIRE(inside.contains(i));
                }
            }
            const bool dies = below(10) == 0;
            const std::size_t finished = dies ? 1 + below(static_cast<std::uint32_t>(mine.size())) : mine.size();
            for (std::size_t k = 0; k < finished; ++k) ++ran[mine[k]];
            if (finished < mine.size()) {
                run->first = mine[finished];
                schedule.requeue(*run);
            }
        }
        REQUIRE(std::all_of(ran.begin(), ran.end(), [](int n) { return n == 1; }));
    }
}

TEST_CASE("results are told in collection order, each once") {
    ReplayOrder order(4);
    order.done(1);
    CHECK_FALSE(order.advance());
    CHECK(order.waiting_for() == 0);
    order.done(0);
    CHECK(order.advance() == 0U);
    CHECK(order.advance() == 1U);
    CHECK_FALSE(order.advance());
    order.skip(2);
    order.done(3);
    CHECK(order.advance() == 3U);
    CHECK_FALSE(order.advance());
    CHECK(order.complete());
}

TEST_CASE("after a cut the order is complete with the item that cut it") {
    ReplayOrder order(10);
    order.cut(1);
    order.done(5);
    order.done(0);
    CHECK(order.advance() == 0U);
    CHECK_FALSE(order.complete());
    order.done(1);
    CHECK(order.advance() == 1U);
    CHECK(order.complete());
    CHECK_FALSE(order.advance());
    order.cut(0);  // too late: it has been told
    CHECK(order.complete());
}

TEST_CASE("when nothing runs any more, what never ran is skipped") {
    ReplayOrder order(4);
    order.done(1);
    order.done(3);
    CHECK_FALSE(order.advance());
    order.close();
    CHECK(order.advance() == 1U);
    CHECK(order.advance() == 3U);
    CHECK_FALSE(order.advance());
    CHECK(order.complete());
}

TEST_CASE("an item that is run again holds back those after it until then") {
    ReplayOrder order(3);
    order.done(0);
    order.done(1);
    order.done(2);
    order.reopen(1);
    CHECK(order.advance() == 0U);
    CHECK_FALSE(order.advance());
    CHECK(order.waiting_for() == 1);
    order.done(1);
    CHECK(order.advance() == 1U);
    CHECK(order.advance() == 2U);
}

TEST_CASE("a unit goes last as a whole, if one of its tests does") {
    std::vector<ScheduleItem> items = plain(6);
    items[0].unit = items[1].unit = items[2].unit = 1;
    items[1].last = true;
    Schedule schedule(items, {.workers = 1});
    Items order;
    for (const Items& run : drain(schedule)) order.insert(order.end(), run.begin(), run.end());
    CHECK(order == Items{3, 4, 5, 0, 1, 2});
}

TEST_CASE("what goes last is handed out after the others, and comes back to its place") {
    std::vector<ScheduleItem> items = plain(6);
    items[1].last = items[3].last = true;
    Schedule schedule(items, {.workers = 3});
    Items order;
    for (const Items& run : drain(schedule)) order.insert(order.end(), run.begin(), run.end());
    CHECK(order == Items{0, 2, 4, 5, 1, 3});
    schedule.requeue(Run{.first = 0, .last = 4});
    const std::array<std::uint32_t, 1> taken{1};
    schedule.take(taken);
    CHECK(schedule.remaining() == 3);
    order.clear();
    for (const Items& run : drain(schedule)) order.insert(order.end(), run.begin(), run.end());
    CHECK(order == Items{0, 2, 3});
}
