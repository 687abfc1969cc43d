// A Python process as the supervisor sees it: its handshake, what it says about itself, and how it is told to fork.
// Forked children play the process.

#include "supervisor/peer.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/eventfd.h"
#include "base/fd_passing.h"
#include "base/mapping.h"
#include "base/pidfd.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "supervisor/stored_message.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/owned_child.h"

using namespace tach;
using base::UniqueFd;
using shm::Kind;
using supervisor::Peer;
using tests::kGuardMs;
using tests::OwnedChild;

namespace {

struct Started {
    Peer peer;
    Peer::Handover handover;
};

Started start() {
    Peer::Handover handover;
    auto peer = Peer::create(handover);
    REQUIRE(peer);
    return {*std::move(peer), std::move(handover)};
}

// --- what the process does ---

shm::Channel attach(Peer::Handover& handover) {
    shm::ChannelFds fds{std::move(handover.segment), std::move(handover.wake_supervisor),
                        std::move(handover.wake_process)};
    return shm::Channel::attach(std::move(fds), shm::Side::kProcess).value();
}

bool send(const UniqueFd& socket, std::span<const int> fds) {
    const std::byte greeting{1};
    return base::send_packet(socket.get(), {&greeting, 1}, fds).has_value();
}

bool shake_hands_as(const UniqueFd& socket, pid_t pid) {
    const auto pidfd = base::open_pidfd(pid);
    return pidfd && send(socket, std::array{pidfd->get()});
}

// --- what the supervisor hears ---

void wait_for_news(const Peer& peer) {
    REQUIRE(base::wait_readable(peer.socket(), kGuardMs) == base::Waited::kReadable);
}

base::Error refused(Peer& peer) {
    wait_for_news(peer);
    const auto shaken = peer.shake_hands();
    REQUIRE_FALSE(shaken);
    return shaken.error();
}

}  // namespace

// --- the handshake --------------------------------------------------------------------------------------------------

TEST_CASE("before its handshake a process is neither there nor gone") {
    const int free = tests::lowest_free_fd();
    {
        auto [peer, handover] = start();
        CHECK(peer.shake_hands().value() == false);
        CHECK_FALSE(peer.ended());
        CHECK(peer.pid() == -1);
        CHECK(peer.pidfd() == -1);
    }
    CHECK(tests::lowest_free_fd() == free);
}

TEST_CASE("a process that sends its own pidfd is the peer") {
    auto [peer, handover] = start();
    const OwnedChild process([&socket = handover.socket] {
        if (!shake_hands_as(socket, ::getpid())) return 1;
        return ::pause();
    });
    wait_for_news(peer);
    CHECK(peer.shake_hands().value() == true);
    CHECK(peer.pid() == process.pid());
    CHECK(base::pidfd_pid(peer.pidfd()).value() == process.pid());
    CHECK(peer.shake_hands().value() == true);  // and stays it
    CHECK_FALSE(peer.ended());
}

TEST_CASE("the pidfd of another process is refused, and nobody can be killed by it") {
    auto [peer, handover] = start();
    OwnedChild victim([] { return ::pause(); });
    const OwnedChild process([&socket = handover.socket, &victim] {
        if (!shake_hands_as(socket, victim.pid())) return 1;
        return ::pause();
    });
    const base::Error error = refused(peer);
    CHECK(error.code == EPROTO);
    CHECK(error.what ==
          "handshake: process " + std::to_string(process.pid()) + " sent a pidfd of " + std::to_string(victim.pid()));
    CHECK(peer.pid() == -1);
    peer.kill(SIGKILL);
    REQUIRE(::kill(victim.pid(), SIGUSR1) == 0);
    CHECK(victim.end() == -SIGUSR1);
}

TEST_CASE("a handshake without a descriptor is refused") {
    auto [peer, handover] = start();
    REQUIRE(send(handover.socket, {}));
    const base::Error error = refused(peer);
    CHECK(error.code == EPROTO);
    CHECK(error.what == "handshake without a pidfd");
}

TEST_CASE("a handshake with something else than a pidfd is refused") {
    auto [peer, handover] = start();
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    REQUIRE(send(handover.socket, std::array{null.get()}));
    const int arrives_as = tests::lowest_free_fd();
    const base::Error error = refused(peer);
    CHECK(error.code == EPROTO);
    CHECK(error.what == "descriptor " + std::to_string(arrives_as) + " has no Pid");
    CHECK(tests::lowest_free_fd() == arrives_as);
}

TEST_CASE("a handshake with more than a pidfd is refused, and what came with it is closed") {
    auto [peer, handover] = start();
    const auto own = base::open_pidfd(::getpid());
    REQUIRE(own);
    REQUIRE(send(handover.socket, std::array{own->get(), own->get()}));
    const int free = tests::lowest_free_fd();
    const base::Error error = refused(peer);
    CHECK(error.code == EPROTO);
    CHECK(error.what == "packet: 2 descriptors where at most 1 belong");
    CHECK(tests::lowest_free_fd() == free);
}

TEST_CASE("a process that is gone without a handshake has ended") {
    auto [peer, handover] = start();
    OwnedChild process([] { return 3; });
    handover.socket.reset();
    CHECK(process.end() == 3);
    CHECK(peer.shake_hands().value() == false);
    CHECK(peer.ended());
}

TEST_CASE("a process that shook hands and ended at once is still the peer, and its end can be seen") {
    auto [peer, handover] = start();
    const OwnedChild process([&socket = handover.socket] { return shake_hands_as(socket, ::getpid()) ? 0 : 1; });
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT) == 0);
    REQUIRE(info.si_status == 0);
    CHECK(peer.shake_hands().value() == true);
    CHECK(peer.pid() == process.pid());
    CHECK(base::wait_readable(peer.pidfd(), kGuardMs) == base::Waited::kReadable);
}

TEST_CASE("a process that somebody has waited for already is refused, since its number may be another's") {
    auto [peer, handover] = start();
    OwnedChild process([&socket = handover.socket] { return shake_hands_as(socket, ::getpid()) ? 0 : 1; });
    REQUIRE(process.end() == 0);
    CHECK(refused(peer).code == EPROTO);
    CHECK(peer.pid() == -1);
}

// --- signals --------------------------------------------------------------------------------------------------------

TEST_CASE("a peer is killed through its pidfd") {
    auto [peer, handover] = start();
    OwnedChild process([&socket = handover.socket] {
        if (!shake_hands_as(socket, ::getpid())) return 1;
        return ::pause();
    });
    wait_for_news(peer);
    REQUIRE(peer.shake_hands().value());
    peer.kill(SIGUSR1);
    CHECK(process.end() == -SIGUSR1);
    peer.kill(SIGUSR1);  // nobody is there any more
}

// --- messages -------------------------------------------------------------------------------------------------------

TEST_CASE("what is posted arrives with its fields") {
    auto [peer, handover] = start();
    shm::Channel process = attach(handover);
    const std::array<std::string_view, 2> strings{"one", "two"};
    REQUIRE(peer.post(Kind::kRun, 7, 8, 9, strings));
    const auto message = process.receive().value();
    REQUIRE(message);
    CHECK(message->kind() == Kind::kRun);
    CHECK(message->head.item == 7);
    CHECK(message->head.a == 8);
    CHECK(message->head.b == 9);
    CHECK(message->strings == std::vector<std::string_view>{"one", "two"});
}

TEST_CASE("another process's message is passed on unchanged") {
    auto [peer, handover] = start();
    shm::Channel process = attach(handover);
    const shm::Message report = supervisor::stored_message({.kind = static_cast<std::uint16_t>(Kind::kReport),
                                                            .item = 1,
                                                            .a = 2,
                                                            .b = 3,
                                                            .t0 = std::int64_t{1} << 40,
                                                            .t1 = -1},
                                                           {"pickle", ""});
    REQUIRE(peer.pass_on(report));
    const auto message = process.receive().value();
    REQUIRE(message);
    CHECK(message->kind() == Kind::kReport);
    CHECK(message->head.item == 1);
    CHECK(message->head.a == 2);
    CHECK(message->head.b == 3);
    CHECK(message->head.t0 == std::int64_t{1} << 40);
    CHECK(message->head.t1 == -1);
    CHECK(message->strings == std::vector<std::string_view>{"pickle", ""});
}

TEST_CASE("a process that speaks another version is an error that says so") {
    auto [peer, handover] = start();
    OwnedChild process([&handover_of = handover] {
        auto mapping = base::Mapping::of(handover_of.segment.get(), shm::kSegmentBytes, base::Access::kReadWrite);
        auto* control = reinterpret_cast<shm::RingControl*>(mapping->data() + shm::kEventOffset);
        shm::RingWriter writer(
            {control, mapping->bytes().subspan(shm::kEventOffset + shm::kSegmentPage, shm::kRingBytes)},
            shm::Positions::kShared);
        const shm::MessageHead head{.kind = static_cast<std::uint16_t>(Kind::kHello), .version = 99};
        std::memcpy(writer.reserve(sizeof(head)).value()->first.data(), &head, sizeof(head));
        static_cast<void>(writer.commit(shm::kFirstChunk | shm::kLastChunk));
        return 0;
    });
    REQUIRE(process.end() == 0);
    const auto message = peer.channel().receive();
    REQUIRE_FALSE(message);
    CHECK(message.error().code == EPROTO);
    CHECK(message.error().what == "message: version 99 where this tach speaks " + std::to_string(shm::kMessageVersion));
}

TEST_CASE("a zygote that is to fork gets the order and the new process's ends in the harness's order") {
    auto [zygote, zygote_ends] = start();
    auto [worker, worker_ends] = start();
    const UniqueFd socket = std::move(zygote_ends.socket);
    shm::Channel channel = attach(zygote_ends);
    REQUIRE(zygote.fork(Kind::kForkWorker, 4, 2, 1, worker_ends));
    worker_ends = {};

    const auto order = channel.receive().value();
    REQUIRE(order);
    CHECK(order->kind() == Kind::kForkWorker);
    CHECK(order->head.item == 4);
    CHECK(order->head.a == 2);
    CHECK(order->head.b == 1);

    auto packet = base::receive_packet(socket.get(), 4);
    REQUIRE((packet && packet->fds.size() == 4));
    std::vector<UniqueFd>& fds = packet->fds;
    const UniqueFd worker_socket = std::move(fds[3]);
    auto process = shm::Channel::attach({std::move(fds[0]), std::move(fds[1]), std::move(fds[2])}, shm::Side::kProcess);
    REQUIRE(process);
    REQUIRE(worker.channel().receive().value() == std::nullopt);  // and sleeps
    REQUIRE(process->send({.kind = static_cast<std::uint16_t>(Kind::kRetired)}, {}).value() == shm::Sent::kSent);
    CHECK(base::wait_readable(worker.channel().wake_fd(), 0) == base::Waited::kReadable);
    CHECK(worker.channel().receive().value()->kind() == Kind::kRetired);
    REQUIRE(shake_hands_as(worker_socket, ::getpid()));
    CHECK(worker.shake_hands().value() == true);
}

TEST_CASE("a zygote that is gone cannot be told to fork") {
    auto [zygote, zygote_ends] = start();
    auto [worker, worker_ends] = start();
    zygote_ends.socket.reset();
    const auto forked = zygote.fork(Kind::kForkWorker, 0, 0, 0, worker_ends);
    REQUIRE_FALSE(forked);
    CHECK(forked.error().code == EPIPE);
}

// --- what a process says about itself -------------------------------------------------------------------------------

TEST_CASE("no process runs a test while there is no item, whatever the record says else") {
    auto [peer, handover] = start();
    CHECK(peer.top_pid() == 0);
    peer.channel().record().top_pid = 4242;
    CHECK(peer.top_pid() == 0);
}

TEST_CASE("the process that runs the test is the one in the record, but never a group, everybody or init") {
    auto [peer, handover] = start();
    shm::Channel process = attach(handover);
    process.record().item = 0;
    // By name: clang 14 cannot capture a structured binding.
    const auto told = [&process, &peer = peer](std::int32_t pid) {
        process.record().top_pid = pid;
        return peer.top_pid();
    };
    CHECK(told(4242) == 4242);
    CHECK(told(INT_MAX) == INT_MAX);
    CHECK(told(2) == 2);
    CHECK(told(1) == 0);
    CHECK(told(0) == 0);
    CHECK(told(-1) == 0);
    CHECK(told(-4242) == 0);
    CHECK(told(INT_MIN) == 0);
}

TEST_CASE("the current item is one of the session's, or none") {
    auto [peer, handover] = start();
    shm::Channel process = attach(handover);
    const auto told = [&process, &peer = peer](std::uint32_t item, std::size_t items) {
        process.record().item = item;
        return peer.current_item(items);
    };
    CHECK(peer.current_item(10) == std::nullopt);
    CHECK(told(0, 10) == 0U);
    CHECK(told(9, 10) == 9U);
    CHECK(told(10, 10) == std::nullopt);
    CHECK(told(shm::kNoItem, 10) == std::nullopt);
    CHECK(told(0, 0) == std::nullopt);
}
