#pragma once

// What rewinds cost in this run: collected from the workers' reports, told as numbers of --format json and one line of
// -v. Driven by the main loop.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tach::supervisor {

// What one rewind did, as a worker tells it: nine little-endian 64-bit numbers in this order (string 3 of kDone).
struct RewindReport {
    std::int64_t guard_ns = 0;
    std::int64_t scan_ns = 0;
    std::int64_t copy_ns = 0;
    std::int64_t protect_ns = 0;
    std::int64_t dirty_pages = 0;
    std::int64_t hot_pages = 0;
    std::int64_t copied_pages = 0;
    std::int64_t dropped_pages = 0;
    std::int64_t repairs = 0;  // 1: mappings had to be put back

    // Nothing if it is no such report.
    [[nodiscard]] static std::optional<RewindReport> parse(std::string_view bytes);
};

class RewindMetrics {
  public:
    // `reset_ns`: from the end of the test's last phase to where the next test could start.
    void add(std::int64_t reset_ns, const RewindReport& report);
    void condemned() { ++condemned_; }

    // Each quantity as NAME.min, .p50, .p90, .p99 and .max; times in microseconds. Nothing if nothing was rewound.
    void tell(std::map<std::string, double>& metrics) const;
    // "" if nothing was rewound.
    [[nodiscard]] std::string line() const;

  private:
    struct Rewind {
        std::int64_t reset_ns;
        RewindReport report;
    };
    std::vector<Rewind> rewinds_;
    std::uint64_t condemned_ = 0;
};

}  // namespace tach::supervisor
