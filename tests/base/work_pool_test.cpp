#include "base/work_pool.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <map>
#include <string>

#include "base/clock.h"
#include "tests/catch.h"

using namespace tach;
using base::WorkEnd;
using base::WorkOutcome;
using base::WorkPool;

namespace {

struct Seen {
    WorkEnd end;
    int signal;
    int exit_code;
    std::string bytes;
    friend bool operator==(const Seen&, const Seen&) = default;
};

std::map<std::uint32_t, Seen> run(std::uint32_t count, const base::WorkOptions& options, const WorkPool::Work& work) {
    std::map<std::uint32_t, Seen> seen;
    const auto done = WorkPool::run(count, options, work, [&](const WorkOutcome& outcome) {
        const bool is_new = seen.emplace(outcome.number, Seen{outcome.end, outcome.signal, outcome.exit_code,
                                                              std::string(outcome.bytes)})
                                .second;
        CHECK(is_new);
    });
    REQUIRE(done);
    return seen;
}

void double_it(std::uint32_t number, std::string& bytes) {
    bytes += std::to_string(number * 2);
}

constexpr std::int64_t kLong = 60 * base::kNsPerSecond;

}  // namespace

TEST_CASE("each number is worked on once") {
    const auto seen = run(1000, {.workers = 3, .budget_ns = kLong}, double_it);
    REQUIRE(seen.size() == 1000);
    for (const auto& [number, one] : seen) CHECK(one == Seen{WorkEnd::kDone, 0, 0, std::to_string(number * 2)});
}

TEST_CASE("results larger than a pipe come back whole") {
    const auto seen = run(5, {.workers = 2, .budget_ns = kLong}, [](std::uint32_t number, std::string& bytes) {
        bytes.append(5'000'000, static_cast<char>('a' + number));
    });
    for (const auto& [number, one] : seen) {
        CHECK((one.bytes == std::string(5'000'000, static_cast<char>('a' + number))));
    }
}

TEST_CASE("a crash costs the number that caused it") {
    const auto seen = run(100, {.workers = 2, .budget_ns = kLong}, [](std::uint32_t number, std::string& bytes) {
        if (number == 10) ::raise(SIGKILL);
        if (number == 20) ::_exit(3);
        double_it(number, bytes);
    });
    REQUIRE(seen.size() == 100);
    CHECK(seen.at(10) == Seen{WorkEnd::kCrashed, SIGKILL, 0, ""});
    CHECK(seen.at(20) == Seen{WorkEnd::kCrashed, 0, 3, ""});
    CHECK(seen.at(11).end == WorkEnd::kDone);
    CHECK(seen.at(99).bytes == "198");
}

TEST_CASE("a hang costs the number that caused it") {
    const auto seen =
        run(20, {.workers = 2, .budget_ns = 200 * base::kNsPerMs}, [](std::uint32_t number, std::string& bytes) {
            if (number == 7) {
                for (;;) ::pause();
            }
            double_it(number, bytes);
        });
    REQUIRE(seen.size() == 20);
    CHECK(seen.at(7).end == WorkEnd::kTimedOut);
    CHECK(seen.at(8).bytes == "16");
}

TEST_CASE("every number may crash") {
    const auto seen =
        run(30, {.workers = 4, .budget_ns = kLong}, [](std::uint32_t, std::string&) { ::raise(SIGKILL); });
    REQUIRE(seen.size() == 30);
    for (const auto& [number, one] : seen) CHECK(one.signal == SIGKILL);
}

TEST_CASE("more workers than numbers") {
    CHECK(run(2, {.workers = 64, .budget_ns = kLong}, double_it).size() == 2);
    CHECK(run(0, {.workers = 4, .budget_ns = kLong}, double_it).empty());
}

TEST_CASE("what is done meanwhile is done once, here, while the workers work") {
    int calls = 0;
    const pid_t here = ::getpid();
    const base::WorkOptions options{.workers = 2, .budget_ns = 10'000'000'000, .meanwhile = [&] {
                                        CHECK(::getpid() == here);
                                        ++calls;
                                    }};
    CHECK(run(5, options, double_it).size() == 5);
    CHECK(calls == 1);
    CHECK(run(0, options, double_it).empty());
    CHECK(calls == 1);
}
