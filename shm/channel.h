#pragma once

// The channel between the supervisor and one Python process: commands one way, events the other, as messages.
//
// The supervisor creates it, passes share() on with SCM_RIGHTS, watches wake_fd() for EPOLLIN, and on it
// calls acknowledge_wake(), flush_backlog() and receive() until receive() gives nothing. It never blocks:
// what does not fit into the command ring is queued in its own memory, in order. The process attaches, blocks
// in send() while the event ring is full, and sleeps in wait() for commands.
//
// A side that is awake costs the other no system call: the eventfd is written only when its owner has said,
// in shared memory, that it may be asleep. receive() on the supervisor's side says so whenever it gives
// nothing; wait() and send() on the process's side while they sleep.
//
// A test may close the process's descriptors. wait() and send() then sleep in small steps instead. If the
// supervisor's eventfd is gone, nothing can wake the supervisor: it must call receive() from time to time
// (deadlines, the process's pidfd), and always once more after the process's death.
//
// Processes that take turns at the process's side (a worker, its forked test, the worker again) use copies of
// one Channel; a child calls adopt() first. send() in any other child does nothing and says so.
//
// Errors: nonsense in shared memory has code EPROTO; the peer is to be treated as dead. Thread-bound.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/eventfd.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "shm/codec.h"
#include "shm/message.h"
#include "shm/producer_mark.h"
#include "shm/ring.h"
#include "shm/segment.h"

namespace tach::shm {

struct ChannelFds {
    base::UniqueFd segment;
    base::UniqueFd wake_supervisor;
    base::UniqueFd wake_process;
};

enum class Side { kSupervisor, kProcess };

// Whether a sleeping supervisor is told at once, or with the next message that is sent so (or when the process waits).
enum class Wake { kNow, kWithNext };

enum class Sent {
    kSent,
    kFull,         // try_send only: nothing was written
    kNotProducer,  // this process is a child that has not adopted the channel: nothing was written
};

class Channel {
  public:
    // The supervisor's side of a new channel.
    [[nodiscard]] static base::Result<Channel> create();

    // Checks what was sent (size, seals, version, geometry, kinds of descriptor) and maps it. On the
    // process's side the calling process becomes the producer, and the descriptors move to high numbers, out
    // of the way of tests.
    [[nodiscard]] static base::Result<Channel> attach(ChannelFds fds, Side side);

    // Duplicates to pass on.
    [[nodiscard]] base::Result<ChannelFds> share() const;

    // Sends all of the message at once or nothing. A message that cannot fit an empty ring is an error
    // (EMSGSIZE).
    [[nodiscard]] base::Result<Sent> try_send(const MessageHead& head, std::span<const std::string_view> strings);

    // Process's side: sends all of it, sleeping while the ring is full. A signal does not interrupt it.
    [[nodiscard]] base::Result<Sent> send(const MessageHead& head, std::span<const std::string_view> strings,
                                          Wake wake = Wake::kNow);

    // Supervisor's side: sends what fits and queues the rest, behind what is queued already.
    [[nodiscard]] base::Result<void> post(const MessageHead& head, std::span<const std::string_view> strings);
    [[nodiscard]] base::Result<void> flush_backlog();
    [[nodiscard]] bool has_backlog() const { return !backlog_.empty(); }
    [[nodiscard]] std::size_t backlog_bytes() const { return backlog_bytes_; }

    // The next complete message. Bounded work: a flood of chunks that complete nothing gives nothing after a
    // ring's worth, and the supervisor's wake_fd() stays readable.
    [[nodiscard]] base::Result<std::optional<Message>> receive();

    // Process's side: sleeps until a command is there (or, after try_send gave kFull, room for it);
    // timeout_ms < 0: for ever. False: the time is over or a signal handler ran (the caller looks at its
    // clock and its signals).
    [[nodiscard]] bool wait(int timeout_ms);

    [[nodiscard]] int wake_fd() const;
    void acknowledge_wake();

    // Makes the calling process the producer on the process's side; see producer_mark.h. A message that the
    // process before left unfinished is dropped by the reader when the next one begins.
    void adopt();
    [[nodiscard]] bool is_producer() const { return !mark_ || mark_->is_producer(); }

    // In the header page; lives as long as the channel.
    [[nodiscard]] RunRecord& record() const { return segment_.header().record; }
    [[nodiscard]] Verdict& verdict() const { return segment_.header().verdict; }
    [[nodiscard]] Orders& orders() const { return segment_.header().orders; }

  private:
    struct Queued {
        std::vector<std::byte> bytes;  // of a serialised message
        std::size_t taken = 0;
        bool begun = false;  // its first chunk has been sent

        [[nodiscard]] std::size_t left() const { return bytes.size() - taken; }
        void take(std::span<std::byte> out);
    };

    Channel(Segment segment, ChannelFds fds, Side side, std::optional<ProducerMark> mark);

    template <class Source>
    [[nodiscard]] base::Result<bool> push_chunk(Source& source, bool first, Wake wake = Wake::kNow);
    [[nodiscard]] base::Result<bool> push_queued(Queued& queued);
    void wake_peer();
    void wake_if_asleep();
    base::Waited sleep_on_fd(int timeout_ms);

    Segment segment_;
    ChannelFds fds_;  // .segment is unused: the Segment has it
    Side side_;
    std::optional<ProducerMark> mark_;  // process's side
    RingWriter out_;
    RingReader in_;
    Assembler assembler_;
    std::uint32_t wanted_room_ = 0;  // after kFull: payload of the record that found no room
    std::deque<Queued> backlog_;
    std::size_t backlog_bytes_ = 0;
};

}  // namespace tach::shm
