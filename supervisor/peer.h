#pragma once

// One Python process as the supervisor sees it: its channel, the Unix socket over which descriptors travel, and, once
// it has shaken hands, its pidfd. Owned by the Session; thread-bound.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/fd_passing.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "shm/channel.h"

namespace tach::supervisor {

class Peer {
  public:
    // A process that is about to be started; `handover` are its ends, in the order in which the harness takes them.
    struct Handover {
        base::UniqueFd segment;
        base::UniqueFd wake_supervisor;
        base::UniqueFd wake_process;
        base::UniqueFd socket;
    };
    [[nodiscard]] static base::Result<Peer> create(Handover& handover);

    // Asks this process (a zygote or a base) to fork one that gets `handover`.
    [[nodiscard]] base::Result<void> fork(shm::Kind kind, std::uint32_t item, std::uint32_t a, std::uint32_t b,
                                          const Handover& handover, std::string_view detail = {});

    // Reads the handshake, if it is there: a pidfd, checked against the kernel's word of who sent it. False: not yet,
    // or, with ended() true, never.
    [[nodiscard]] base::Result<bool> shake_hands();
    [[nodiscard]] bool ended() const { return ended_; }

    // After the handshake: the userfaultfd of a process that runs tests in its name, and what belongs to it (see
    // zygote/fault_server.h). Nothing: not yet, or, with ended() true, never again.
    [[nodiscard]] base::Result<std::optional<base::Packet>> receive_userfault();

    [[nodiscard]] base::Result<void> post(shm::Kind kind, std::uint32_t item = shm::kNoItem, std::uint32_t a = 0,
                                          std::uint32_t b = 0, std::span<const std::string_view> strings = {});
    // A message of another process, passed on unchanged.
    [[nodiscard]] base::Result<void> pass_on(const shm::Message& message);

    void kill(int signal) const;  // nothing if it has not shaken hands or has ended
    // The process that runs its test now: the worker, a layer or a forked test. 0: no test runs.
    [[nodiscard]] pid_t top_pid() const;
    [[nodiscard]] std::optional<std::uint32_t> current_item(std::size_t items) const;

    [[nodiscard]] shm::Channel& channel() { return channel_; }
    [[nodiscard]] const shm::Channel& channel() const { return channel_; }
    [[nodiscard]] int socket() const { return socket_.get(); }
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    Peer(shm::Channel channel, base::UniqueFd socket) : channel_(std::move(channel)), socket_(std::move(socket)) {}

    shm::Channel channel_;
    base::UniqueFd socket_;
    base::UniqueFd pidfd_;
    pid_t pid_ = -1;
    bool ended_ = false;
};

}  // namespace tach::supervisor
