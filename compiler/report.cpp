#include "compiler/report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

namespace tach::compiler {

using shm::bytecode::Kind;

namespace {

bool is_in_image(const Unit& unit) {
    return unit.state == State::kKept || unit.state == State::kSame || unit.state == State::kCompiled;
}

std::string_view word_of(Kind kind) {
    return kind == Kind::kRewritten ? "rewritten" : "plain";
}

// What became of it in this run.
std::string_view word_of(State state) {
    switch (state) {
        case State::kKept:
            return "kept";
        case State::kSame:
            return "same";
        case State::kCompiled:
            return "compiled";
        case State::kPending:
        case State::kLeftOut:
            break;
    }
    return "left out";
}

}  // namespace

Counts counts_of(const std::vector<Unit>& units) {
    Counts counts;
    for (const Unit& unit : units) {
        if (!is_in_image(unit)) {
            ++counts.left_out;
            continue;
        }
        ++counts.modules;
        if (unit.code.empty()) ++counts.failed;
        if (unit.state == State::kCompiled && !unit.code.empty()) ++counts.compiled;
        if (unit.state == State::kSame) ++counts.same;
    }
    return counts;
}

std::string table_report(const std::vector<Unit>& units) {
    std::string text;
    for (const Unit& unit : units) {
        fmt::format_to(std::back_inserter(text), "{:<9} {:<8} {:>8} {:<40} {}\n", word_of(unit.wanted.kind),
                       word_of(unit.state), unit.code.size(), unit.wanted.name, unit.wanted.path);
    }
    return text;
}

std::string json_report(const std::vector<Unit>& units) {
    nlohmann::json modules = nlohmann::json::array();
    for (const Unit& unit : units) {
        nlohmann::json module{{"kind", word_of(unit.wanted.kind)}, {"path", unit.wanted.path},
                              {"name", unit.wanted.name},          {"is_package", unit.wanted.is_package()},
                              {"size", unit.code.size()},          {"state", word_of(unit.state)}};
        if (!unit.reason.empty()) {
            module["reason"] = unit.reason;
            module["line"] = unit.line;
        }
        modules.push_back(std::move(module));
    }
    const nlohmann::json report{{"modules", std::move(modules)}};
    // Names of files need not be UTF-8.
    return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::vector<std::string> failures(const std::vector<Unit>& units) {
    std::vector<std::string> lines;
    for (const Unit& unit : units) {
        if (unit.reason.empty()) continue;
        lines.push_back(unit.line != 0 ? fmt::format("{}:{}: {}", unit.wanted.path, unit.line, unit.reason)
                                       : fmt::format("{}: {}", unit.wanted.path, unit.reason));
    }
    return lines;
}

}  // namespace tach::compiler
