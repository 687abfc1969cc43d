#pragma once

// One epoll dispatcher, with deadlines: the supervisor's and the keeper's main loop. Thread-bound; callbacks
// run on the thread that calls run() or run_once(), one at a time, and may add, change and remove descriptors
// and deadlines, their own included. A callback whose descriptor was removed is not called again, not even
// for an event that had arrived already, and not if the number was reused and added anew meanwhile. The loop
// borrows descriptors: remove first, close afterwards. Times are those of monotonic_ns().

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

class EventLoop {
  public:
    using OnEvents = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLHUP, ...
    using OnDeadline = std::function<void()>;
    // A deadline and a number: unique, ordered by time.
    using TimerId = std::pair<std::int64_t, std::uint64_t>;

    [[nodiscard]] static Result<EventLoop> create();

    EventLoop(EventLoop&&) noexcept;
    EventLoop& operator=(EventLoop&&) noexcept;
    ~EventLoop();

    // Level-triggered unless `events` says otherwise. One callback for each descriptor.
    [[nodiscard]] Result<void> add(int fd, std::uint32_t events, OnEvents callback);
    [[nodiscard]] Result<void> change(int fd, std::uint32_t events);
    void remove(int fd);  // does nothing if it was not added

    // Calls back once, at `deadline_ns` or soon after.
    TimerId at(std::int64_t deadline_ns, OnDeadline callback);
    TimerId after(std::int64_t delay_ns, OnDeadline callback);
    // All deadlines that there are come so much later: this process was stopped.
    void postpone(std::int64_t ns);
    void cancel(const TimerId& timer);  // does nothing if it has fired, or was postponed

    // Handles what is ready or due, sleeping for it at most `timeout_ms` (< 0: for ever).
    [[nodiscard]] Result<void> run_once(int timeout_ms);

    // Until a callback calls stop().
    [[nodiscard]] Result<void> run();
    void stop() { stopped_ = true; }

  private:
    struct Watch {
        OnEvents callback;
        std::uint32_t generation;
    };

    explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
    [[nodiscard]] int sleep_ms(int timeout_ms) const;
    void dispatch(const epoll_event& event);
    void fire_due();

    UniqueFd epoll_;
    std::unordered_map<int, std::shared_ptr<Watch>> watches_;  // shared: a callback may remove itself while it runs
    std::map<TimerId, OnDeadline> timers_;
    std::uint64_t next_timer_ = 0;
    std::uint32_t next_generation_ = 0;
    bool stopped_ = false;
};

// Blocks the signals in this thread (call it before any other thread exists) and gives a non-blocking,
// close-on-exec descriptor that reads them. Children inherit the blocked mask: whoever execs must unblock.
[[nodiscard]] Result<UniqueFd> open_signalfd(std::initializer_list<int> signals);

// The next signal that arrived, or nothing.
[[nodiscard]] Result<std::optional<int>> read_signal(int signalfd);

}  // namespace tach::base
