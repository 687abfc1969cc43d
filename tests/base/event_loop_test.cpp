// The dispatcher: events, removal in the middle of a round, deadlines, signals.

#include "base/event_loop.h"

#include <unistd.h>

#include <csignal>
#include <string>

#include "base/clock.h"
#include "base/eventfd.h"
#include "tests/catch.h"

using namespace tach;

namespace {

base::EventLoop make_loop() {
    auto loop = base::EventLoop::create();
    REQUIRE(loop);
    return std::move(*loop);
}

base::UniqueFd make_signalled() {
    auto fd = base::create_eventfd();
    REQUIRE(fd);
    base::signal_eventfd(fd->get());
    return std::move(*fd);
}

}  // namespace

TEST_CASE("a readable descriptor is called back, level-triggered, until it is drained") {
    base::EventLoop loop = make_loop();
    const base::UniqueFd fd = make_signalled();
    int calls = 0;
    REQUIRE(loop.add(fd.get(), EPOLLIN, [&](std::uint32_t events) {
        CHECK(events == EPOLLIN);
        if (++calls == 2) base::drain_eventfd(fd.get());
    }));
    for (int i = 0; i < 4; ++i) REQUIRE(loop.run_once(0));
    CHECK(calls == 2);
}

TEST_CASE("a descriptor removed by another callback of the same round is not called any more") {
    base::EventLoop loop = make_loop();
    const base::UniqueFd one = make_signalled();
    const base::UniqueFd two = make_signalled();
    int calls = 0;
    REQUIRE(loop.add(one.get(), EPOLLIN, [&](std::uint32_t) {
        ++calls;
        loop.remove(two.get());
        base::drain_eventfd(one.get());
    }));
    REQUIRE(loop.add(two.get(), EPOLLIN, [&](std::uint32_t) {
        ++calls;
        loop.remove(one.get());
        base::drain_eventfd(two.get());
    }));
    for (int i = 0; i < 3; ++i) REQUIRE(loop.run_once(0));
    CHECK(calls == 1);
}

TEST_CASE("an event of a removed descriptor does not reach the next owner of its number") {
    base::EventLoop loop = make_loop();
    base::UniqueFd one = make_signalled();
    base::UniqueFd two = make_signalled();
    int wrong = 0;
    const auto replace = [&](base::UniqueFd& other) {
        const int number = other.get();
        loop.remove(number);
        other.reset();
        base::UniqueFd fresh = base::create_eventfd().value();  // takes the lowest free number: the same
        REQUIRE(fresh.get() == number);
        REQUIRE(loop.add(number, EPOLLIN, [&](std::uint32_t) { ++wrong; }));
        other = std::move(fresh);
    };
    REQUIRE(loop.add(one.get(), EPOLLIN, [&](std::uint32_t) {
        base::drain_eventfd(one.get());
        replace(two);
    }));
    REQUIRE(loop.add(two.get(), EPOLLIN, [&](std::uint32_t) {
        base::drain_eventfd(two.get());
        replace(one);
    }));
    REQUIRE(loop.run_once(0));
    REQUIRE(loop.run_once(0));
    CHECK(wrong == 0);
}

TEST_CASE("a callback may remove itself and destroy what it captured") {
    base::EventLoop loop = make_loop();
    const base::UniqueFd fd = make_signalled();
    std::string seen;
    const std::string text(100, 'x');
    REQUIRE(loop.add(fd.get(), EPOLLIN, [&loop, &fd, &seen, text](std::uint32_t) {
        loop.remove(fd.get());
        seen = text;  // still alive
    }));
    REQUIRE(loop.run_once(0));
    REQUIRE(loop.run_once(0));
    CHECK(seen == text);
}

TEST_CASE("what a descriptor is watched for can change") {
    base::EventLoop loop = make_loop();
    const base::UniqueFd fd = make_signalled();
    std::uint32_t seen = 0;
    REQUIRE(loop.add(fd.get(), 0, [&](std::uint32_t events) { seen = events; }));
    REQUIRE(loop.run_once(0));
    CHECK(seen == 0);
    REQUIRE(loop.change(fd.get(), EPOLLIN | EPOLLOUT));
    REQUIRE(loop.run_once(0));
    CHECK(seen == (EPOLLIN | EPOLLOUT));
    loop.remove(fd.get());
    CHECK_FALSE(loop.change(fd.get(), EPOLLIN));
    loop.remove(fd.get());
}

TEST_CASE("what cannot be watched is an error") {
    base::EventLoop loop = make_loop();
    CHECK_FALSE(loop.add(-1, EPOLLIN, [](std::uint32_t) {}));
}

TEST_CASE("deadlines fire in order, once, and not early") {
    base::EventLoop loop = make_loop();
    std::string order;
    const std::int64_t start = base::monotonic_ns();
    loop.at(start + 6 * base::kNsPerMs, [&] {
        order += 'b';
        loop.stop();
    });
    loop.at(start + 3 * base::kNsPerMs, [&] { order += 'a'; });
    REQUIRE(loop.run());
    CHECK(order == "ab");
    CHECK(base::monotonic_ns() - start >= 6 * base::kNsPerMs);
}

TEST_CASE("a cancelled deadline does not fire, not even when it is due already") {
    base::EventLoop loop = make_loop();
    bool fired = false;
    base::EventLoop::TimerId second;
    loop.after(-2, [&] { loop.cancel(second); });
    second = loop.after(-1, [&] { fired = true; });
    REQUIRE(loop.run_once(0));
    REQUIRE(loop.run_once(0));
    CHECK_FALSE(fired);
    loop.cancel(second);
}

TEST_CASE("a deadline in the past set by a callback does not keep the round from ending") {
    base::EventLoop loop = make_loop();
    int calls = 0;
    std::function<void()> again = [&] {
        ++calls;
        loop.at(0, again);
    };
    loop.at(0, again);
    REQUIRE(loop.run_once(0));
    CHECK(calls == 1);
    REQUIRE(loop.run_once(-1));
    CHECK(calls == 2);
}

TEST_CASE("signals arrive as events") {
    const auto fd = base::open_signalfd({SIGUSR1, SIGUSR2});
    REQUIRE(fd);
    CHECK(base::read_signal(fd->get()).value() == std::nullopt);
    ::kill(::getpid(), SIGUSR2);
    base::EventLoop loop = make_loop();
    std::optional<int> seen;
    REQUIRE(loop.add(fd->get(), EPOLLIN, [&](std::uint32_t) { seen = base::read_signal(fd->get()).value(); }));
    REQUIRE(loop.run_once(1000));
    CHECK(seen == SIGUSR2);
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    ::sigaddset(&set, SIGUSR2);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}
