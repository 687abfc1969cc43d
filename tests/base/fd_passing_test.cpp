// Descriptors over sockets: what arrives, what is refused, and that a refusal leaks nothing.

#include "base/fd_passing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/eventfd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using base::Packet;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string text_of(const Packet& packet) {
    return {reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size()};
}

struct Pair {
    base::UniqueFd left;
    base::UniqueFd right;
};

Pair make_pair() {
    auto ends = base::create_packet_pair();
    REQUIRE(ends);
    return {std::move(ends->first), std::move(ends->second)};
}

// A hostile sender: `count` descriptors in one control message, without the bounds of send_packet.
void send_many(int socket, std::size_t count) {
    alignas(cmsghdr) std::array<std::byte, 2048> control{};
    char byte = 'x';
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    const std::vector<int> fds(count, socket);
    std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
    REQUIRE(::sendmsg(socket, &message, 0) == 1);
}

}  // namespace

TEST_CASE("descriptors arrive in order, usable and close-on-exec") {
    const Pair pair = make_pair();
    const auto one = base::create_eventfd();
    const auto two = base::create_eventfd();
    const std::array fds{one->get(), two->get()};
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("hello"), fds));
    const auto packet = base::receive_packet(pair.right.get());
    REQUIRE(packet);
    CHECK(packet->status == Packet::Status::kReceived);
    CHECK(text_of(*packet) == "hello");
    CHECK_FALSE(packet->sender);
    REQUIRE(packet->fds.size() == 2);
    CHECK((::fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
    base::signal_eventfd(packet->fds[1].get());
    CHECK(base::wait_readable(two->get(), 0) == base::Waited::kReadable);
    CHECK(base::wait_readable(one->get(), 0) == base::Waited::kTimeout);
}

TEST_CASE("a packet owns its descriptors and closes those that nobody takes") {
    const Pair pair = make_pair();
    const int before = tests::lowest_free_fd();
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("x"), std::array{0, 0, 0}));
    {
        const auto packet = base::receive_packet(pair.right.get());
        REQUIRE(packet);
        CHECK(tests::lowest_free_fd() == before + 3);
    }
    CHECK(tests::lowest_free_fd() == before);
}

TEST_CASE("packets keep their boundaries") {
    const Pair pair = make_pair();
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("one")));
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("two")));
    CHECK(text_of(base::receive_packet(pair.right.get()).value()) == "one");
    CHECK(text_of(base::receive_packet(pair.right.get()).value()) == "two");
}

TEST_CASE("more descriptors than the receiver has room for are refused and closed") {
    const Pair pair = make_pair();
    const int before = tests::lowest_free_fd();
    send_many(pair.left.get(), base::kMaxPacketFds + 100);
    const auto packet = base::receive_packet(pair.right.get());
    REQUIRE_FALSE(packet);
    CHECK(packet.error().code == EPROTO);
    CHECK(packet.error().what == "packet: descriptors truncated");
    CHECK(tests::lowest_free_fd() == before);
}

TEST_CASE("more descriptors than the caller expects are refused and closed") {
    const Pair pair = make_pair();
    const int before = tests::lowest_free_fd();
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("x"), std::array{0, 0, 0}));
    const auto packet = base::receive_packet(pair.right.get(), 2);
    REQUIRE_FALSE(packet);
    CHECK(packet.error().what == "packet: 3 descriptors where at most 2 belong");
    CHECK(tests::lowest_free_fd() == before);
    // One above the bound fits the slack of the control buffer, so the kernel does not truncate it; the count
    // does.
    send_many(pair.left.get(), base::kMaxPacketFds + 1);
    CHECK_FALSE(base::receive_packet(pair.right.get()));
    CHECK(tests::lowest_free_fd() == before);
}

TEST_CASE("a control message of another type is refused, and descriptors beside it are closed") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const base::UniqueFd left(ends[0]);
    const base::UniqueFd right(ends[1]);
    const int on = 1;
    REQUIRE(::setsockopt(right.get(), SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) == 0);
    const int before = tests::lowest_free_fd();
    REQUIRE(base::send_packet(left.get(), bytes_of("x"), std::array{0}));
    const auto packet = base::receive_packet(right.get());
    REQUIRE_FALSE(packet);
    CHECK(packet.error().what == "packet: unexpected control message");
    CHECK(tests::lowest_free_fd() == before);
}

TEST_CASE("a packet longer than the receiver's bound is refused") {
    const Pair pair = make_pair();
    const std::vector<std::byte> large(base::kMaxPacketBytes + 1);
    CHECK_FALSE(base::send_packet(pair.left.get(), large));
    REQUIRE(::send(pair.left.get(), large.data(), large.size(), 0) > 0);
    const auto packet = base::receive_packet(pair.right.get());
    REQUIRE_FALSE(packet);
    CHECK(packet.error().what == "packet: bytes truncated");
}

TEST_CASE("the sender refuses empty packets and too many descriptors") {
    const Pair pair = make_pair();
    CHECK_FALSE(base::send_packet(pair.left.get(), {}));
    const std::vector<int> fds(base::kMaxPacketFds + 1, 0);
    CHECK_FALSE(base::send_packet(pair.left.get(), bytes_of("x"), fds));
}

TEST_CASE("the kernel vouches for the sender's pid when asked to") {
    const Pair pair = make_pair();
    REQUIRE(base::enable_credentials(pair.right.get()));
    const pid_t child =
        tests::fork_child([&] { return base::send_packet(pair.left.get(), bytes_of("x"), std::array{0}) ? 0 : 1; });
    const auto packet = base::receive_packet(pair.right.get());
    REQUIRE(packet);
    CHECK(packet->sender == child);
    CHECK(packet->fds.size() == 1);
    CHECK(tests::end_of(child) == 0);
}

TEST_CASE("a closed peer is an outcome for the receiver and an error, not a signal, for the sender") {
    Pair pair = make_pair();
    REQUIRE(base::send_packet(pair.left.get(), bytes_of("last")));
    pair.left.reset();
    CHECK(base::receive_packet(pair.right.get())->status == Packet::Status::kReceived);
    CHECK(base::receive_packet(pair.right.get())->status == Packet::Status::kClosed);
    const auto sent = base::send_packet(pair.right.get(), bytes_of("x"));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == EPIPE);
}

TEST_CASE("a non-blocking socket without a packet would block") {
    const Pair pair = make_pair();
    REQUIRE(::fcntl(pair.right.get(), F_SETFL, O_NONBLOCK) == 0);
    CHECK(base::receive_packet(pair.right.get())->status == Packet::Status::kWouldBlock);
}
