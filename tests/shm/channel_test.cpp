// The channel: both directions, chunks, backlog, wake-ups, turns between processes, and hostile peers.

#include "shm/channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/eventfd.h"
#include "base/memfd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using shm::Channel;
using shm::Kind;
using shm::Sent;
using shm::Side;
using tests::end_of;
using tests::fork_child;

namespace {

struct Ends {
    Channel supervisor;
    Channel process;
};

Ends make_ends() {
    auto supervisor = Channel::create();
    REQUIRE(supervisor);
    auto fds = supervisor->share();
    REQUIRE(fds);
    auto process = Channel::attach(std::move(*fds), Side::kProcess);
    REQUIRE(process);
    return {std::move(*supervisor), std::move(*process)};
}

shm::MessageHead head_of(Kind kind, std::uint32_t item = 0) {
    return {.kind = static_cast<std::uint16_t>(kind), .item = item};
}

bool is_readable(int fd) {
    return base::wait_readable(fd, 0) == base::Waited::kReadable;
}

// Fills the event ring with small messages; says how many.
std::uint32_t fill_events(Channel& process) {
    std::uint32_t count = 0;
    while (process.try_send(head_of(Kind::kDone, count), {}).value() == Sent::kSent) ++count;
    return count;
}

// The segment once more, to scribble on it as a test could.
base::Mapping map_raw(const Channel& channel) {
    const auto fds = channel.share();
    REQUIRE(fds);
    auto mapping = base::Mapping::of(fds->segment.get(), shm::kSegmentBytes, base::Access::kReadWrite);
    REQUIRE(mapping);
    return std::move(*mapping);
}

shm::RingControl& control_at(const base::Mapping& raw, std::size_t offset) {
    return *std::launder(reinterpret_cast<shm::RingControl*>(raw.data() + offset));
}

}  // namespace

TEST_CASE("commands go down and events come up, in order") {
    Ends ends = make_ends();
    const std::array<std::string_view, 2> strings{"first", "second"};
    REQUIRE(ends.supervisor.post(head_of(Kind::kRun, 7), strings));
    REQUIRE(ends.supervisor.post(head_of(Kind::kFinish), {}));
    auto command = ends.process.receive();
    REQUIRE(command);
    CHECK((*command)->kind() == Kind::kRun);
    CHECK((*command)->head.item == 7);
    CHECK((*command)->string(1) == "second");
    CHECK(ends.process.receive().value()->kind() == Kind::kFinish);
    CHECK(ends.process.receive().value() == std::nullopt);

    CHECK(ends.process.send(head_of(Kind::kStarted, 7), {}).value() == Sent::kSent);
    CHECK(ends.process.try_send(head_of(Kind::kDone, 7), strings).value() == Sent::kSent);
    CHECK(ends.supervisor.receive().value()->kind() == Kind::kStarted);
    CHECK(ends.supervisor.receive().value()->string(0) == "first");
    CHECK(ends.supervisor.receive().value() == std::nullopt);
}

TEST_CASE("the run record and the verdict are one memory on both sides") {
    const Ends ends = make_ends();
    CHECK(ends.supervisor.record().item.load() == shm::kNoItem);
    ends.process.record().item.store(3);
    ends.process.verdict().interrupted.store(1);
    CHECK(ends.supervisor.record().item.load() == 3);
    CHECK(ends.supervisor.verdict().interrupted.load() == 1);
}

TEST_CASE("a message many times the ring goes through in chunks, while the supervisor reads") {
    Ends ends = make_ends();
    std::string large(std::size_t{10} * 1'000'000, '\0');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
    const std::array<std::string_view, 2> strings{large, "end"};
    std::atomic<bool> sent = false;
    std::thread process([&] { sent = ends.process.send(head_of(Kind::kDone), strings).value() == Sent::kSent; });
    std::optional<shm::Message> message;
    while (!message) {
        if (base::wait_readable(ends.supervisor.wake_fd(), 10) == base::Waited::kReadable) {
            ends.supervisor.acknowledge_wake();
        }
        message = ends.supervisor.receive().value();
    }
    process.join();
    CHECK(sent);
    CHECK((message->string(0) == large));
    CHECK(message->string(1) == "end");
}

TEST_CASE("a message larger than the ring is refused by try_send, one that fits an empty ring exactly is not") {
    Ends ends = make_ends();
    // What sixteen largest chunks and their heads would take is just above the ring; fifteen leave room for a
    // rest.
    constexpr std::size_t kLargest = 15;
    const std::size_t most = kLargest * shm::kMaxChunk +
                             (shm::kRingBytes - kLargest * shm::record_size(shm::kMaxChunk)) - sizeof(shm::RecordHead) -
                             sizeof(shm::MessageHead) - 4;
    const std::string fits(most, 'f');
    const std::array<std::string_view, 1> strings{fits};
    CHECK(ends.process.try_send(head_of(Kind::kDone), strings).value() == Sent::kSent);
    CHECK(ends.process.try_send(head_of(Kind::kDone), {}).value() == Sent::kFull);
    // A ring's worth is as much as one receive() looks at.
    auto message = ends.supervisor.receive();
    REQUIRE((message && *message));
    CHECK(((*message)->string(0) == fits));
    const std::string over(most + 1, 'o');
    const std::array<std::string_view, 1> too_large{over};
    const auto refused = ends.process.try_send(head_of(Kind::kDone), too_large);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EMSGSIZE);
}

TEST_CASE("a full ring refuses try_send whole and loses nothing") {
    Ends ends = make_ends();
    const std::uint32_t count = fill_events(ends.process);
    CHECK(count == shm::kRingBytes / shm::record_size(sizeof(shm::MessageHead)));
    for (std::uint32_t i = 0; i < count; ++i) REQUIRE(ends.supervisor.receive().value()->head.item == i);
    CHECK(ends.supervisor.receive().value() == std::nullopt);
}

TEST_CASE("wait after a refused try_send ends when the supervisor has made room") {
    Ends ends = make_ends();
    const std::uint32_t count = fill_events(ends.process);
    CHECK_FALSE(ends.process.wait(5));
    std::thread supervisor([&] {
        base::sleep_ns(10 * base::kNsPerMs);
        for (std::uint32_t i = 0; i < count; ++i) (void)ends.supervisor.receive();
    });
    CHECK(ends.process.wait(10000));
    supervisor.join();
    CHECK(ends.process.try_send(head_of(Kind::kDone), {}).value() == Sent::kSent);
    CHECK_FALSE(ends.process.wait(0));
}

TEST_CASE("the supervisor never blocks: what does not fit is queued in order and flushed later") {
    Ends ends = make_ends();
    const std::string text(3000, 'q');
    const std::string large(std::size_t{3} * shm::kRingBytes, 'l');
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const std::array<std::string_view, 1> strings{i == 500 ? std::string_view(large) : text};
        REQUIRE(ends.supervisor.post(head_of(Kind::kLogStart, i), strings));
    }
    CHECK(ends.supervisor.has_backlog());
    CHECK(ends.supervisor.backlog_bytes() > 4'000'000);
    int wakes = 0;
    for (std::uint32_t next = 0; next < 1000;) {
        const auto message = ends.process.receive();
        REQUIRE(message);
        if (*message) {
            REQUIRE((*message)->head.item == next);
            REQUIRE((*message)->string(0).size() == (next == 500 ? large.size() : text.size()));
            ++next;
        } else {
            // Nothing left: by now the process has asked for more.
            REQUIRE(is_readable(ends.supervisor.wake_fd()));
            ends.supervisor.acknowledge_wake();
            REQUIRE(ends.supervisor.flush_backlog());
            ++wakes;
        }
    }
    CHECK_FALSE(ends.supervisor.has_backlog());
    CHECK(ends.supervisor.backlog_bytes() == 0);
    CHECK(wakes > 3);
}

TEST_CASE("a supervisor that is awake is not woken, a sleeping one is woken once") {
    Ends ends = make_ends();
    CHECK(ends.process.send(head_of(Kind::kDone), {}).value() == Sent::kSent);
    CHECK_FALSE(is_readable(ends.supervisor.wake_fd()));
    CHECK(ends.supervisor.receive().value());
    CHECK(ends.supervisor.receive().value() == std::nullopt);  // and sleeps
    CHECK(ends.process.send(head_of(Kind::kDone), {}).value() == Sent::kSent);
    CHECK(is_readable(ends.supervisor.wake_fd()));
    ends.supervisor.acknowledge_wake();
    CHECK_FALSE(is_readable(ends.supervisor.wake_fd()));
    CHECK(ends.process.send(head_of(Kind::kDone), {}).value() == Sent::kSent);
    CHECK_FALSE(is_readable(ends.supervisor.wake_fd()));
}

TEST_CASE("a message that may wait is told of with the next one, or when the process waits itself") {
    Ends ends = make_ends();
    CHECK(ends.supervisor.receive().value() == std::nullopt);  // and sleeps
    CHECK(ends.process.send(head_of(Kind::kReport, 1), {}, shm::Wake::kWithNext).value() == Sent::kSent);
    CHECK_FALSE(is_readable(ends.supervisor.wake_fd()));
    CHECK(ends.process.send(head_of(Kind::kDone, 2), {}).value() == Sent::kSent);
    CHECK(is_readable(ends.supervisor.wake_fd()));
    ends.supervisor.acknowledge_wake();
    CHECK(ends.supervisor.receive().value()->head.item == 1);
    CHECK(ends.supervisor.receive().value()->head.item == 2);
    CHECK(ends.supervisor.receive().value() == std::nullopt);

    CHECK_FALSE(ends.process.wait(1));
    CHECK_FALSE(is_readable(ends.supervisor.wake_fd()));  // nothing to tell
    CHECK(ends.process.send(head_of(Kind::kReport, 3), {}, shm::Wake::kWithNext).value() == Sent::kSent);
    CHECK_FALSE(ends.process.wait(1));
    CHECK(is_readable(ends.supervisor.wake_fd()));
}

TEST_CASE("a full ring of messages that may wait does not wait for ever") {
    Ends ends = make_ends();
    CHECK(ends.supervisor.receive().value() == std::nullopt);  // and sleeps
    constexpr std::uint32_t kMany = 100'000;
    std::thread process([&] {
        for (std::uint32_t number = 0; number < kMany; ++number) {
            const shm::Wake wake = number + 1 < kMany ? shm::Wake::kWithNext : shm::Wake::kNow;
            if (ends.process.send(head_of(Kind::kReport, number), {}, wake).value() != Sent::kSent) return;
        }
    });
    std::uint32_t received = 0;
    while (received < kMany && base::wait_readable(ends.supervisor.wake_fd(), 60'000) == base::Waited::kReadable) {
        ends.supervisor.acknowledge_wake();
        while (const auto message = ends.supervisor.receive().value()) {
            REQUIRE(message->head.item == received);
            ++received;
        }
    }
    process.join();
    CHECK(received == kMany);
}

TEST_CASE("wait sleeps until a command arrives, or until the time is over") {
    Ends ends = make_ends();
    const std::int64_t start = base::monotonic_ns();
    CHECK_FALSE(ends.process.wait(20));
    CHECK(base::monotonic_ns() - start >= 20 * base::kNsPerMs);
    std::thread supervisor([&] {
        base::sleep_ns(20 * base::kNsPerMs);
        (void)ends.supervisor.post(head_of(Kind::kFinish), {});
    });
    CHECK(ends.process.wait(-1));
    supervisor.join();
    CHECK(ends.process.wait(0));
    CHECK(ends.process.receive().value());
    CHECK_FALSE(ends.process.wait(0));
}

TEST_CASE("a signal handler ends wait early") {
    Ends ends = make_ends();
    struct sigaction action {};
    action.sa_handler = [](int) {};
    struct sigaction before {};
    ::sigaction(SIGALRM, &action, &before);
    ::alarm(1);
    const std::int64_t start = base::monotonic_ns();
    // Early, unless it came between two sleeps of the same wait.
    while (ends.process.wait(20000)) {
    }
    ::sigaction(SIGALRM, &before, nullptr);
    CHECK(base::monotonic_ns() - start < 15 * base::kNsPerSecond);
}

TEST_CASE("commands get through although a test closed the process's eventfd, or got its number for a file") {
    Ends ends = make_ends();
    const int number = ends.process.wake_fd();
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    const base::UniqueFd read_end(pipe[0]);
    const base::UniqueFd write_end(pipe[1]);
    SECTION("closed") {
        ::close(number);
    }
    SECTION("a pipe of the test, with bytes in it") {
        REQUIRE(::write(write_end.get(), "12345678", 8) == 8);
        REQUIRE(::dup3(read_end.get(), number, O_CLOEXEC) == number);
    }
    CHECK_FALSE(ends.process.wait(5));
    std::thread supervisor([&] {
        base::sleep_ns(20 * base::kNsPerMs);
        (void)ends.supervisor.post(head_of(Kind::kFinish), {});
    });
    CHECK(ends.process.wait(10000));
    supervisor.join();
    CHECK(ends.process.receive().value()->kind() == Kind::kFinish);
    if (::fcntl(number, F_GETFD) >= 0) CHECK(is_readable(read_end.get()));  // its bytes are still there
    // Owned by the channel, whose destructor would close a number that the next test case uses.
    if (::fcntl(number, F_GETFD) < 0) REQUIRE(::dup3(read_end.get(), number, O_CLOEXEC) == number);
}

TEST_CASE("the process keeps its descriptors out of the way of tests") {
    const Ends ends = make_ends();
    CHECK(ends.process.wake_fd() >= 500);
    CHECK((::fcntl(ends.process.wake_fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a child that has not adopted the channel sends nothing and is told so") {
    Ends ends = make_ends();
    const pid_t child = fork_child([&] {
        if (ends.process.is_producer()) return 1;
        if (ends.process.send(head_of(Kind::kDone), {}).value() != Sent::kNotProducer) return 2;
        return ends.process.try_send(head_of(Kind::kDone), {}).value() == Sent::kNotProducer ? 0 : 3;
    });
    CHECK(end_of(child) == 0);
    CHECK(ends.supervisor.receive().value() == std::nullopt);
    CHECK(ends.process.is_producer());
}

TEST_CASE("parent and forked tests take turns in one event ring") {
    Ends ends = make_ends();
    std::uint32_t next = 0;
    for (std::uint32_t test = 0; test < 20; ++test) {
        REQUIRE(ends.process.send(head_of(Kind::kStarted, test), {}).value() == Sent::kSent);
        const pid_t child = fork_child([&] {
            ends.process.adopt();
            for (int i = 0; i < 3; ++i) {
                if (ends.process.send(head_of(Kind::kReport, test), {}).value() != Sent::kSent) return 1;
            }
            return 0;
        });
        REQUIRE(end_of(child) == 0);
        REQUIRE(ends.process.send(head_of(Kind::kDone, test), {}).value() == Sent::kSent);
    }
    while (auto message = ends.supervisor.receive().value()) {
        CHECK(message->head.item == next / 5);
        CHECK(message->kind() == (next % 5 == 0 ? Kind::kStarted : next % 5 == 4 ? Kind::kDone : Kind::kReport));
        ++next;
    }
    CHECK(next == 100);
}

TEST_CASE("a child killed in the middle of a big message loses that message and nothing else") {
    Ends ends = make_ends();
    REQUIRE(ends.process.send(head_of(Kind::kStarted), {}).value() == Sent::kSent);
    const pid_t child = fork_child([&] {
        ends.process.adopt();
        if (ends.process.send(head_of(Kind::kReport), {}).value() != Sent::kSent) return 1;
        const std::string large(std::size_t{8} * shm::kRingBytes, 'x');
        const std::array<std::string_view, 1> strings{large};
        return ends.process.send(head_of(Kind::kReport, 1), strings).value() == Sent::kSent ? 2 : 3;
    });
    // Nobody reads yet, so the child ends up asleep with a full ring.
    base::sleep_ns(50 * base::kNsPerMs);
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(end_of(child) == -SIGKILL);
    CHECK(ends.supervisor.receive().value()->kind() == Kind::kStarted);
    CHECK(ends.supervisor.receive().value()->kind() == Kind::kReport);
    CHECK(ends.supervisor.receive().value() == std::nullopt);
    REQUIRE(ends.process.send(head_of(Kind::kCrashed), {}).value() == Sent::kSent);
    CHECK(ends.supervisor.receive().value()->kind() == Kind::kCrashed);
    CHECK(ends.supervisor.receive().value() == std::nullopt);
}

TEST_CASE("a flood of chunks that complete nothing does not hold the supervisor") {
    Ends ends = make_ends();
    const base::Mapping raw = map_raw(ends.supervisor);
    shm::RingWriter writer({&control_at(raw, shm::kEventOffset),
                            raw.bytes().subspan(shm::kEventOffset + shm::kSegmentPage, shm::kRingBytes)},
                           shm::Positions::kShared);
    const shm::MessageHead head{.kind = 98, .version = shm::kMessageVersion, .bytes = 1000};
    std::atomic<bool> done = false;
    std::thread flood([&] {
        while (!done) {
            const auto slot = writer.reserve(sizeof(head));
            if (!slot || !*slot) continue;
            const auto bytes = std::as_bytes(std::span(&head, 1));
            std::copy_n(bytes.begin(), (*slot)->first.size(), (*slot)->first.begin());
            std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>((*slot)->first.size()), (*slot)->second.size(),
                        (*slot)->second.begin());
            (void)writer.commit(shm::kFirstChunk);
        }
    });
    for (int i = 0; i < 20; ++i) CHECK(ends.supervisor.receive().value() == std::nullopt);
    done = true;
    flood.join();
}

TEST_CASE("positions scribbled over by a test are an error, after which the peer is as good as dead") {
    Ends ends = make_ends();
    const base::Mapping raw = map_raw(ends.supervisor);
    REQUIRE(ends.process.send(head_of(Kind::kDone), {}).value() == Sent::kSent);
    control_at(raw, shm::kEventOffset).head.store(~std::uint64_t{0});
    const auto message = ends.supervisor.receive();
    REQUIRE_FALSE(message);
    CHECK(message.error().code == EPROTO);

    const std::string text(shm::kMaxChunk, 'x');
    const std::array<std::string_view, 1> strings{text};
    base::Result<void> posted;
    control_at(raw, shm::kCommandOffset).tail.store(~std::uint64_t{0} - 8);
    for (int i = 0; i < 20 && posted; ++i) posted = ends.supervisor.post(head_of(Kind::kRun), strings);
    REQUIRE_FALSE(posted);
    CHECK(posted.error().code == EPROTO);
}

TEST_CASE("attach refuses what is not a channel of this version") {
    const auto supervisor = Channel::create();
    REQUIRE(supervisor);
    const auto refuse = [](shm::ChannelFds fds) {
        const auto attached = Channel::attach(std::move(fds), Side::kProcess);
        REQUIRE_FALSE(attached);
        return attached.error().what;
    };
    SECTION("a segment of another size") {
        auto fds = supervisor->share().value();
        fds.segment = base::create_sealed_memfd("test", 4096).value();
        const std::string why = refuse(std::move(fds));
        CHECK(why == "memfd has 4096 bytes, not " + std::to_string(shm::kSegmentBytes));
    }
    SECTION("a segment that can still shrink") {
        auto fds = supervisor->share().value();
        fds.segment = base::UniqueFd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        REQUIRE(::ftruncate(fds.segment.get(), shm::kSegmentBytes) == 0);
        const std::string why = refuse(std::move(fds));
        CHECK(why == "memfd is not sealed");
    }
    SECTION("an empty segment, another version, another geometry") {
        auto fds = supervisor->share().value();
        fds.segment = base::create_sealed_memfd("test", shm::kSegmentBytes).value();
        const std::string why = refuse(std::move(fds));
        CHECK(why == "segment: not one of tach's");
        const base::Mapping raw = map_raw(*supervisor);
        const std::uint32_t good = shm::kSegmentVersion;
        const std::uint32_t bad = 99;
        std::memcpy(raw.data(), &bad, sizeof(bad));
        CHECK(refuse(supervisor->share().value()) ==
              "segment: version 99 where this tach speaks " + std::to_string(shm::kSegmentVersion));
        std::memcpy(raw.data(), &good, sizeof(good));
        std::memcpy(raw.data() + 16, &bad, sizeof(bad));
        CHECK(refuse(supervisor->share().value()) == "segment: unexpected geometry");
    }
    SECTION("something else instead of an eventfd") {
        auto fds = supervisor->share().value();
        fds.wake_process = base::UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
        const std::string why = refuse(std::move(fds));
        CHECK_FALSE(why.empty());
        CHECK_FALSE(refuse({}).empty());
    }
}
