#include "analyzer/toxicity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

namespace tach::analyzer {
namespace {

constexpr std::array<std::string_view, 3> kWords{"safe", "unknown", "toxic"};

}  // namespace

std::string_view word(ToxicityLevel level) {
    return kWords[static_cast<std::size_t>(level)];
}

Toxicity::Toxicity(const Project& project, const ImportGraph& graph, References& references, const RuleSet& rules)
    : project_(project),
      graph_(graph),
      rules_(rules),
      calls_(project, graph, references, rules),
      reached_(calls_.node_count()),
      wide_of_(calls_.node_count(), -1) {
    for (std::size_t at = 0; at < project.files.size(); ++at) modules_.push_back({.file = static_cast<Index>(at)});
    for (const CallGraph::Wide& wide : calls_.wide()) {
        wide_of_[calls_.node(wide.place)] = static_cast<Index>(wide_.size());
        wide_.push_back({.wide = wide});
    }
    std::array<std::vector<Index>, kReasonCount + 1> matches;
    for (std::size_t at = 0; at < calls_.matches().size(); ++at) {
        const Index rule = calls_.matches()[at].rule;
        if (rule >= 0 && !rules.is_strict() && rules.rule(rule).level != RuleLevel::kToxic) continue;
        const std::size_t reason = rule < 0 ? kReasonCount : static_cast<std::size_t>(rules.rule(rule).reason);
        matches[reason].push_back(static_cast<Index>(at));
    }
    const Incoming incoming = incoming_links();
    for (const std::vector<Index>& of_reason : matches) {
        if (of_reason.empty()) continue;
        follow(of_reason, incoming);
        report(static_cast<Index>(trails_.size()) - 1);
    }
    if (!rules.is_strict()) add_direct_hints();
    finish();
}

Toxicity::Incoming Toxicity::incoming_links() const {
    const auto links = calls_.links();
    Incoming incoming;
    incoming.first.assign(calls_.node_count() + 1, 0);
    for (const CallGraph::Link& link : links) ++incoming.first[link.to + 1];
    for (std::size_t at = 1; at < incoming.first.size(); ++at) incoming.first[at] += incoming.first[at - 1];
    incoming.links.resize(links.size());
    std::vector<std::size_t> next(incoming.first.begin(), incoming.first.end() - 1);
    for (std::size_t at = 0; at < links.size(); ++at) incoming.links[next[links[at].to]++] = static_cast<Index>(at);
    return incoming;
}

// Breadth first from the matches to whoever leads to them, so that the ways are the shortest.
void Toxicity::follow(const std::vector<Index>& matches, const Incoming& incoming) {
    std::vector<Trail>& trails = trails_.emplace_back();
    for (const Index match : matches) {
        const CallGraph::Match& found = calls_.matches()[match];
        if (reached_[found.node] != 0) continue;
        reached_[found.node] = 1;
        trails.push_back({found.node, -1, match, found.at});
    }
    for (std::size_t at = 0; at < trails.size(); ++at) {
        const Trail trail = trails[at];
        for (std::size_t in = incoming.first[trail.node]; in < incoming.first[trail.node + 1]; ++in) {
            const CallGraph::Link& link = calls_.links()[incoming.links[in]];
            if (reached_[link.from] != 0) continue;
            reached_[link.from] = 1;
            trails.push_back({link.from, static_cast<Index>(at), trail.match, link.at});
        }
    }
    for (const Trail& trail : trails) reached_[trail.node] = 0;
}

Finding Toxicity::finding(Index trails, Index trail) const {
    const Trail& begin = trails_[trails][trail];
    const CallGraph::Match& match = calls_.matches()[begin.match];
    const CallGraph::Place place = calls_.place(begin.node);
    return {.rule = match.rule,
            .function = place.function,
            .at = begin.at,
            .what = match.what,
            .evidence = calls_.place(match.node).file,
            .evidence_at = match.at,
            .trail = trail,
            .trails = trails};
}

void Toxicity::report(Index trails) {
    for (std::size_t at = 0; at < trails_[trails].size(); ++at) report_one(trails, static_cast<Index>(at));
}

void Toxicity::report_one(Index trails, Index trail) {
    const Trail& begin = trails_[trails][trail];
    const CallGraph::Place place = calls_.place(begin.node);
    const Finding found = finding(trails, trail);
    const ToxicityLevel level = found.rule < 0 ? ToxicityLevel::kUnknown : ToxicityLevel::kToxic;
    ToxicityReport& module = modules_[place.file];
    if (place.function < 0) {
        module.level = std::max(module.level, level);
        module.reasons.push_back(found);
        return;
    }
    if (const Index wide = wide_of_[begin.node]; wide >= 0) {
        wide_[wide].level = std::max(wide_[wide].level, level);
        wide_[wide].reasons.push_back(found);
        return;
    }
    // Of a library's functions only what they do themselves; who calls them has a finding of its own.
    const bool is_of_tests = project_.files[place.file].is_test || graph_.is_plugin(place.file);
    if (found.rule >= 0 && is_of_tests && begin.next >= 0) module.hints.push_back(found);
}

// Every match that is not at import and not in a wide fixture, and those that are no more than a hint anywhere.
void Toxicity::add_direct_hints() {
    for (const CallGraph::Match& match : calls_.matches()) {
        if (match.rule < 0) continue;
        const CallGraph::Place place = calls_.place(match.node);
        const bool counts = place.function < 0 || wide_of_[match.node] >= 0;
        if (counts && rules_.rule(match.rule).level == RuleLevel::kToxic) continue;
        modules_[place.file].hints.push_back({.rule = match.rule,
                                              .function = place.function,
                                              .at = match.at,
                                              .what = match.what,
                                              .evidence = place.file,
                                              .evidence_at = match.at});
    }
}

void Toxicity::finish() {
    for (ToxicityReport& module : modules_) {
        if (module.level == ToxicityLevel::kToxic) {
            std::erase_if(module.reasons, [](const Finding& found) { return found.rule < 0; });
        }
        std::erase_if(module.hints, [&](const Finding& hint) {
            return std::any_of(module.reasons.begin(), module.reasons.end(), [&](const Finding& reason) {
                return hint.evidence == reason.evidence && hint.evidence_at == reason.evidence_at;
            });
        });
        const auto key = [](const Finding& found) {
            return std::tuple(found.at.line, found.at.column, found.function, found.rule, found.what);
        };
        std::sort(module.hints.begin(), module.hints.end(),
                  [&](const Finding& left, const Finding& right) { return key(left) < key(right); });
        if (module.reasons.empty()) continue;
        const Finding& first = module.reasons.front();
        for (const Step& step : way(first)) {
            if (step.place.file == module.file) continue;
            module.transitive_from = step.place.file;
            break;
        }
    }
    std::erase_if(wide_, [](const WideToxicity& wide) { return wide.level == ToxicityLevel::kSafe; });
    for (WideToxicity& wide : wide_) {
        if (wide.level != ToxicityLevel::kToxic) continue;
        std::erase_if(wide.reasons, [](const Finding& found) { return found.rule < 0; });
    }
}

ToxicityLevel Toxicity::of_fixture(Index file, Index fixture) const {
    auto at = std::partition_point(wide_.begin(), wide_.end(),
                                   [&](const WideToxicity& wide) { return wide.wide.place.file < file; });
    while (at != wide_.end() && at->wide.place.file == file && at->wide.fixture != fixture) ++at;
    return at != wide_.end() && at->wide.place.file == file ? at->level : ToxicityLevel::kSafe;
}

std::vector<Toxicity::Step> Toxicity::way(const Finding& finding) const {
    std::vector<Step> steps;
    if (finding.trails < 0) return {{{finding.evidence, finding.function}, finding.at}};
    const std::vector<Trail>& trails = trails_[finding.trails];
    for (Index at = finding.trail; at >= 0; at = trails[at].next) {
        steps.push_back({calls_.place(trails[at].node), trails[at].at});
    }
    return steps;
}

std::string Toxicity::sentence(const Finding& finding) const {
    const std::string_view kind = finding.rule < 0 ? "unknown" : word(rules_.rule(finding.rule).reason);
    std::string text = fmt::format("{}: {} at {}:{}", kind, finding.what, project_.files[finding.evidence].path,
                                   finding.evidence_at.line);
    const std::vector<Step> steps = way(finding);
    for (std::size_t at = 0; at + 1 < steps.size(); ++at) {
        const SourceFile& file = project_.files[steps[at].place.file];
        text += fmt::format("{}{}", at == 0 ? ", by " : ", ", file.path);
        if (steps[at].at.line > 0) text += fmt::format(":{}", steps[at].at.line);
        const Index function = steps[at].place.function;
        if (function >= 0) text += fmt::format(" in {}()", file.facts.functions[function].name);
    }
    return text;
}

}  // namespace tach::analyzer
