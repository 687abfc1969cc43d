#pragma once

// How many worker processes were asked for: pytest-xdist's vocabulary, since that is what people's hands
// know.

#include <cstdint>
#include <optional>
#include <string_view>

namespace tach::supervisor {

// 1024 is a guess at "more than any machine has"; it turns a slip such as `-n 40000` into an error instead of
// 40,000 processes.
inline constexpr std::uint32_t kMaxWorkers = 1024;

struct Workers {
    enum class Kind { kAuto, kLogical, kCount };
    Kind kind = Kind::kAuto;
    std::uint32_t count = 0;  // of kCount: 1 .. kMaxWorkers

    bool operator==(const Workers&) const = default;
};

// What a wrong value's error text asks for.
inline constexpr std::string_view kWorkersWanted = "a number of workers up to 1024, auto (cores) or logical (CPUs)";

std::optional<Workers> workers_of(std::int64_t count);  // 0 is xdist's "no distribution": one worker
std::optional<Workers> workers_of(std::string_view text);

// The number to start, at least 1. auto: physical cores among the CPUs that this process may run on (xdist's
// rule when it can see cores), or PYTEST_XDIST_AUTO_NUM_WORKERS if that is set to a number; logical: those
// CPUs.
std::uint32_t worker_count(const Workers& workers);

}  // namespace tach::supervisor
