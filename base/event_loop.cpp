#include "base/event_loop.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <limits>
#include <string>

#include "base/clock.h"

namespace tach::base {

namespace {

// What a call of epoll_wait can return at most; more arrive with the next one. A guess.
constexpr int kEventsAtOnce = 64;

constexpr int kGenerationShift = 32;

epoll_event make_event(int fd, std::uint32_t generation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (std::uint64_t{generation} << kGenerationShift) | static_cast<std::uint32_t>(fd);
    return event;
}

}  // namespace

// Defaulted here and not in the header: inlined into callers, the hash map's own storage makes GCC 12 see a
// deletion of something that was never allocated (-Wfree-nonheap-object).
EventLoop::EventLoop(EventLoop&&) noexcept = default;
EventLoop& EventLoop::operator=(EventLoop&&) noexcept = default;
EventLoop::~EventLoop() = default;

Result<EventLoop> EventLoop::create() {
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) return fail(errno_error("epoll_create1"));
    return EventLoop(std::move(epoll));
}

Result<void> EventLoop::add(int fd, std::uint32_t events, OnEvents callback) {
    const std::uint32_t generation = ++next_generation_;
    epoll_event event = make_event(fd, generation, events);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail(errno_error("watch descriptor " + std::to_string(fd)));
    }
    watches_[fd] = std::make_shared<Watch>(Watch{std::move(callback), generation});
    return {};
}

Result<void> EventLoop::change(int fd, std::uint32_t events) {
    const auto watch = watches_.find(fd);
    if (watch == watches_.end()) return fail(errno_error("watch descriptor " + std::to_string(fd), ENOENT));
    epoll_event event = make_event(fd, watch->second->generation, events);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
        return fail(errno_error("watch descriptor " + std::to_string(fd)));
    }
    return {};
}

void EventLoop::remove(int fd) {
    if (watches_.erase(fd) == 0) return;
    // Fails only if the descriptor was closed first, and then the kernel has removed it.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::at(std::int64_t deadline_ns, OnDeadline callback) {
    const TimerId id(deadline_ns, next_timer_++);
    timers_.emplace(id, std::move(callback));
    return id;
}

EventLoop::TimerId EventLoop::after(std::int64_t delay_ns, OnDeadline callback) {
    return at(monotonic_ns() + delay_ns, std::move(callback));
}

void EventLoop::postpone(std::int64_t ns) {
    std::map<TimerId, OnDeadline> later;
    for (auto& [id, callback] : timers_) later.emplace(TimerId(id.first + ns, id.second), std::move(callback));
    timers_ = std::move(later);
}

void EventLoop::cancel(const TimerId& timer) {
    timers_.erase(timer);
}

int EventLoop::sleep_ms(int timeout_ms) const {
    if (timers_.empty()) return timeout_ms;
    const std::int64_t left = timers_.begin()->first.first - monotonic_ns();
    if (left <= 0) return 0;
    // Rounded up: woken a fraction of a millisecond early, the loop would spin until the deadline.
    const std::int64_t rounded = (left - 1) / kNsPerMs + 1;
    const int due = static_cast<int>(std::min<std::int64_t>(rounded, std::numeric_limits<int>::max()));
    return timeout_ms < 0 ? due : std::min(due, timeout_ms);
}

void EventLoop::dispatch(const epoll_event& event) {
    const auto watch = watches_.find(static_cast<int>(event.data.u64 & 0xffffffffU));
    if (watch == watches_.end() || watch->second->generation != event.data.u64 >> kGenerationShift) return;
    const std::shared_ptr<Watch> alive = watch->second;
    alive->callback(event.events);
}

void EventLoop::fire_due() {
    const std::int64_t now = monotonic_ns();
    // What a callback adds is served in the next round, or a deadline in the past could keep descriptors
    // waiting.
    const std::uint64_t limit = next_timer_;
    while (true) {
        const auto due = std::find_if(timers_.begin(), timers_.end(), [&](const auto& timer) {
            return timer.first.first > now || timer.first.second < limit;
        });
        if (due == timers_.end() || due->first.first > now) return;
        const auto node = timers_.extract(due);
        node.mapped()();
    }
}

Result<void> EventLoop::run_once(int timeout_ms) {
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, sleep_ms(timeout_ms));
    if (count < 0 && errno != EINTR) return fail(errno_error("epoll_wait"));
    for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)]);
    fire_due();
    return {};
}

Result<void> EventLoop::run() {
    stopped_ = false;
    while (!stopped_) {
        auto done = run_once(-1);
        if (!done) return done;
    }
    return {};
}

Result<UniqueFd> open_signalfd(std::initializer_list<int> signals) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : signals) ::sigaddset(&set, signal);
    const int failed = ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    if (failed != 0) return fail(errno_error("block signals", failed));
    UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid()) return fail(errno_error("signalfd"));
    return fd;
}

Result<std::optional<int>> read_signal(int signalfd) {
    signalfd_siginfo info{};
    const ssize_t count = ::read(signalfd, &info, sizeof(info));
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    if (count != sizeof(info)) return fail(errno_error("read a signalfd"));
    return static_cast<int>(info.ssi_signo);
}

}  // namespace tach::base
