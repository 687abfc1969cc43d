#pragma once

// Waiting for threads that are on their way out.
//
// A thread that was joined may still be in the kernel, or even (Python's threads, before 3.13) in the C library: it is
// listed for a moment after join() returned. No allocation; async-signal-safe if `is_done` is.

#include <cstdint>

#include "base/clock.h"

namespace tach::zygote {

constexpr std::int64_t kThreadGraceNs = 100 * base::kNsPerMs;
constexpr std::int64_t kThreadPollNs = 50'000;

// False if is_done() still says so after the grace.
template <class IsDone>
[[nodiscard]] bool await_threads(const IsDone& is_done) {
    const std::int64_t deadline = base::monotonic_ns() + kThreadGraceNs;
    while (!is_done()) {
        if (base::monotonic_ns() > deadline) return false;
        base::sleep_ns(kThreadPollNs);
    }
    return true;
}

}  // namespace tach::zygote
