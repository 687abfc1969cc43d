#include "supervisor/workers.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace tach::supervisor {
namespace {

std::uint32_t usable_cpus() {
    return std::clamp<std::uint32_t>(std::thread::hardware_concurrency(), 1, kMaxWorkers);
}

// Two CPUs of one core name the same siblings. Where /sys does not say (containers, other architectures),
// every CPU counts as a core.
std::uint32_t usable_cores() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return usable_cpus();
    std::set<std::string> cores;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
        std::string siblings;
        if (!std::getline(file, siblings)) return usable_cpus();
        cores.insert(siblings);
    }
    return std::clamp<std::uint32_t>(static_cast<std::uint32_t>(cores.size()), 1, kMaxWorkers);
}

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::optional<Workers> workers_of(std::int64_t count) {
    if (count < 0 || count > kMaxWorkers) return std::nullopt;
    return Workers{Workers::Kind::kCount, std::max<std::uint32_t>(static_cast<std::uint32_t>(count), 1)};
}

std::optional<Workers> workers_of(std::string_view text) {
    // Python's int() allows blanks around a number, and so xdist takes "-n 4" in one word.
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (text == "auto") return Workers{Workers::Kind::kAuto};
    if (text == "logical") return Workers{Workers::Kind::kLogical};
    const std::optional<std::int64_t> count = number(text);
    return count ? workers_of(*count) : std::nullopt;
}

std::uint32_t worker_count(const Workers& workers) {
    if (workers.kind == Workers::Kind::kCount) return workers.count;
    if (workers.kind == Workers::Kind::kLogical) return usable_cpus();
    if (const char* asked = std::getenv("PYTEST_XDIST_AUTO_NUM_WORKERS"); asked != nullptr) {
        const std::optional<std::int64_t> count = number(asked);
        if (const auto chosen = count ? workers_of(*count) : std::nullopt) return chosen->count;
    }
    return usable_cores();
}

}  // namespace tach::supervisor
