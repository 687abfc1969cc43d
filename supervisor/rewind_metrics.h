#pragma once

// What rewinds cost in this run: collected from the workers' reports, told as numbers of --format json and one line of
// -v. Driven by the main loop.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shm/rewind_report.h"

namespace tach::supervisor {

class RewindMetrics {
  public:
    // `reset_ns`: from the end of the test's last phase to where the next test could start.
    void add(std::int64_t reset_ns, const shm::RewindReport& report);
    void condemned(const std::string& why) { ++condemned_[why]; }
    void respawned() { ++respawned_; }

    // Each quantity as NAME.min, .p50, .p90, .p99 and .max; times in microseconds. Nothing if nothing was rewound.
    void tell(std::map<std::string, double>& metrics) const;
    // "" if nothing was rewound.
    [[nodiscard]] std::string line() const;

  private:
    struct Rewind {
        std::int64_t reset_ns;
        shm::RewindReport report;
    };
    [[nodiscard]] double sum(std::int64_t shm::RewindReport::*field) const;

    std::vector<Rewind> rewinds_;
    std::map<std::string, std::uint64_t> condemned_;  // by reason
    std::uint64_t respawned_ = 0;
};

}  // namespace tach::supervisor
