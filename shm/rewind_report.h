#pragma once

// What one rewind of a worker did, as it tells the supervisor: string 3 of kDone, the bytes of this struct. Both sides
// are processes of one build on one machine.

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

namespace tach::shm {

struct RewindReport {
    std::int64_t guard_ns = 0;
    std::int64_t scan_ns = 0;
    std::int64_t copy_ns = 0;
    std::int64_t protect_ns = 0;
    std::int64_t dirty_pages = 0;  // found written, hot ones included
    std::int64_t hot_pages = 0;    // size of the hot set
    std::int64_t hot_written = 0;  // how many of them had been written; -1: this rewind cannot tell
    std::int64_t faults = 0;       // written pages that had been protected; all of them where nothing is (cow)
    std::int64_t copied_pages = 0;
    std::int64_t dropped_pages = 0;
    std::int64_t fetched_pages = 0;  // from the image process
    std::int64_t repairs = 0;        // 1: mappings had to be put back
    std::int64_t layers = 0;         // how many there are
    std::int64_t imports = 0;        // modules that the test had imported and that are forgotten

    // Nothing if it is no such report.
    [[nodiscard]] static std::optional<RewindReport> parse(std::string_view bytes) {
        RewindReport report;
        if (bytes.size() != sizeof report) return std::nullopt;
        std::memcpy(&report, bytes.data(), sizeof report);
        return report;
    }
};
static_assert(std::is_trivially_copyable_v<RewindReport>);

}  // namespace tach::shm
