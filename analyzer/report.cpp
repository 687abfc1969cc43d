#include "analyzer/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace tach::analyzer {
namespace {

namespace analysis = shm::analysis;
using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kLevels{"safe", "toxic", "unknown"};
constexpr std::array<std::string_view, 3> kSeverities{"note", "warning", "error"};
constexpr std::array<std::string_view, 6> kScopes{"function", "class", "module", "package", "session", "dynamic"};

template <class Enum, std::size_t Size>
std::string_view word(const std::array<std::string_view, Size>& words, Enum value) {
    const auto place = static_cast<std::size_t>(value);
    return place < Size ? words.at(place) : "unknown";
}

class Reporter {
  public:
    explicit Reporter(const analysis::Analysis& from) : from_(from) {}

    [[nodiscard]] std::string_view path(analysis::Index module) const {
        const auto place = static_cast<std::size_t>(module);
        return module < 0 || place >= from_.modules.size() ? std::string_view() : from_.modules[place].path;
    }

    [[nodiscard]] std::vector<std::string_view> dynamic(std::uint32_t bits) const {
        std::vector<std::string_view> texts;
        for (std::size_t i = 0; i < from_.dynamic_texts.size(); ++i) {
            if ((bits >> i & 1U) != 0) texts.push_back(from_.dynamic_texts[i]);
        }
        return texts;
    }

    [[nodiscard]] Json place(const analysis::Place& at) const {
        Json json{{"file", path(at.module)}, {"line", at.line}};
        if (at.column != 0) json["column"] = at.column;
        return json;
    }

    [[nodiscard]] Json reasons(const std::vector<analysis::Reason>& all) const {
        Json list = Json::array();
        for (const analysis::Reason& reason : all) {
            Json json{{"reason", reason.reason}, {"pattern", reason.pattern}, {"because", reason.because}};
            json["by_user"] = reason.by_user;
            json["evidence"] = place(reason.at);
            json["path"] = Json::array();
            for (const analysis::Index module : reason.path) json["path"].push_back(path(module));
            list.push_back(std::move(json));
        }
        return list;
    }

    [[nodiscard]] Json module(const analysis::Module& m) const {
        Json json{{"path", m.path}, {"name", m.name}, {"hash", fmt::format("{:016x}{:016x}", m.hash_high, m.hash_low)}};
        json["kind"] = m.is_conftest ? "conftest" : m.is_text ? "text" : m.is_test ? "test" : "source";
        json["complete"] = m.is_complete;
        json["level"] = word(kLevels, m.level);
        json["reasons"] = reasons(m.reasons);
        json["transitive_from"] = nullptr;
        if (!m.reasons.empty() && m.reasons.front().path.size() > 1) {
            json["transitive_from"] = path(m.reasons.front().path[1]);
        }
        json["hints"] = reasons(m.hints);
        json["imports"] = Json::array();
        for (const analysis::Import& import : m.imports) {
            json["imports"].push_back({{"file", path(import.to)}, {"kind", import.kind}, {"line", import.line}});
        }
        json["packages"] = m.packages;
        return json;
    }

    [[nodiscard]] Json fixture(const analysis::Fixture& f) const {
        Json json{{"name", f.name}, {"origin", f.origin}, {"scope", word(kScopes, f.scope)}};
        json["at"] = f.at.module < 0 ? Json(nullptr) : place(f.at);
        json["autouse"] = f.is_autouse;
        json["parametrized"] = f.is_parametrized;
        json["conditional"] = f.is_conditional;
        json["level"] = word(kLevels, f.level);
        json["reasons"] = reasons(f.reasons);
        json["needs"] = f.needs;
        return json;
    }

    [[nodiscard]] Json test(const analysis::Test& t) const {
        Json json{{"id", t.id}, {"known", t.dynamic == 0}, {"at", place(t.at)}};
        json["dynamic"] = dynamic(t.dynamic);
        json["fixtures"] =
            t.fixtures < 0 ? Json::array() : Json(from_.fixture_lists[static_cast<std::size_t>(t.fixtures)]);
        json["marks"] = Json::array();
        if (t.marks >= 0) {
            for (const analysis::Mark& mark : from_.mark_lists[static_cast<std::size_t>(t.marks)]) {
                json["marks"].push_back({{"name", mark.name}, {"arguments", mark.arguments}});
            }
        }
        return json;
    }

    [[nodiscard]] Json diagnostic(const analysis::Diagnostic& d) const {
        Json json{{"severity", word(kSeverities, d.severity)}, {"message", d.message}};
        json["file"] = d.at.module < 0 ? d.file : path(d.at.module);
        json["line"] = d.at.line;
        json["column"] = d.at.column;
        return json;
    }

  private:
    const analysis::Analysis& from_;
};

template <class Elements, class Convert>
Json list_of(const Elements& elements, const Convert& convert) {
    Json list = Json::array();
    for (const auto& element : elements) list.push_back(convert(element));
    return list;
}

std::string share(std::size_t part, std::size_t all) {
    return all == 0 ? "" : fmt::format(" ({:.1f} %)", 100.0 * static_cast<double>(part) / static_cast<double>(all));
}

std::string reason_line(const Reporter& reporter, const analysis::Reason& reason) {
    std::string line =
        fmt::format("{}: {} at {}:{}", reason.reason, reason.pattern, reporter.path(reason.at.module), reason.at.line);
    for (std::size_t i = reason.path.size(); i-- > 1;) {
        line += fmt::format("{} {}", i + 1 == reason.path.size() ? ", by" : " <-", reporter.path(reason.path[i - 1]));
    }
    return line;
}

}  // namespace

std::string json_report(const analysis::Analysis& from) {
    const Reporter reporter(from);
    Json json{{"format", "tach-analysis"}, {"version", analysis::kVersion}, {"ini_file", from.ini_file}};
    json["paths"] = from.paths;
    json["modules"] = list_of(from.modules, [&](const auto& m) { return reporter.module(m); });
    json["fixtures"] = list_of(from.fixtures, [&](const auto& f) { return reporter.fixture(f); });
    json["tests"] = list_of(from.tests, [&](const auto& t) { return reporter.test(t); });
    json["diagnostics"] = list_of(from.diagnostics, [&](const auto& d) { return reporter.diagnostic(d); });
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string diagnostic_line(const analysis::Analysis& from, const analysis::Diagnostic& diagnostic) {
    const Reporter reporter(from);
    std::string line(diagnostic.at.module < 0 ? diagnostic.file : reporter.path(diagnostic.at.module));
    if (diagnostic.at.line != 0) line += fmt::format(":{}", diagnostic.at.line);
    if (diagnostic.at.column != 0) line += fmt::format(":{}", diagnostic.at.column);
    return fmt::format("{}: {}: {}", line, word(kSeverities, diagnostic.severity), diagnostic.message);
}

std::string table_report(const analysis::Analysis& from) {
    const Reporter reporter(from);
    std::array<std::size_t, 3> levels{};
    for (const analysis::Module& module : from.modules) ++levels.at(static_cast<std::size_t>(module.level));
    std::map<std::string_view, std::size_t> dynamic;
    std::size_t known = 0;
    for (const analysis::Test& test : from.tests) {
        known += test.dynamic == 0 ? 1U : 0U;
        for (const std::string_view text : reporter.dynamic(test.dynamic)) ++dynamic[text];
    }
    std::string text = fmt::format("modules  {}: ", from.modules.size());
    for (std::size_t i = 0; i < levels.size(); ++i) {
        text += fmt::format("{}{} {}{}", i == 0 ? "" : ", ", levels.at(i), kLevels.at(i),
                            share(levels.at(i), from.modules.size()));
    }
    text += fmt::format("\ntests    {}: {} known{}\n", from.tests.size(), known, share(known, from.tests.size()));
    text += fmt::format("fixtures {}\n", from.fixtures.size());
    for (const auto& [why, count] : dynamic) text += fmt::format("\ndynamic  {:6} {}", count, why);
    if (!dynamic.empty()) text += "\n";
    for (const analysis::Module& module : from.modules) {
        if (module.level == analysis::Level::kSafe) continue;
        text += fmt::format("\n{:8} {}\n", word(kLevels, module.level), module.path);
        for (const analysis::Reason& reason : module.reasons)
            text += "         " + reason_line(reporter, reason) + "\n";
    }
    for (const analysis::Fixture& fixture : from.fixtures) {
        if (fixture.level == analysis::Level::kSafe) continue;
        text += fmt::format("\n{:8} fixture {} at {}:{}\n", word(kLevels, fixture.level), fixture.name,
                            reporter.path(fixture.at.module), fixture.at.line);
        for (const analysis::Reason& reason : fixture.reasons)
            text += "         " + reason_line(reporter, reason) + "\n";
    }
    return text;
}

std::string json_affected(const AffectedFiles& files, const std::string& root) {
    Json json{{"root", root}, {"everything", files.everything}, {"because", files.because}, {"ignored", files.ignored}};
    json["affected"] = Json::array();
    for (const AffectedFiles::File& file : files.affected) {
        json["affected"].push_back({{"file", file.path}, {"why", file.why}});
    }
    json["unaffected"] = files.unaffected;
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tach::analyzer
