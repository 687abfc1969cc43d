#include "base/clock.h"

#include <ctime>

namespace tach::base {

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

std::int64_t realtime_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

void sleep_ns(std::int64_t duration) {
    if (duration <= 0) return;
    const timespec length{.tv_sec = duration / kNsPerSecond, .tv_nsec = duration % kNsPerSecond};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &length, nullptr);
}

}  // namespace tach::base
