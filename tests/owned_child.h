#pragma once

// Forked children that do not outlive their owner, and waiting for what another process does.

#include <csignal>
#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "tests/child.h"

namespace tach::tests {

// When a test gives up waiting: far beyond what a slow machine needs, so that it only ends tests that have failed. A
// guess.
inline constexpr int kGuardMs = 60'000;

class OwnedChild {
  public:
    template <class Body>
    explicit OwnedChild(Body&& body) : pid_(fork_child(std::forward<Body>(body))) {}
    ~OwnedChild() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        static_cast<void>(end());
    }
    OwnedChild(const OwnedChild&) = delete;
    OwnedChild& operator=(const OwnedChild&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    // Waits for it: its exit status, or minus the signal that killed it. Once only.
    [[nodiscard]] int end() { return end_of(std::exchange(pid_, -1)); }

  private:
    pid_t pid_;
};

// Looks until the condition holds; false if it never does.
template <class Condition>
[[nodiscard]] bool eventually(const Condition& condition) {
    const std::int64_t deadline = base::monotonic_ns() + kGuardMs * base::kNsPerMs;
    while (!condition()) {
        if (base::monotonic_ns() > deadline) return false;
        base::sleep_ns(base::kNsPerMs);
    }
    return true;
}

}  // namespace tach::tests
