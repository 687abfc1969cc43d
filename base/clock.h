#pragma once

// The one clock tach measures with: CLOCK_MONOTONIC, in nanoseconds. Tests that freeze Python's clocks do not
// reach it. Beside it the one that files are stamped by.

#include <cstdint>

namespace tach::base {

inline constexpr std::int64_t kNsPerMs = 1'000'000;
inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

[[nodiscard]] std::int64_t monotonic_ns();

// CLOCK_REALTIME, to be compared with the times of files and with nothing else.
[[nodiscard]] std::int64_t realtime_ns();

// Sleeps that long, or less if a signal handler ran.
void sleep_ns(std::int64_t duration);

}  // namespace tach::base
