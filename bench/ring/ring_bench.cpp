// The channel beside a Unix socket pair doing the same work in the same run.
//
// Two works: a stream (one process sends messages as fast as it can, the other takes them all) and round
// trips (a command down, an event up, one at a time). Each is done by the channel and by a SOCK_SEQPACKET
// socket pair in turn, round after round, so that whatever else the machine does meets both alike. Both carry
// the same message, encoded and decoded by the same code. Printed: median and spread (smallest to largest) of
// the rounds, and the ratio of medians.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/eventfd.h"
#include "base/fd_passing.h"
#include "shm/channel.h"
#include "shm/codec.h"

using namespace tach;

namespace {

constexpr int kRounds = 9;
constexpr int kStreamMessages = 200'000;
constexpr int kRoundTrips = 10'000;

// About what a plain passed report takes.
const std::string kText(150, 'r');
const std::array<std::string_view, 1> kStrings{kText};

[[noreturn]] void give_up(const std::string& what) {
    fmt::print(stderr, "ring_bench: {}\n", what);
    std::exit(1);
}

template <class T>
T must(base::Result<T> result) {
    if (!result) give_up(result.error().what);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

shm::MessageHead head_of(int number, bool last) {
    return {.kind = 98, .item = static_cast<std::uint32_t>(number), .a = last ? 1U : 0U};
}

// --- the two ways, with one interface: `put` and `get` on either side

struct ByChannel {
    shm::Channel supervisor = must(shm::Channel::create());
    shm::Channel process = must(shm::Channel::attach(must(supervisor.share()), shm::Side::kProcess));

    void child_put(int number, bool last) { must(process.send(head_of(number, last), kStrings)); }
    shm::Message child_get() {
        while (true) {
            auto message = must(process.receive());
            if (message) return std::move(*message);
            (void)process.wait(-1);
        }
    }
    void put(int number, bool last) { must(supervisor.post(head_of(number, last), kStrings)); }
    shm::Message get() {
        while (true) {
            auto message = must(supervisor.receive());
            if (message) return std::move(*message);
            if (base::wait_readable(supervisor.wake_fd(), -1) == base::Waited::kReadable) {
                supervisor.acknowledge_wake();
            }
        }
    }
};

struct BySocket {
    std::pair<base::UniqueFd, base::UniqueFd> ends = must(base::create_packet_pair());
    std::vector<std::byte> buffer = std::vector<std::byte>(4096);

    void send(int fd, int number, bool last) {
        auto message = must(shm::Outgoing::of(head_of(number, last), kStrings));
        const auto bytes = std::span(buffer).first(message.total());
        message.take(bytes);
        must(base::send_packet(fd, bytes));
    }
    shm::Message receive(int fd) {
        // A plain read, cheaper than receive_packet with its room for descriptors.
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) give_up("the socket ended");
        shm::Assembler assembler;
        const shm::Record record{
            shm::kFirstChunk | shm::kLastChunk, std::span(buffer).first(static_cast<std::size_t>(count)), {}};
        auto message = must(assembler.add(record));
        if (!message) give_up("the socket lost bytes");
        return std::move(*message);
    }
    void child_put(int number, bool last) { send(ends.second.get(), number, last); }
    shm::Message child_get() { return receive(ends.second.get()); }
    void put(int number, bool last) { send(ends.first.get(), number, last); }
    shm::Message get() { return receive(ends.first.get()); }
};

template <class Body>
pid_t start_child(Body&& body) {
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork failed");
    if (pid == 0) {
        body();
        ::_exit(0);
    }
    return pid;
}

void finish_child(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("the other process failed");
}

// Messages a second.
template <class Way>
double stream() {
    Way way;
    const pid_t child = start_child([&] {
        if constexpr (std::is_same_v<Way, ByChannel>) way.process.adopt();
        for (int i = 0; i < kStreamMessages; ++i) way.child_put(i, i + 1 == kStreamMessages);
    });
    (void)way.get();  // the fork is over
    const std::int64_t start = base::monotonic_ns();
    for (int i = 1; i < kStreamMessages; ++i) {
        if (way.get().head.item != static_cast<std::uint32_t>(i)) give_up("a message was lost");
    }
    const std::int64_t taken = base::monotonic_ns() - start;
    finish_child(child);
    return (kStreamMessages - 1) * static_cast<double>(base::kNsPerSecond) / static_cast<double>(taken);
}

// Microseconds for a round trip.
template <class Way>
double round_trip() {
    Way way;
    const pid_t child = start_child([&] {
        if constexpr (std::is_same_v<Way, ByChannel>) way.process.adopt();
        for (int i = 0; way.child_get().head.a == 0; ++i) way.child_put(i, false);
        way.child_put(kRoundTrips, true);
    });
    const std::int64_t start = base::monotonic_ns();
    for (int i = 0; i <= kRoundTrips; ++i) {
        way.put(i, i == kRoundTrips);
        if (way.get().head.item != static_cast<std::uint32_t>(i)) give_up("a message was lost");
    }
    const std::int64_t taken = base::monotonic_ns() - start;
    finish_child(child);
    return static_cast<double>(taken) / 1000.0 / (kRoundTrips + 1);
}

struct Figures {
    std::vector<double> values;
    double median() {
        std::sort(values.begin(), values.end());
        return values[values.size() / 2];
    }
};

void print(const char* work, const char* unit, Figures channel, Figures socket, bool more_is_better) {
    const double ours = channel.median();
    const double theirs = socket.median();
    fmt::print("{:<12} channel {:>12.2f} {} ({:.2f} to {:.2f})\n", work, ours, unit, channel.values.front(),
               channel.values.back());
    fmt::print("{:<12} socket  {:>12.2f} {} ({:.2f} to {:.2f})\n", "", theirs, unit, socket.values.front(),
               socket.values.back());
    fmt::print("{:<12} the channel is {:.2f} times as fast\n", "", more_is_better ? ours / theirs : theirs / ours);
}

}  // namespace

int main() {
    Figures stream_channel;
    Figures stream_socket;
    Figures trip_channel;
    Figures trip_socket;
    for (int round = 0; round < kRounds; ++round) {
        stream_channel.values.push_back(stream<ByChannel>());
        stream_socket.values.push_back(stream<BySocket>());
        trip_channel.values.push_back(round_trip<ByChannel>());
        trip_socket.values.push_back(round_trip<BySocket>());
    }
    fmt::print("{} rounds; {} messages of {} bytes, {} round trips\n", kRounds, kStreamMessages,
               sizeof(shm::MessageHead) + 4 + kText.size(), kRoundTrips);
    print("stream", "messages/s", stream_channel, stream_socket, true);
    print("round trip", "us", trip_channel, trip_socket, false);
    return 0;
}
