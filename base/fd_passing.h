#pragma once

// The one sender and the one receiver of descriptors (SCM_RIGHTS) in tach, over Unix socket pairs that keep
// packet boundaries (SOCK_SEQPACKET, SOCK_DGRAM). Used by the supervisor, the keeper and the Python processes
// alike.
//
// The receiver trusts nothing: descriptors arrive close-on-exec, truncation of bytes or of descriptors
// (MSG_TRUNC, MSG_CTRUNC), an unexpected control message and a surplus of descriptors are errors of code
// EPROTO, after which the caller drops the peer; whatever had arrived by then is closed. A Packet owns its
// descriptors.

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// The widest packet so far is a worker's handshake (userfaultfd, pagemap, golden image, pidfd); the rest is
// room. The kernel's own bound (SCM_MAX_FD) is 253.
inline constexpr std::size_t kMaxPacketFds = 16;

// A guess, well above any handshake's text and below the default socket buffer (212,992 bytes).
inline constexpr std::size_t kMaxPacketBytes = 65536;

struct Packet {
    enum class Status {
        kReceived,
        kClosed,      // the other end is closed and everything it sent was received
        kWouldBlock,  // only from a non-blocking socket
    };
    Status status = Status::kReceived;
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> fds;
    std::optional<pid_t> sender;  // checked by the kernel; present when enable_credentials was called on this end
};

// A connected pair, close-on-exec.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> create_packet_pair();

// From now on every packet received on this end tells its sender's pid (in this process's pid namespace).
[[nodiscard]] Result<void> enable_credentials(int socket);

// Sends one packet: at least one byte (an empty packet would look like the end), at most kMaxPacketBytes and
// kMaxPacketFds. Blocks while the socket's buffer is full, unless the socket is non-blocking (code EAGAIN); a
// closed peer is an error of code EPIPE or ECONNRESET and raises no signal.
[[nodiscard]] Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> fds = {});

// Receives one packet with at most `max_fds` descriptors (kMaxPacketFds at most).
[[nodiscard]] Result<Packet> receive_packet(int socket, std::size_t max_fds = kMaxPacketFds);

}  // namespace tach::base
