#include "base/work_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "base/clock.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "base/unique_fd.h"

namespace tach::base {
namespace {

constexpr std::size_t kMostWorkers = 256;
constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kReadBytes = std::size_t{1} << 18;
// As much as an ordinary user may ask for (/proc/sys/fs/pipe-max-size), so that workers rarely wait.
constexpr int kPipeBytes = 1 << 20;

// What a worker writes about itself, in memory that all share. Only its own worker writes a slot; the caller reads it
// without any order but that of the pipe, and may see a number that has just been finished: it looks at what arrived.
struct Slot {
    std::atomic<std::uint32_t> number;
    std::atomic<std::int64_t> since_ns;
};

struct Board {
    std::atomic<std::uint32_t> next;
    std::array<Slot, kMostWorkers> slots;
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

struct FrameHead {
    std::uint32_t number;
    std::uint32_t reserved;
    std::uint64_t size;
};
static_assert(sizeof(FrameHead) == 16);

bool write_all(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t written = ::write(fd, bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
    return true;
}

[[noreturn]] void work_until_done(Board& board, std::size_t place, std::uint32_t count, int pipe, pid_t parent,
                                  const WorkPool::Work& work) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before
    const rlimit no_core{};
    ::setrlimit(RLIMIT_CORE, &no_core);
    Slot& slot = board.slots[place];
    std::string frame;
    while (true) {
        const std::uint32_t number = board.next.fetch_add(1, std::memory_order_relaxed);
        if (number >= count) break;
        slot.since_ns.store(monotonic_ns(), std::memory_order_relaxed);
        slot.number.store(number, std::memory_order_release);
        frame.assign(sizeof(FrameHead), '\0');
        work(number, frame);
        const FrameHead head{number, 0, frame.size() - sizeof(FrameHead)};
        std::memcpy(frame.data(), &head, sizeof head);
        if (!write_all(pipe, frame.data(), frame.size())) break;
        slot.number.store(kNone, std::memory_order_release);
    }
    ::_exit(0);
}

struct Worker {
    pid_t pid = -1;
    UniqueFd pipe;
    std::string buffer;
    std::size_t taken = 0;  // of the buffer
    bool timed_out = false;
};

class Run {
  public:
    Run(Board& board, std::uint32_t count, const WorkOptions& options, const WorkPool::Work& work,
        const WorkPool::Take& take)
        : board_(&board), count_(count), options_(options), work_(&work), take_(&take), taken_(count, false) {}

    Result<void> run() {
        const std::size_t wanted =
            std::clamp<std::size_t>(options_.workers, 1, std::min<std::size_t>(kMostWorkers, std::max(count_, 1U)));
        workers_.resize(wanted);
        for (std::size_t place = 0; place < wanted; ++place) {
            if (auto started = start(place); !started && running() == 0) return started;
        }
        if (options_.meanwhile) options_.meanwhile();
        while (running() > 0) step();
        if (board_->next.load(std::memory_order_relaxed) < count_) {
            return fail(Error{ECHILD, "worker processes cannot be started"});
        }
        // Taken by a worker that died before it could say so.
        for (std::uint32_t number = 0; left_ > 0 && number < count_; ++number) {
            if (!taken_[number]) deliver({.number = number, .end = WorkEnd::kCrashed});
        }
        return {};
    }

  private:
    [[nodiscard]] std::size_t running() const {
        return static_cast<std::size_t>(
            std::count_if(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.pid > 0; }));
    }

    Result<void> start(std::size_t place) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error("pipe"));
        UniqueFd reading(ends[0]);
        const UniqueFd writing(ends[1]);
        ::fcntl(writing.get(), F_SETPIPE_SZ, kPipeBytes);
        board_->slots[place].number.store(kNone, std::memory_order_relaxed);
        const pid_t parent = ::getpid();
        const pid_t pid = ::fork();
        if (pid < 0) return fail(errno_error("fork"));
        if (pid == 0) work_until_done(*board_, place, count_, writing.get(), parent, *work_);
        workers_[place] = {.pid = pid, .pipe = std::move(reading), .buffer = {}};
        return {};
    }

    // Waits for bytes, the end of a worker, or the end of the budget of one.
    void step() {
        std::vector<pollfd> polled;
        for (const Worker& worker : workers_) polled.push_back({worker.pid > 0 ? worker.pipe.get() : -1, POLLIN, 0});
        const int ready = ::poll(polled.data(), polled.size(), milliseconds_left());
        for (std::size_t place = 0; ready > 0 && place < workers_.size(); ++place) {
            if (polled[place].revents != 0) receive(place);
        }
        kill_late();
    }

    [[nodiscard]] std::int64_t deadline_of(std::size_t place) const {
        const Slot& slot = board_->slots[place];
        const std::uint32_t number = slot.number.load(std::memory_order_acquire);
        if (workers_[place].pid <= 0 || workers_[place].timed_out || number == kNone) return INT64_MAX;
        return slot.since_ns.load(std::memory_order_relaxed) + options_.budget_ns;
    }

    [[nodiscard]] int milliseconds_left() const {
        constexpr std::int64_t kLongest = 1000;  // a worker that has just begun is seen by then
        std::int64_t left = kLongest;
        const std::int64_t now = monotonic_ns();
        for (std::size_t place = 0; place < workers_.size(); ++place) {
            const std::int64_t deadline = deadline_of(place);
            if (deadline != INT64_MAX) left = std::min(left, (deadline - now) / kNsPerMs + 1);
        }
        return static_cast<int>(std::max<std::int64_t>(left, 0));
    }

    void kill_late() {
        const std::int64_t now = monotonic_ns();
        for (std::size_t place = 0; place < workers_.size(); ++place) {
            if (deadline_of(place) > now) continue;
            workers_[place].timed_out = true;
            ::kill(workers_[place].pid, SIGKILL);
        }
    }

    void receive(std::size_t place) {
        Worker& worker = workers_[place];
        const ssize_t got = ::read(worker.pipe.get(), read_.get(), kReadBytes);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
        if (got > 0) worker.buffer.append(read_.get(), static_cast<std::size_t>(got));
        take_frames(worker);
        if (got <= 0) bury(place);
    }

    void take_frames(Worker& worker) {
        FrameHead head{};
        while (worker.buffer.size() - worker.taken >= sizeof head) {
            std::memcpy(&head, worker.buffer.data() + worker.taken, sizeof head);
            if (worker.buffer.size() - worker.taken - sizeof head < head.size) break;
            const char* const begin = worker.buffer.data() + worker.taken + sizeof head;
            deliver({.number = head.number, .bytes = {begin, static_cast<std::size_t>(head.size)}});
            worker.taken += sizeof head + static_cast<std::size_t>(head.size);
        }
        if (worker.taken == worker.buffer.size()) {
            worker.buffer.clear();
            worker.taken = 0;
        }
    }

    void deliver(const WorkOutcome& outcome) {
        if (outcome.number >= count_ || taken_[outcome.number]) return;  // nonsense from a worker that went astray
        taken_[outcome.number] = true;
        --left_;
        (*take_)(outcome);
    }

    // It has closed its pipe: it is done, or dead.
    void bury(std::size_t place) {
        Worker& worker = workers_[place];
        int status = 0;
        ::kill(worker.pid, SIGKILL);  // work that closed descriptors must not go on
        while (::waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
        }
        worker.pid = -1;
        worker.pipe.reset();
        worker.buffer.clear();
        worker.taken = 0;
        const std::uint32_t number = board_->slots[place].number.load(std::memory_order_acquire);
        if (number == kNone) return;
        deliver({.number = number,
                 .end = worker.timed_out ? WorkEnd::kTimedOut : WorkEnd::kCrashed,
                 .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0});
        if (board_->next.load(std::memory_order_relaxed) < count_) static_cast<void>(start(place));
    }

    Board* board_;
    std::uint32_t count_;
    WorkOptions options_;
    const WorkPool::Work* work_;
    const WorkPool::Take* take_;
    std::vector<bool> taken_;
    std::uint32_t left_ = count_;
    std::vector<Worker> workers_;
    // Not cleared before each read: most reads bring far less than there is room for.
    std::unique_ptr<char[]> read_{new char[kReadBytes]};  // NOLINT(cppcoreguidelines-avoid-c-arrays)
};

}  // namespace

Result<void> WorkPool::run(std::uint32_t count, const WorkOptions& options, const Work& work, const Take& take) {
    if (count == 0) return {};
    auto memory = create_sealed_memfd("tach-work", sizeof(Board));
    if (!memory) return fail(memory.error());
    auto mapping = Mapping::of(memory->get(), sizeof(Board), Access::kReadWrite);
    if (!mapping) return fail(mapping.error());
    auto* const board = new (mapping->data()) Board{};
    return Run(*board, count, options, work, take).run();
}

}  // namespace tach::base
