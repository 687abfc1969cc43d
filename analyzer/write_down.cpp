#include "analyzer/write_down.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "analyzer/numbering.h"
#include "analyzer/paths.h"

namespace tach::analyzer {
namespace {

namespace analysis = shm::analysis;

analysis::Diagnostic written(Index file, const Diagnostic& diagnostic, Arena& arena) {
    return {.severity = static_cast<analysis::Severity>(diagnostic.severity),
            .at = {file, diagnostic.at.line, diagnostic.at.column},
            .file = {},
            .message = arena.keep(diagnostic.message)};
}

class Writer {
  public:
    Writer(const Findings& from, Arena& arena) : from_(from), arena_(arena) {}

    analysis::Analysis write() {
        into_.ini_file = from_.project.settings.ini_file;
        for (const std::string& path : from_.project.settings.paths) into_.paths.emplace_back(path);
        for (const DynamicText& text : kDynamicTexts) into_.dynamic_texts.push_back(text.text);
        write_modules();
        write_fixtures();
        const std::size_t named = into_.fixtures.size();
        write_closures();
        write_tests();
        into_.fixture_lists = std::move(fixture_lists_.elements);
        into_.mark_lists = std::move(mark_lists_.elements);
        number_by_use(into_, named);
        write_diagnostics();
        return std::move(into_);
    }

  private:
    using Index = analyzer::Index;

    void write_modules();
    void write_imports(Index file, analysis::Module& module) const;
    void write_fixtures();
    void write_closures();
    [[nodiscard]] std::vector<Index> needs_of(Index closure);
    [[nodiscard]] Index list_of(Index closure);
    void write_tests();
    void write_test(const Test& test, Index file);
    void write_diagnostics();
    void add_diagnostic(Index file, const Diagnostic& diagnostic);
    [[nodiscard]] analysis::Reason reason_of(const Finding& finding);
    [[nodiscard]] std::vector<analysis::Reason> reasons_of(const std::vector<Finding>& findings);
    [[nodiscard]] Index unknown_fixture(Text name);
    [[nodiscard]] Index marks_of(const Test& test);

    static analysis::Level level_of(ToxicityLevel level) {
        switch (level) {
            case ToxicityLevel::kToxic:
                return analysis::Level::kToxic;
            case ToxicityLevel::kUnknown:
                return analysis::Level::kUnknown;
            case ToxicityLevel::kSafe:
                break;
        }
        return analysis::Level::kSafe;
    }
    static analysis::Place place_of(Index file, Position at) { return {file, at.line, at.column}; }

    const Findings& from_;
    Arena& arena_;
    analysis::Analysis into_;
    std::unordered_map<Text, Index> unknown_;
    std::vector<Index> lists_;  // of closures: into into_.fixture_lists; -1: not asked for yet
    Numbered<std::vector<Index>> fixture_lists_;
    Numbered<std::vector<analysis::Mark>> mark_lists_;
    std::pair<std::uint32_t, std::uint32_t> last_uses_;  // of the last test that has any
    Index last_marks_ = -1;
};

analysis::Reason Writer::reason_of(const Finding& finding) {
    analysis::Reason reason{.reason = "unknown",
                            .pattern = finding.what,
                            .because = {},
                            .by_user = from_.rules.is_strict(),
                            .at = place_of(finding.evidence, finding.evidence_at),
                            .path = {}};
    if (finding.rule >= 0) {
        const Rule& rule = from_.rules.rule(finding.rule);
        reason.reason = word(rule.reason);
        reason.pattern = rule.pattern;
        reason.because = rule.because;
        reason.by_user = from_.rules.is_users(finding.rule);
    }
    for (const Toxicity::Step& step : from_.toxicity.way(finding)) {
        if (reason.path.empty() || reason.path.back() != step.place.file) reason.path.push_back(step.place.file);
    }
    if (reason.path.size() == 1) reason.path.clear();
    return reason;
}

std::vector<analysis::Reason> Writer::reasons_of(const std::vector<Finding>& findings) {
    std::vector<analysis::Reason> reasons;
    reasons.reserve(findings.size());
    for (const Finding& finding : findings) reasons.push_back(reason_of(finding));
    return reasons;
}

void Writer::write_modules() {
    into_.modules.reserve(from_.project.files.size());
    for (std::size_t i = 0; i < from_.project.files.size(); ++i) {
        const SourceFile& file = from_.project.files[i];
        const auto index = static_cast<Index>(i);
        analysis::Module module{.path = file.path,
                                .name = from_.modules.name(index),
                                .hash_low = from_.hashes[i].low,
                                .hash_high = from_.hashes[i].high,
                                .is_test = file.is_test,
                                .is_conftest = file.is_conftest,
                                .is_text = file.is_text,
                                .is_complete = file.facts.is_complete};
        const ToxicityReport& report = from_.toxicity.modules()[i];
        module.level = level_of(report.level);
        module.reasons = reasons_of(report.reasons);
        module.hints = reasons_of(report.hints);
        write_imports(index, module);
        into_.modules.push_back(std::move(module));
    }
}

void Writer::write_imports(Index file, analysis::Module& module) const {
    for (const Edge& edge : from_.graph.edges_from(file)) {
        module.imports.push_back({.to = edge.to, .kind = word(edge.kind), .line = edge.at.line});
    }
    module.packages = from_.graph.packages_of(file);
}

Index Writer::unknown_fixture(Text name) {
    const auto [at, is_new] = unknown_.try_emplace(name, static_cast<Index>(into_.fixtures.size()));
    if (is_new) into_.fixtures.push_back({.name = name, .at = {}, .origin = "unknown"});
    return at->second;
}

void Writer::write_fixtures() {
    for (const FixtureInfo& info : from_.tests.fixtures) {
        analysis::Fixture fixture{.name = info.name, .at = {}, .origin = "unknown"};
        fixture.scope = static_cast<analysis::Scope>(info.scope);
        fixture.is_conditional = info.is_conditional;
        if (info.origin == FixtureOrigin::kPytest) fixture.origin = "pytest";
        if (info.origin == FixtureOrigin::kProject && info.file >= 0 && info.fixture >= 0) {
            const Fixture& defined = from_.project.files[static_cast<std::size_t>(info.file)]
                                         .facts.fixtures[static_cast<std::size_t>(info.fixture)];
            fixture.origin = "project";
            fixture.at = place_of(info.file, defined.at);
            fixture.is_autouse = defined.autouse;
            fixture.is_parametrized = defined.parameters >= 0;
            fixture.level = level_of(from_.toxicity.of_fixture(info.file, info.fixture));
            for (const WideToxicity& wide : from_.toxicity.wide()) {
                if (wide.wide.place.file == info.file && wide.wide.fixture == info.fixture) {
                    fixture.reasons = reasons_of(wide.reasons);
                }
            }
        }
        into_.fixtures.push_back(std::move(fixture));
    }
    // setup_module, setUpClass and the like are in nobody's closure: they are of all tests of their module or class.
    for (const WideToxicity& wide : from_.toxicity.wide()) {
        if (wide.wide.fixture >= 0) continue;
        const auto [file, index] = wide.wide.place;
        const Function& function =
            from_.project.files[static_cast<std::size_t>(file)].facts.functions[static_cast<std::size_t>(index)];
        into_.fixtures.push_back({.name = function.name,
                                  .at = place_of(file, function.at),
                                  .origin = "project",
                                  .scope = static_cast<analysis::Scope>(wide.wide.scope),
                                  .is_autouse = true,
                                  .level = level_of(wide.level),
                                  .reasons = reasons_of(wide.reasons)});
    }
}

std::vector<Index> Writer::needs_of(Index closure) {
    std::vector<Index> needs;
    for (const Need& need : from_.tests.closures[static_cast<std::size_t>(closure)].needs) {
        if (need.kind == NeedKind::kParameter) continue;
        needs.push_back(need.fixture >= 0 ? need.fixture : unknown_fixture(need.name));
    }
    return needs;
}

void Writer::write_closures() {
    lists_.assign(from_.tests.closures.size(), -1);
    for (std::size_t i = 0; i < from_.tests.fixtures.size(); ++i) {
        const Index closure = from_.tests.fixtures[i].closure;
        if (closure >= 0) into_.fixtures[i].needs = needs_of(closure);
    }
}

// Several closures may have the same fixtures.
Index Writer::list_of(Index closure) {
    if (closure < 0) return -1;
    Index& list = lists_[static_cast<std::size_t>(closure)];
    if (list < 0) list = fixture_lists_.number_of(needs_of(closure));
    return list;
}

// Most tests have the marks of their neighbours.
// The items of a function have the same marks, whose arguments may be long.
Index Writer::marks_of(const Test& test) {
    if (test.mark_count == 0) return -1;
    const std::pair uses{test.first_mark, test.mark_count};
    if (std::exchange(last_uses_, uses) == uses) return last_marks_;
    std::vector<analysis::Mark> marks;
    for (std::uint32_t i = 0; i < test.mark_count; ++i) {
        const Mark& mark = *from_.tests.marks[test.first_mark + i].mark;
        marks.push_back({mark.name, mark.arguments});
    }
    return last_marks_ = mark_lists_.number_of(std::move(marks));
}

void Writer::write_test(const Test& test, Index file) {
    into_.tests.push_back({.id = test.id,
                           .at = {.module = test.definition, .line = test.line, .column = 0},
                           .module = file,
                           .dynamic = static_cast<std::uint32_t>(test.reasons),
                           .fixtures = list_of(test.closure),
                           .marks = marks_of(test)});
}

void Writer::write_tests() {
    into_.tests.reserve(from_.tests.tests.size());
    std::vector<const FileTests*> by_file(from_.project.files.size(), nullptr);
    for (const FileTests& tests : from_.tests.files) by_file[static_cast<std::size_t>(tests.file)] = &tests;
    const auto write = [&](const FileTests& tests) {
        for (std::uint32_t i = 0; i < tests.count; ++i) write_test(from_.tests.tests[tests.first + i], tests.file);
    };
    for (const std::size_t file : from_.collected) {
        if (by_file[file] != nullptr) write(*std::exchange(by_file[file], nullptr));
    }
    for (const FileTests* rest : by_file) {
        if (rest != nullptr) write(*rest);
    }
}

void Writer::add_diagnostic(Index file, const Diagnostic& diagnostic) {
    into_.diagnostics.push_back(written(file, diagnostic, arena_));
}

void Writer::write_diagnostics() {
    const Settings& settings = from_.project.settings;
    for (const SettingsProblem& problem : settings.problems) {
        const std::string file = problem.file.empty() ? std::string() : relative_to(settings.root, problem.file);
        into_.diagnostics.push_back({.severity = analysis::Severity::kError,
                                     .at = {.module = -1, .line = problem.line, .column = 0},
                                     .file = arena_.keep(file),
                                     .message = problem.message});
    }
    for (const WalkProblem& problem : from_.walk_problems) {
        into_.diagnostics.push_back({.severity = static_cast<analysis::Severity>(problem.severity),
                                     .at = {},
                                     .file = problem.path,
                                     .message = problem.message});
    }
    for (std::size_t i = 0; i < from_.project.files.size(); ++i) {
        for (const Diagnostic& diagnostic : from_.project.files[i].facts.diagnostics) {
            add_diagnostic(static_cast<Index>(i), diagnostic);
        }
    }
    for (const FileDiagnostic& one : from_.graph.diagnostics()) add_diagnostic(one.file, one.diagnostic);
    for (analysis::Diagnostic& one : told(from_.tests.diagnostics, arena_)) into_.diagnostics.push_back(one);
}

}  // namespace

std::vector<analysis::Diagnostic> told(std::span<const FileDiagnostic> diagnostics, Arena& arena) {
    std::vector<analysis::Diagnostic> made;
    made.reserve(diagnostics.size());
    for (const auto& [file, diagnostic, about] : diagnostics) made.push_back(written(file, diagnostic, arena));
    const auto key = [](const analysis::Diagnostic& one) {
        return std::tie(one.at.module, one.at.line, one.at.column, one.severity, one.message);
    };
    std::sort(made.begin(), made.end(), [&](const auto& one, const auto& other) { return key(one) < key(other); });
    return made;
}

shm::analysis::Analysis write_down(const Findings& findings, Arena& arena) {
    return Writer(findings, arena).write();
}

}  // namespace tach::analyzer
