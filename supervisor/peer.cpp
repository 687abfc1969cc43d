#include "supervisor/peer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <csignal>

#include "base/fd_passing.h"
#include "base/pidfd.h"
#include "zygote/fault_server.h"

namespace tach::supervisor {

using base::fail;
using base::Result;

Result<Peer> Peer::create(Handover& handover) {
    auto channel = shm::Channel::create();
    if (!channel) return fail(channel.error());
    auto pair = base::create_packet_pair();
    if (!pair) return fail(pair.error());
    auto [ours, theirs] = *std::move(pair);
    if (auto enabled = base::enable_credentials(ours.get()); !enabled) return fail(enabled.error());
    if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return fail(base::errno_error("fcntl F_SETFL"));
    auto shared = channel->share();
    if (!shared) return fail(shared.error());
    handover = {std::move(shared->segment), std::move(shared->wake_supervisor), std::move(shared->wake_process),
                std::move(theirs)};
    return Peer(*std::move(channel), std::move(ours));
}

Result<void> Peer::fork(shm::Kind kind, std::uint32_t item, std::uint32_t a, std::uint32_t b, const Handover& handover,
                        std::string_view detail) {
    if (auto posted = post(kind, item, a, b, {&detail, 1}); !posted) return posted;
    const std::byte packet{1};
    const std::array fds{handover.segment.get(), handover.wake_supervisor.get(), handover.wake_process.get(),
                         handover.socket.get()};
    return base::send_packet(socket_.get(), {&packet, 1}, fds);
}

Result<bool> Peer::shake_hands() {
    if (pidfd_.valid()) return true;
    auto packet = base::receive_packet(socket_.get(), 1);
    if (!packet) return fail(packet.error());
    if (packet->status == base::Packet::Status::kWouldBlock) return false;
    if (packet->status == base::Packet::Status::kClosed) {
        ended_ = true;
        return false;
    }
    if (packet->fds.size() != 1 || !packet->sender) return fail(base::protocol_error("handshake without a pidfd"));
    const auto pid = base::pidfd_pid(packet->fds[0].get());
    if (!pid) return fail(pid.error());
    if (*pid != *packet->sender) {
        return fail(
            base::protocol_error(fmt::format("handshake: process {} sent a pidfd of {}", *packet->sender, *pid)));
    }
    pidfd_ = std::move(packet->fds[0]);
    pid_ = *pid;
    return true;
}

Result<std::optional<base::Packet>> Peer::receive_userfault() {
    auto packet = base::receive_packet(socket_.get(), zygote::FaultServer::kPacketFds);
    if (!packet) return fail(packet.error());
    ended_ = packet->status == base::Packet::Status::kClosed;
    if (packet->status != base::Packet::Status::kReceived) return std::nullopt;
    return *std::move(packet);
}

Result<void> Peer::post(shm::Kind kind, std::uint32_t item, std::uint32_t a, std::uint32_t b,
                        std::span<const std::string_view> strings) {
    shm::MessageHead head{};
    head.kind = static_cast<std::uint16_t>(kind);
    head.item = item;
    head.a = a;
    head.b = b;
    return channel_.post(head, strings);
}

Result<void> Peer::pass_on(const shm::Message& message) {
    return channel_.post(message.head, message.strings);
}

void Peer::kill(int signal) const {
    if (pidfd_.valid()) static_cast<void>(base::send_signal(pidfd_.get(), signal));  // it may have ended meanwhile
}

pid_t Peer::top_pid() const {
    const shm::RunRecord& record = channel_.record();
    if (record.item.load(std::memory_order_acquire) == shm::kNoItem) return 0;
    const pid_t pid = record.top_pid.load(std::memory_order_relaxed);
    return pid > 1 ? pid : 0;  // hostile memory: never a group, never init
}

std::optional<std::uint32_t> Peer::current_item(std::size_t items) const {
    const std::uint32_t item = channel_.record().item.load(std::memory_order_acquire);
    if (item >= items) return std::nullopt;
    return item;
}

}  // namespace tach::supervisor
