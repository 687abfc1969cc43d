// Millions of records between two threads (for ThreadSanitizer: one memory, both sides) and between two
// processes, every one checked. Bounded by time as well as by number, so that sanitizers and busy machines
// stay quick.

#include <array>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/eventfd.h"
#include "shm/channel.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/shm/heap_ring.h"

using namespace tach;
using shm::Positions;
using shm::Sent;

namespace {

constexpr std::uint32_t kRecords = 3'000'000;
constexpr std::int64_t kTime = 3 * base::kNsPerSecond;
constexpr std::uint32_t kEnd = 1;  // the tag, or `a`, of the last record

// A pseudo-random function of the record's number: both sides compute it.
std::uint32_t scramble(std::uint32_t number) {
    number ^= number >> 16;
    number *= 0x7feb352dU;
    number ^= number >> 15;
    number *= 0x846ca68bU;
    return number ^ (number >> 16);
}

bool time_is_over(std::uint32_t number, std::int64_t start) {
    return number % 1024 == 0 && base::monotonic_ns() - start > kTime;
}

// Sleeping on an eventfd as the channel does, in one small ring: the wake-up protocol under load.
void write_records(shm::RingMemory memory, int own_fd, int peer_fd) {
    shm::RingWriter writer(memory, Positions::kPrivate);
    const std::int64_t start = base::monotonic_ns();
    for (std::uint32_t number = 0;; ++number) {
        const std::uint32_t length = scramble(number) % 200;
        auto slot = writer.reserve(length);
        while (slot && !*slot) {
            if (writer.may_sleep(length)) {
                // No timeout: a lost wake-up hangs, and the test run's timeout tells.
                if (base::wait_readable(own_fd, -1) == base::Waited::kReadable) base::drain_eventfd(own_fd);
                writer.awake();
            }
            slot = writer.reserve(length);
        }
        if (!slot) return;
        const std::string text(length, static_cast<char>(scramble(number) >> 8));
        tests::fill(**slot, text);
        const bool last = number + 1 == kRecords || time_is_over(number, start);
        if (writer.commit(last ? kEnd : 0)) base::signal_eventfd(peer_fd);
        if (last) return;
    }
}

// The number of good records, or 0 after a bad one.
std::uint32_t read_records(shm::RingMemory memory, int own_fd, int peer_fd) {
    shm::RingReader reader(memory, Positions::kPrivate);
    for (std::uint32_t number = 0;;) {
        const auto record = reader.peek();
        if (!record) return 0;
        if (!*record) {
            if (!reader.may_sleep()) continue;
            if (base::wait_readable(own_fd, -1) == base::Waited::kReadable) base::drain_eventfd(own_fd);
            reader.awake();
            continue;
        }
        const std::string expected(scramble(number) % 200, static_cast<char>(scramble(number) >> 8));
        if (tests::text_of(**record) != expected) return 0;
        const bool last = (*record)->tag == kEnd;
        if (reader.consume()) base::signal_eventfd(peer_fd);
        ++number;
        if (last) return number;
    }
}

// What a producer process sends: mostly small messages, now and then one of several chunks.
int send_messages(shm::Channel& process) {
    const std::string text(300'000, 'x');
    const std::int64_t start = base::monotonic_ns();
    for (std::uint32_t number = 0;; ++number) {
        const std::uint32_t random = scramble(number);
        const std::size_t size = random % 10'000 == 0 ? text.size() : random % 100;
        const std::array<std::string_view, 1> strings{std::string_view(text).substr(0, size)};
        const bool last = number + 1 == kRecords || time_is_over(number, start);
        const shm::MessageHead head{.kind = 98, .item = number, .a = last ? kEnd : 0, .b = random};
        if (process.send(head, strings).value() != Sent::kSent) return 1;
        if (last) return 0;
    }
}

bool is_good(const shm::Message& message, std::uint32_t number) {
    const std::uint32_t random = scramble(number);
    const std::size_t size = random % 10'000 == 0 ? 300'000 : random % 100;
    return message.head.item == number && message.head.b == random && message.string(0).size() == size &&
           message.string(0).find_first_not_of('x') == std::string_view::npos;
}

// As the supervisor's loop does it. The number of good messages, or 0 after a bad one.
std::uint32_t receive_messages(shm::Channel& supervisor) {
    for (std::uint32_t number = 0;;) {
        auto message = supervisor.receive();
        if (!message) return 0;
        if (*message) {
            if (!is_good(**message, number)) return 0;
            ++number;
            if ((*message)->head.a == kEnd) return number;
            continue;
        }
        if (base::wait_readable(supervisor.wake_fd(), 20'000) != base::Waited::kReadable) return 0;
        supervisor.acknowledge_wake();
    }
}

}  // namespace

TEST_CASE("two threads exchange millions of records through a small ring without losing one or a wake-up") {
    tests::HeapRing ring(4096);
    const auto reader_fd = base::create_eventfd();
    const auto writer_fd = base::create_eventfd();
    REQUIRE((reader_fd && writer_fd));
    std::thread writer([&] { write_records(ring.memory(), writer_fd->get(), reader_fd->get()); });
    const std::uint32_t good = read_records(ring.memory(), reader_fd->get(), writer_fd->get());
    writer.join();
    CHECK(good > 1000);
    CHECK(ring.control().head.load() == ring.control().tail.load());
}

TEST_CASE("a forked process sends millions of messages and every one arrives intact") {
    auto supervisor = shm::Channel::create();
    REQUIRE(supervisor);
    const pid_t child = tests::fork_child([&] {
        auto process = shm::Channel::attach(supervisor->share().value(), shm::Side::kProcess);
        return process ? send_messages(*process) : 1;
    });
    const std::uint32_t good = receive_messages(*supervisor);
    CHECK(tests::end_of(child) == 0);
    CHECK(good > 1000);
}

TEST_CASE("children killed at random moments lose their last message at most") {
    auto supervisor = shm::Channel::create();
    REQUIRE(supervisor);
    auto process = shm::Channel::attach(supervisor->share().value(), shm::Side::kProcess);
    REQUIRE(process);
    std::uint32_t ends = 0;
    for (std::uint32_t round = 0; round < 100; ++round) {
        const pid_t child = tests::fork_child([&] {
            process->adopt();
            return send_messages(*process);
        });
        const std::int64_t until = base::monotonic_ns() + scramble(round) % 3'000'000;
        std::uint32_t number = 0;
        while (base::monotonic_ns() < until) {
            const auto message = supervisor->receive().value();
            if (message) REQUIRE(is_good(*message, number++));
        }
        ::kill(child, SIGKILL);
        REQUIRE(tests::end_of(child) == -SIGKILL);
        // What a killed child had committed is still there, and what the parent says next comes after it.
        std::thread parent([&] { (void)process->send({.kind = 103}, {}); });
        for (bool seen = false; !seen;) {
            const auto message = supervisor->receive().value();
            if (!message) continue;
            seen = message->kind() == shm::Kind::kCrashed;
            if (!seen) REQUIRE(is_good(*message, number++));
        }
        parent.join();
        ++ends;
    }
    CHECK(ends == 100);
}
