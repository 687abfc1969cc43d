// What rewinds cost, as the JSON report and -v tell it.

#include "supervisor/rewind_metrics.h"

#include <cstring>
#include <string>

#include "tests/catch.h"

using tach::shm::RewindReport;
using tach::supervisor::RewindMetrics;

TEST_CASE("nothing is told where nothing was rewound") {
    const RewindMetrics metrics;
    std::map<std::string, double> told;
    metrics.tell(told);
    CHECK(told.empty());
    CHECK(metrics.line().empty());
}

TEST_CASE("percentiles of all quantities") {
    RewindMetrics metrics;
    for (int i = 1; i <= 101; ++i) metrics.add(i * 1000, {.guard_ns = 2'000, .dirty_pages = i, .repairs = i % 2});
    metrics.condemned("it left a thread");
    metrics.respawned();
    std::map<std::string, double> told;
    metrics.tell(told);
    CHECK(told["rewinds"] == 101);
    CHECK(told["reset_us.min"] == 1);
    CHECK(told["reset_us.p50"] == 51);
    CHECK(told["reset_us.p90"] == 91);
    CHECK(told["reset_us.p99"] == 100);
    CHECK(told["reset_us.max"] == 101);
    CHECK(told["reset_guard_us.max"] == 2);
    CHECK(told["dirty_pages.p50"] == 51);
    CHECK(told["map_repairs"] == 51);
    CHECK(told["condemned.it left a thread"] == 1);
    CHECK(told["fresh_processes"] == 1);
    CHECK(metrics.line().find("101 rewinds, median 51 us (guard 2,") == 0);
}

TEST_CASE("the hot set's hit rate is of those rewinds that can tell it") {
    RewindMetrics metrics;
    metrics.add(1, {.hot_pages = 100, .hot_written = -1});
    metrics.add(1, {.hot_pages = 100, .hot_written = 90});
    std::map<std::string, double> told;
    metrics.tell(told);
    CHECK(told["hot_hit_rate"] == 0.9);
}

TEST_CASE("a report of another size is none") {
    CHECK_FALSE(RewindReport::parse(""));
    CHECK_FALSE(RewindReport::parse(std::string(sizeof(RewindReport) - 1, 'x')));
    RewindReport report{.guard_ns = 7, .repairs = 1};
    std::string bytes(sizeof report, '\0');
    std::memcpy(bytes.data(), &report, sizeof report);
    REQUIRE(RewindReport::parse(bytes));
    CHECK(RewindReport::parse(bytes)->guard_ns == 7);
    CHECK(RewindReport::parse(bytes)->repairs == 1);
}
