#include "shm/channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/eventfd.h"

namespace tach::shm {

namespace {

using base::Waited;

// Where a process keeps the channel's descriptors: above what test suites close and compare in bulk
// (`closerange(3, 256)` is common), below the usual soft limit of 1024. A guess.
constexpr int kQuietDescriptor = 500;

// With its eventfd gone, a side looks at the rings this often. A guess: unnoticed beside a test, cheap for a
// core.
constexpr std::int64_t kBlindSleepNs = base::kNsPerMs;

// A sleeper looks around this often even if nobody wakes it, should the wrong process have drained its
// eventfd.
constexpr int kLongestSleepMs = 500;

base::Result<void> move_up(base::UniqueFd& fd) {
    auto moved = fd.duplicate(kQuietDescriptor);
    if (moved) {
        fd = std::move(*moved);
        return {};
    }
    // EINVAL: RLIMIT_NOFILE is lower. A low number serves as well until a test closes it.
    if (moved.error().code == EINVAL) return {};
    return base::fail(std::move(moved.error()));
}

base::Result<void> check_and_place(ChannelFds& fds, Side side) {
    for (base::UniqueFd* fd : {&fds.wake_supervisor, &fds.wake_process}) {
        auto done = base::check_eventfd(fd->get());
        if (done && side == Side::kProcess) done = move_up(*fd);
        if (!done) return done;
    }
    return side == Side::kProcess ? move_up(fds.segment) : base::Result<void>{};
}

// What the chunks of a message of `total` bytes take in a ring.
std::uint64_t ring_bytes_of(std::uint64_t total) {
    const std::uint64_t rest = total % kMaxChunk;
    return total / kMaxChunk * record_size(kMaxChunk) + (rest == 0 ? 0 : record_size(rest));
}

}  // namespace

static_assert(kMaxChunk <= max_payload(kRingBytes));

Channel::Channel(Segment segment, ChannelFds fds, Side side, std::optional<ProducerMark> mark)
    : segment_(std::move(segment)), fds_(std::move(fds)), side_(side), mark_(std::move(mark)) {
    if (side_ == Side::kSupervisor) {
        out_ = RingWriter(segment_.command_ring(), Positions::kPrivate);
        in_ = RingReader(segment_.event_ring(), Positions::kPrivate);
    } else {
        out_ = RingWriter(segment_.event_ring(), Positions::kShared);
        in_ = RingReader(segment_.command_ring(), Positions::kShared);
    }
}

base::Result<Channel> Channel::create() {
    auto segment = Segment::create();
    if (!segment) return base::fail(std::move(segment.error()));
    auto wake_supervisor = base::create_eventfd();
    if (!wake_supervisor) return base::fail(std::move(wake_supervisor.error()));
    auto wake_process = base::create_eventfd();
    if (!wake_process) return base::fail(std::move(wake_process.error()));
    ChannelFds fds{{}, std::move(*wake_supervisor), std::move(*wake_process)};
    return Channel(std::move(*segment), std::move(fds), Side::kSupervisor, std::nullopt);
}

base::Result<Channel> Channel::attach(ChannelFds fds, Side side) {
    auto checked = check_and_place(fds, side);
    if (!checked) return base::fail(std::move(checked.error()));
    auto segment = Segment::attach(std::move(fds.segment));
    if (!segment) return base::fail(std::move(segment.error()));
    std::optional<ProducerMark> mark;
    if (side == Side::kProcess) {
        auto created = ProducerMark::create();
        if (!created) return base::fail(std::move(created.error()));
        mark = std::move(*created);
    }
    return Channel(std::move(*segment), std::move(fds), side, std::move(mark));
}

base::Result<ChannelFds> Channel::share() const {
    auto segment = segment_.fd().duplicate();
    if (!segment) return base::fail(std::move(segment.error()));
    auto wake_supervisor = fds_.wake_supervisor.duplicate();
    if (!wake_supervisor) return base::fail(std::move(wake_supervisor.error()));
    auto wake_process = fds_.wake_process.duplicate();
    if (!wake_process) return base::fail(std::move(wake_process.error()));
    return ChannelFds{std::move(*segment), std::move(*wake_supervisor), std::move(*wake_process)};
}

// True: written. False: no room, and wanted_room_ says for what.
template <class Source>
base::Result<bool> Channel::push_chunk(Source& source, bool first, Wake wake) {
    const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(source.left(), kMaxChunk));
    auto slot = out_.reserve(length);
    if (!slot) return base::fail(std::move(slot.error()));
    if (!*slot) {
        wanted_room_ = length;
        return false;
    }
    source.take((*slot)->first);
    source.take((*slot)->second);
    wanted_room_ = 0;
    const std::uint32_t tag = (first ? kFirstChunk : 0) | (source.left() == 0 ? kLastChunk : 0);
    if (wake == Wake::kWithNext) {
        out_.publish(tag);
    } else if (out_.commit(tag)) {
        wake_peer();
    }
    return true;
}

base::Result<Sent> Channel::try_send(const MessageHead& head, std::span<const std::string_view> strings) {
    if (!is_producer()) return Sent::kNotProducer;
    auto message = Outgoing::of(head, strings);
    if (!message) return base::fail(std::move(message.error()));
    const std::uint64_t needed = ring_bytes_of(message->total());
    if (needed > kRingBytes) {
        return base::fail(base::errno_error("send a message larger than the ring", EMSGSIZE));
    }
    if (has_backlog() || needed > out_.free_bytes()) {
        wanted_room_ = static_cast<std::uint32_t>(needed - sizeof(RecordHead));
        return Sent::kFull;
    }
    for (bool first = true; message->left() != 0; first = false) {
        auto pushed = push_chunk(*message, first);
        if (!pushed) return base::fail(std::move(pushed.error()));
        if (!*pushed) return base::fail(base::protocol_error("ring: tail moved backwards"));
    }
    return Sent::kSent;
}

base::Result<Sent> Channel::send(const MessageHead& head, std::span<const std::string_view> strings, Wake wake) {
    if (!is_producer()) return Sent::kNotProducer;
    auto message = Outgoing::of(head, strings);
    if (!message) return base::fail(std::move(message.error()));
    bool first = true;
    while (message->left() != 0) {
        auto pushed = push_chunk(*message, first, wake);
        if (!pushed) return base::fail(std::move(pushed.error()));
        if (*pushed) {
            first = false;
        } else if (out_.may_sleep(wanted_room_)) {
            wake_if_asleep();
            sleep_on_fd(kLongestSleepMs);
            out_.awake();
        }
    }
    return Sent::kSent;
}

void Channel::Queued::take(std::span<std::byte> out) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data() + taken, out.size());
    taken += out.size();
}

base::Result<void> Channel::post(const MessageHead& head, std::span<const std::string_view> strings) {
    auto message = Outgoing::of(head, strings);
    if (!message) return base::fail(std::move(message.error()));
    bool first = true;
    while (!has_backlog() && message->left() != 0) {
        auto pushed = push_chunk(*message, first);
        if (!pushed) return base::fail(std::move(pushed.error()));
        if (!*pushed) break;
        first = false;
    }
    if (message->left() == 0) return {};
    Queued& queued = backlog_.emplace_back();
    queued.begun = !first;
    queued.bytes.resize(message->left());
    message->take(queued.bytes);
    backlog_bytes_ += queued.bytes.size();
    return flush_backlog();  // announces that we wait for room
}

// True: all of it was sent. False: no room, and the process will wake us when there is some.
base::Result<bool> Channel::push_queued(Queued& queued) {
    bool room_promised = false;
    while (queued.left() != 0) {
        const std::size_t before = queued.left();
        auto pushed = push_chunk(queued, !queued.begun);
        if (!pushed) return base::fail(std::move(pushed.error()));
        if (*pushed) {
            queued.begun = true;
            backlog_bytes_ -= before - queued.left();
            room_promised = false;
            continue;
        }
        if (room_promised) return base::fail(base::protocol_error("ring: tail moved backwards"));
        if (out_.may_sleep(wanted_room_)) return false;
        room_promised = true;
    }
    return true;
}

base::Result<void> Channel::flush_backlog() {
    while (!backlog_.empty()) {
        auto sent = push_queued(backlog_.front());
        if (!sent) return base::fail(std::move(sent.error()));
        if (!*sent) return {};
        backlog_.pop_front();
    }
    return {};
}

base::Result<std::optional<Message>> Channel::receive() {
    std::size_t taken = 0;
    while (taken < kRingBytes) {
        auto record = in_.peek();
        if (!record) return base::fail(std::move(record.error()));
        if (!*record) {
            if (side_ == Side::kProcess || in_.may_sleep()) return std::nullopt;
            taken += sizeof(RecordHead);  // a head that is there in one look and gone in the next must not hold us
            continue;
        }
        taken += record_size((*record)->size());
        auto message = assembler_.add(**record);
        if (in_.consume()) wake_peer();
        if (!message || *message) return message;
    }
    base::signal_eventfd(wake_fd());
    return std::nullopt;
}

bool Channel::wait(int timeout_ms) {
    const std::int64_t deadline = base::monotonic_ns() + timeout_ms * base::kNsPerMs;
    while (true) {
        const bool may_sleep = in_.may_sleep() && (wanted_room_ == 0 || out_.may_sleep(wanted_room_));
        const std::int64_t left_ms =
            timeout_ms < 0 ? kLongestSleepMs : (deadline - base::monotonic_ns() + base::kNsPerMs - 1) / base::kNsPerMs;
        Waited waited = Waited::kTimeout;
        if (may_sleep && left_ms > 0) {
            if (out_.free_bytes() < kRingBytes) wake_if_asleep();  // what was sent with Wake::kWithNext
            waited = sleep_on_fd(static_cast<int>(std::min<std::int64_t>(left_ms, kLongestSleepMs)));
        }
        in_.awake();
        out_.awake();
        if (!may_sleep) {
            wanted_room_ = 0;
            return true;
        }
        if (left_ms <= 0 || waited == Waited::kInterrupted) return false;
    }
}

base::Waited Channel::sleep_on_fd(int timeout_ms) {
    // A test may have closed the descriptor, and its own file may have got the number.
    if (base::looks_like_eventfd(wake_fd())) {
        const Waited waited = base::wait_readable(wake_fd(), timeout_ms);
        if (waited == Waited::kReadable) base::drain_eventfd(wake_fd());
        if (waited != Waited::kLost) return waited;
    }
    base::sleep_ns(std::min(timeout_ms * base::kNsPerMs, kBlindSleepNs));
    return Waited::kTimeout;
}

void Channel::wake_if_asleep() {
    if (out_.claim_reader()) wake_peer();
}

void Channel::wake_peer() {
    const int fd = side_ == Side::kSupervisor ? fds_.wake_process.get() : fds_.wake_supervisor.get();
    if (base::looks_like_eventfd(fd)) base::signal_eventfd(fd);
}

int Channel::wake_fd() const {
    return side_ == Side::kSupervisor ? fds_.wake_supervisor.get() : fds_.wake_process.get();
}

void Channel::acknowledge_wake() {
    base::drain_eventfd(wake_fd());
    in_.awake();
}

void Channel::adopt() {
    if (mark_) mark_->adopt();
    wanted_room_ = 0;
}

}  // namespace tach::shm
