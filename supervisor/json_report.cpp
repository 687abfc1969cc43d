#include "supervisor/json_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace tach::supervisor {

namespace {

using Json = nlohmann::ordered_json;

double seconds(std::int64_t ns) {
    return static_cast<double>(ns) / 1e9;
}

std::string_view mode_name(shm::Mode mode) {
    switch (mode) {
        case shm::Mode::kSnapshot:
            return "snapshot";
        case shm::Mode::kFork:
            return "fork";
        case shm::Mode::kShared:
            return "shared";
    }
    return "shared";
}

Json phase_json(const PhaseResult& phase) {
    if (!phase.present) return nullptr;
    return {{"outcome", phase.outcome}, {"duration_s", seconds(phase.duration_ns)}};
}

Json summary_json(const Counts& counts) {
    return {{"passed", counts.passed},   {"failed", counts.failed},   {"error", counts.error},
            {"skipped", counts.skipped}, {"xfailed", counts.xfailed}, {"xpassed", counts.xpassed},
            {"crashed", counts.crashed}, {"timeout", counts.timeout}, {"deselected", counts.deselected}};
}

Json test_json(const std::string& nodeid, const ItemResult& result) {
    return {
        {"nodeid", nodeid},
        {"outcome", outcome_name(result.outcome())},
        {"phases",
         {{"setup", phase_json(result.phases[0])},
          {"call", phase_json(result.phases[1])},
          {"teardown", phase_json(result.phases[2])}}},
        {"mode", mode_name(result.mode)},
        {"path", result.path},
        {"duration_s", seconds(result.duration_ns)},
        {"worker", result.worker < 0 ? Json(nullptr) : Json(result.worker)},
        {"reset_us", static_cast<double>(result.reset_ns) / 1e3},
        {"dirty_pages", result.dirty_pages},
        {"message", result.message},
        {"longrepr", result.longrepr},
        {"stdout", result.out},
        {"stderr", result.err},
        {"note", result.note},
    };
}

Json tests_json(const Results& results) {
    Json tests = Json::array();
    for (std::size_t i = 0; i < results.end(); ++i) {
        const ItemResult& result = results.at(i);
        if (result.outcome() != Outcome::kNone) tests.push_back(test_json(results.nodeid(i), result));
    }
    return tests;
}

Json metrics_json(const std::map<std::string, double>& metrics) {
    Json object = Json::object();
    for (const auto& [name, value] : metrics) {
        if (std::isfinite(value)) object[name] = value;
    }
    return object;
}

}  // namespace

std::string json_report(const ReportInputs& inputs, const Results& results) {
    const Json report = {
        {"version", inputs.version},
        {"engine", inputs.engine},
        {"seed", inputs.seed},
        {"workers", inputs.workers},
        {"exit_code", inputs.exit_code},
        {"duration_s", seconds(inputs.duration_ns)},
        {"python", {{"executable", inputs.python_executable}, {"version", inputs.python_version}}},
        {"summary", summary_json(results.counts())},
        {"tests", tests_json(results)},
        {"metrics", metrics_json(inputs.metrics)},
    };
    return report.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tach::supervisor
