#include "supervisor/rewind_metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace tach::supervisor {
namespace {

// The value nearest to that share of the way through `sorted`, which is not empty.
double percentile(const std::vector<double>& sorted, double share) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return sorted[static_cast<std::size_t>(share * last + 0.5)];
}

double microseconds(std::int64_t ns) {
    return static_cast<double>(ns) / 1e3;
}

}  // namespace

void RewindMetrics::add(std::int64_t reset_ns, const shm::RewindReport& report) {
    rewinds_.push_back({reset_ns, report});
}

void RewindMetrics::tell(std::map<std::string, double>& metrics) const {
    for (const auto& [why, times] : condemned_) metrics["condemned." + why] = static_cast<double>(times);
    if (respawned_ > 0) metrics["fresh_processes"] = static_cast<double>(respawned_);
    if (rewinds_.empty()) return;
    const auto all = [&](const std::string& name, const auto& value_of) {
        std::vector<double> values;
        values.reserve(rewinds_.size());
        for (const Rewind& rewind : rewinds_) values.push_back(value_of(rewind));
        std::sort(values.begin(), values.end());
        metrics[name + ".min"] = values.front();
        metrics[name + ".p50"] = percentile(values, 0.5);
        metrics[name + ".p90"] = percentile(values, 0.9);
        metrics[name + ".p99"] = percentile(values, 0.99);
        metrics[name + ".max"] = values.back();
    };
    metrics["rewinds"] = static_cast<double>(rewinds_.size());
    all("reset_us", [](const Rewind& r) { return microseconds(r.reset_ns); });
    all("reset_guard_us", [](const Rewind& r) { return microseconds(r.report.guard_ns); });
    all("reset_scan_us", [](const Rewind& r) { return microseconds(r.report.scan_ns); });
    all("reset_copy_us", [](const Rewind& r) { return microseconds(r.report.copy_ns); });
    all("reset_protect_us", [](const Rewind& r) { return microseconds(r.report.protect_ns); });
    all("dirty_pages", [](const Rewind& r) { return static_cast<double>(r.report.dirty_pages); });
    all("hot_pages", [](const Rewind& r) { return static_cast<double>(r.report.hot_pages); });
    all("faults", [](const Rewind& r) { return static_cast<double>(r.report.faults); });
    all("layers", [](const Rewind& r) { return static_cast<double>(r.report.layers); });
    metrics["map_repairs"] = sum(&shm::RewindReport::repairs);
    metrics["reimports"] = sum(&shm::RewindReport::imports);
    metrics["fetched_pages"] = sum(&shm::RewindReport::fetched_pages);
    double hot = 0;
    double written = 0;
    for (const Rewind& rewind : rewinds_) {
        if (rewind.report.hot_written < 0) continue;
        hot += static_cast<double>(rewind.report.hot_pages);
        written += static_cast<double>(rewind.report.hot_written);
    }
    if (hot > 0) metrics["hot_hit_rate"] = written / hot;
}

double RewindMetrics::sum(std::int64_t shm::RewindReport::*field) const {
    double total = 0;
    for (const Rewind& rewind : rewinds_) total += static_cast<double>(rewind.report.*field);
    return total;
}

std::string RewindMetrics::line() const {
    std::map<std::string, double> m;
    tell(m);
    if (rewinds_.empty()) return {};
    return fmt::format(
        "{} rewinds, median {:.0f} us (guard {:.0f}, scan {:.0f}, copy {:.0f}, protect {:.0f}), 99 % within {:.0f} us; "
        "{:.0f} dirty pages, {:.0f} of them hot; {} with mappings to put back; {} fresh processes; {} imports "
        "forgotten",
        rewinds_.size(), m["reset_us.p50"], m["reset_guard_us.p50"], m["reset_scan_us.p50"], m["reset_copy_us.p50"],
        m["reset_protect_us.p50"], m["reset_us.p99"], m["dirty_pages.p50"], m["hot_pages.p50"], m["map_repairs"],
        respawned_, m["reimports"]);
}

}  // namespace tach::supervisor
