#include "base/fd_passing.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tach::base {

namespace {

constexpr std::size_t kRightsSpace = CMSG_SPACE(kMaxPacketFds * sizeof(int));

// Takes ownership of the descriptors of one SCM_RIGHTS control message.
void take_fds(const cmsghdr& header, std::vector<UniqueFd>& fds) {
    const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(&header) + i * sizeof(int), sizeof(fd));
        fds.emplace_back(fd);
    }
}

// Walks all control messages, even after a bad one: descriptors behind it must be owned to be closed. Says
// whether all were of a known type.
bool take_control(msghdr& message, Packet& packet) {
    bool known = true;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        const bool socket_level = header->cmsg_level == SOL_SOCKET;
        if (socket_level && header->cmsg_type == SCM_RIGHTS) {
            take_fds(*header, packet.fds);
        } else if (socket_level && header->cmsg_type == SCM_CREDENTIALS &&
                   header->cmsg_len == CMSG_LEN(sizeof(ucred))) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
            packet.sender = credentials.pid;
        } else {
            known = false;
        }
    }
    return known;
}

ssize_t receive_retrying(int socket, msghdr& message) {
    ssize_t count = -1;
    do {
        count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    return count;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> create_packet_pair() {
    std::array<int, 2> fds{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) {
        return fail(errno_error("socketpair"));
    }
    return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<void> enable_credentials(int socket) {
    const int on = 1;
    if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
        return fail(errno_error("set SO_PASSCRED"));
    }
    return {};
}

Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
    if (bytes.empty() || bytes.size() > kMaxPacketBytes || fds.size() > kMaxPacketFds) {
        return fail(errno_error("send a packet", EMSGSIZE));
    }
    alignas(cmsghdr) std::array<std::byte, kRightsSpace> control{};
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // sendmsg only reads it
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    ssize_t sent = -1;
    do {
        sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail(errno_error("send a packet"));
    return {};
}

Result<Packet> receive_packet(int socket, std::size_t max_fds) {
    max_fds = std::min(max_fds, kMaxPacketFds);
    alignas(cmsghdr) std::array<std::byte, kRightsSpace + CMSG_SPACE(sizeof(ucred))> control{};
    Packet packet;
    packet.bytes.resize(kMaxPacketBytes);
    iovec part{packet.bytes.data(), packet.bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();

    const ssize_t count = receive_retrying(socket, message);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return Packet{.status = Packet::Status::kWouldBlock};
    }
    if (count < 0 && errno == ECONNRESET) return Packet{.status = Packet::Status::kClosed};
    if (count < 0) return fail(errno_error("receive a packet"));

    // Own the descriptors before anything can return, so that every way out closes them.
    const bool known = take_control(message, packet);
    if ((message.msg_flags & MSG_CTRUNC) != 0) return fail(protocol_error("packet: descriptors truncated"));
    if ((message.msg_flags & MSG_TRUNC) != 0) return fail(protocol_error("packet: bytes truncated"));
    if (!known) return fail(protocol_error("packet: unexpected control message"));
    if (packet.fds.size() > max_fds) {
        return fail(protocol_error("packet: " + std::to_string(packet.fds.size()) + " descriptors where at most " +
                                   std::to_string(max_fds) + " belong"));
    }
    if (count == 0) return Packet{.status = Packet::Status::kClosed};
    packet.bytes.resize(static_cast<std::size_t>(count));
    return packet;
}

}  // namespace tach::base
