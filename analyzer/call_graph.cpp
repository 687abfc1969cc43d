#include "analyzer/call_graph.h"

#include <algorithm>
#include <array>
#include <string>

namespace tach::analyzer {
namespace {

// Methods of a class that run when it is called, or a `with` begins with it.
constexpr std::array<Text, 5> kCalledByCreation{"__init__", "__new__", "__post_init__", "__enter__", "__aenter__"};

// Fixtures by name, of pytest and unittest, wider than a function. A thread that a teardown starts outlives it, too.
struct NamedFixture {
    Text name;
    Scope scope;
};
constexpr std::array<NamedFixture, 8> kNamedFixtures{{
    {"setup_module", Scope::kModule},
    {"setUpModule", Scope::kModule},
    {"teardown_module", Scope::kModule},
    {"tearDownModule", Scope::kModule},
    {"setup_class", Scope::kClass},
    {"setUpClass", Scope::kClass},
    {"teardown_class", Scope::kClass},
    {"tearDownClass", Scope::kClass},
}};

// Hooks that pytest calls around a test or after the last one; all others run before any test.
constexpr std::array<Text, 8> kLateHooks{"pytest_runtest_",      "pytest_fixture_",         "pytest_pyfunc_call",
                                         "pytest_sessionfinish", "pytest_unconfigure",      "pytest_terminal_summary",
                                         "pytest_exception_",    "pytest_report_teststatus"};

bool is_early_hook(Text name) {
    return name.starts_with("pytest_") &&
           std::none_of(kLateHooks.begin(), kLateHooks.end(), [&](Text late) { return name.starts_with(late); });
}

bool is_special(Text name) {
    return name.starts_with("__") && name.ends_with("__");
}

Text last_part(Text name) {
    return name.substr(name.rfind('.') + 1);
}

Text first_part(Text name) {
    return name.substr(0, std::min(name.find('.'), name.size()));
}

bool is_of_instance(Text callee) {
    return callee.starts_with("self.") || callee.starts_with("cls.");
}

std::string canonical(const Import& import) {
    std::string name(import.level, '.');
    name += import.module;
    if (!import.module.empty()) name += '.';
    name += import.member;
    return name;
}

// By counting. What has the same key stays in its order.
template <class Element, class Key>
std::vector<Element> sorted_by(const std::vector<Element>& elements, std::size_t keys, const Key& key_of) {
    std::vector<std::size_t> next(keys + 1, 0);
    for (const Element& element : elements) ++next[static_cast<std::size_t>(key_of(element)) + 1];
    for (std::size_t at = 1; at <= keys; ++at) next[at] += next[at - 1];
    std::vector<Element> sorted(elements.size());
    for (const Element& element : elements) sorted[next[static_cast<std::size_t>(key_of(element))]++] = element;
    return sorted;
}

}  // namespace

CallGraph::CallGraph(const Project& project, const ImportGraph& graph, References& references, const RuleSet& rules)
    : project_(project),
      graph_(graph),
      references_(references),
      rules_(rules),
      visible_(project.files.size()),
      call_orders_(project.files.size()) {
    Index next = 0;
    for (const SourceFile& file : project.files) {
        first_.push_back(next);
        next += static_cast<Index>(file.facts.functions.size()) + 1;
    }
    visited_.resize(next);
    for (std::size_t at = 0; at < project.files.size(); ++at) find_wide(static_cast<Index>(at));
    if (rules.is_strict()) {
        for (std::size_t at = 0; at < project.files.size(); ++at) look_strictly(static_cast<Index>(at));
    } else {
        look_at_everything();
    }
}

CallGraph::Place CallGraph::place(Index node) const {
    const auto after = std::upper_bound(first_.begin(), first_.end(), node);
    const auto file = static_cast<Index>(after - first_.begin()) - 1;
    return {file, node - first_[file] - 1};
}

void CallGraph::find_wide(Index file) {
    const Facts& facts = project_.files[file].facts;
    for (std::size_t at = 0; at < facts.fixtures.size(); ++at) {
        const Fixture& fixture = facts.fixtures[at];
        if (fixture.scope == Scope::kFunction || fixture.function < 0) continue;
        wide_.push_back({{file, fixture.function}, static_cast<Index>(at), fixture.scope});
    }
    for (std::size_t at = 0; at < facts.functions.size(); ++at) {
        const Function& function = facts.functions[at];
        for (const NamedFixture& named : kNamedFixtures) {
            const bool fits = (named.scope == Scope::kClass) == (function.parent >= 0);
            if (fits && function.name == named.name) wide_.push_back({{file, static_cast<Index>(at)}, -1, named.scope});
        }
    }
}

void CallGraph::look_strictly(Index file) {
    const Index own = node({file, -1});
    for (const Call& call : project_.files[file].facts.calls) {
        if (const Index rule = rules_.match_call(call.callee); rule >= 0) {
            matches_.push_back({own, rule, call.callee, call.at});
        }
    }
    for (const Boundary& boundary : graph_.boundary_of(file)) {
        if (can_run(boundary.kind)) add_import_match(own, boundary);
    }
    for (const Edge& edge : graph_.edges_from(file)) {
        if (can_run(edge.kind)) links_.push_back({own, node({edge.to, -1}), edge.at});
    }
    const auto& dynamic = project_.files[file].facts.dynamic_imports;
    if (!dynamic.empty()) matches_.push_back({own, -1, "an import that its source does not name", dynamic.front().at});
    look_at_unknowns({file, -1});
}

void CallGraph::look_at_everything() {
    for (std::size_t at = 0; at < project_.files.size(); ++at) add_hooks(static_cast<Index>(at));
    for (std::size_t at = 0; at < project_.files.size(); ++at) {
        const auto file = static_cast<Index>(at);
        const SourceFile& source = project_.files[at];
        if (source.is_left_out) continue;
        visit(node({file, -1}));
        if (source.is_test || graph_.is_plugin(file)) {
            for (std::size_t function = 0; function < source.facts.functions.size(); ++function) {
                visit(node({file, static_cast<Index>(function)}));
            }
        }
        drain();  // those of this file first, while what its names stand for is known
    }
    for (const Wide& wide : wide_) visit(node(wide.place));
    drain();
    for (std::size_t at = 0; at < project_.files.size(); ++at) match_as_written(static_cast<Index>(at));
    sort_by_node();
}

// Of several ways that are the shortest the first counts. Which one that is must not depend on who has come to a
// function before: then a change of one file would show in others that have nothing to do with it.
void CallGraph::sort_by_node() {
    links_ = sorted_by(links_, visited_.size(), [](const Link& link) { return link.from; });
    matches_ = sorted_by(matches_, visited_.size(), [](const Match& match) { return match.node; });
}

// A plugin's hooks run in the process that all tests come from, as its own code does.
void CallGraph::add_hooks(Index file) {
    if (!graph_.is_plugin(file)) return;
    const Facts& facts = project_.files[file].facts;
    for (std::size_t at = 0; at < facts.functions.size(); ++at) {
        const Function& function = facts.functions[at];
        if (function.parent >= 0 || !is_early_hook(function.name)) continue;
        links_.push_back({node({file, -1}), node({file, static_cast<Index>(at)}), function.at});
    }
}

void CallGraph::visit(Index node) {
    if (visited_[node] != 0) return;
    visited_[node] = 1;
    queue_.push_back(node);
}

void CallGraph::drain() {
    std::size_t next = 0;  // it grows meanwhile
    while (next < queue_.size()) look_at(place(queue_[next++]));
    queue_.clear();
}

void CallGraph::look_at(Place place) {
    look_at_unknowns(place);
    look_at_imports(place);
    const Facts& facts = project_.files[place.file].facts;
    for (const Index call : calls_of(place)) look_at_call(place, facts.calls[call]);
}

void CallGraph::look_at_unknowns(Place place) {
    const Facts& facts = project_.files[place.file].facts;
    const Index own = node(place);
    for (const DynamicImport& import : facts.dynamic_imports) {
        if (import.function != place.function || rules_.is_strict()) continue;
        matches_.push_back({own, -1, "an import that its source does not name", import.at});
    }
    if (place.function >= 0) return;
    if (!facts.is_complete) {
        const Position at = facts.diagnostics.empty() ? Position{} : facts.diagnostics.front().at;
        matches_.push_back({own, -1, "not all of it could be read", at});
    }
    if (!facts.plugins_known) matches_.push_back({own, -1, "pytest_plugins is computed", {}});
}

void CallGraph::look_at_imports(Place place) {
    const Index own = node(place);
    for (const Edge& edge : graph_.edges_from(place.file)) {
        if (edge.function != place.function || !can_run(edge.kind)) continue;
        links_.push_back({own, node({edge.to, -1}), edge.at});
    }
    for (const Boundary& boundary : graph_.boundary_of(place.file)) {
        if (boundary.function == place.function && can_run(boundary.kind)) add_import_match(own, boundary);
    }
}

void CallGraph::add_import_match(Index node, const Boundary& boundary) {
    Text module = boundary.module;
    Index rule = rules_.match_import(module);
    if (rule < 0 && !boundary.member.empty()) {
        module = arena_.join({boundary.module, ".", boundary.member});
        rule = rules_.match_import(module);
    }
    if (rule >= 0) matches_.push_back({node, rule, module, boundary.at});
}

void CallGraph::look_at_call(Place place, const Call& call) {
    const Index own = node(place);
    if (is_dynamic_import(place.file, call)) {
        matches_.push_back({own, -1, "an import that its source does not name", call.at});
    }
    const Resolved& found = resolved(place, call.callee);
    for (const Resolved::Hit& hit : found.hits) matches_.push_back({own, hit.rule, hit.what, call.at});
    for (const Index to : found.nodes) {
        links_.push_back({own, to, call.at});
        visit(to);
    }
}

// For facts that do not say so themselves: a call that is no import of a literal.
bool CallGraph::is_dynamic_import(Index file, const Call& call) const {
    if (call.callee != "importlib.import_module" && call.callee != "__import__") return false;
    const Facts& facts = project_.files[file].facts;
    if (!facts.dynamic_imports.empty()) return false;
    return std::none_of(facts.imports.begin(), facts.imports.end(), [&](const Import& import) {
        return import.is_call && import.function == call.caller && import.at.line == call.at.line;
    });
}

void CallGraph::match_as_written(Index file) {
    for (const Call& call : project_.files[file].facts.calls) {
        const Index own = node({file, call.caller});
        if (visited_[own] != 0) continue;
        if (const Index rule = rules_.match_call(call.callee); rule >= 0) {
            matches_.push_back({own, rule, call.callee, call.at});
        }
    }
    for (const Boundary& boundary : graph_.boundary_of(file)) {
        const Index own = node({file, boundary.function});
        if (visited_[own] == 0 && can_run(boundary.kind)) add_import_match(own, boundary);
    }
}

// --- what a call leads to -------------------------------------------------------------------------------------------

const CallGraph::Resolved& CallGraph::resolved(Place place, Text callee) {
    if (is_of_instance(callee)) {
        resolved_once_ = resolve(place, callee);
        return resolved_once_;
    }
    if (resolved_file_ != place.file) resolved_.clear();
    resolved_file_ = place.file;
    const auto known = resolved_.find(callee);
    if (known != resolved_.end()) return known->second;
    return resolved_.emplace(callee, resolve(place, callee)).first->second;
}

CallGraph::Resolved CallGraph::resolve(Place place, Text callee) {
    Resolved result;
    if (const Index rule = rules_.match_call(callee); rule >= 0) {
        result.hits.push_back({rule, callee});
        return result;
    }
    for (const Referent& target : references_.resolve_call(place.file, place.function, callee)) {
        add_target(place.file, target, result);
    }
    std::sort(result.nodes.begin(), result.nodes.end());
    result.nodes.erase(std::unique(result.nodes.begin(), result.nodes.end()), result.nodes.end());
    return result;
}

void CallGraph::add_target(Index file, const Referent& target, Resolved& to) {
    switch (target.kind) {
        case Referent::Kind::kFunction:
            to.nodes.push_back(node({target.file, target.index}));
            break;
        case Referent::Kind::kClass:
            add_class(target.file, target.index, to);
            break;
        case Referent::Kind::kMember:
            add_member(target, to);
            break;
        case Referent::Kind::kValue:
            add_methods(target.file, target.name, to);
            break;
        case Referent::Kind::kExternal:
            if (!target.is_as_written) return add_hit(target.name, to);
            // Of no import: a variable's method.
            if (target.name.find('.') == std::string::npos || is_imported(file, first_part(target.name))) return;
            add_methods(file, last_part(target.name), to);
            break;
        case Referent::Kind::kModule:
            break;
    }
}

void CallGraph::add_hit(Text callee, Resolved& to) {
    if (const Index rule = rules_.match_call(callee); rule >= 0) to.hits.push_back({rule, arena_.keep(callee)});
}

void CallGraph::add_class(Index file, Index index, Resolved& to) {
    const References::Lineage lineage = references_.lineage(file, index);
    for (const std::string& base : lineage.externals) add_hit(base, to);
    for (const auto& one : lineage.classes) {
        for (const Text name : kCalledByCreation) {
            const Index method = references_.method(one.file, one.index, name);
            if (method >= 0) to.nodes.push_back(node({one.file, method}));
        }
    }
}

void CallGraph::add_member(const Referent& target, Resolved& to) {
    const References::Lineage lineage = references_.lineage(target.file, target.index);
    for (const auto& one : lineage.classes) {
        const Index method = references_.method(one.file, one.index, target.name);
        if (method >= 0) return to.nodes.push_back(node({one.file, method}));
    }
    for (const std::string& base : lineage.externals) add_hit(base + "." + target.name, to);
}

void CallGraph::add_methods(Index file, Text name, Resolved& to) {
    if (name.empty()) return;
    const std::vector<Method>& methods = visible_in(file).methods;
    for (auto at = std::lower_bound(methods.begin(), methods.end(), Method{name, -1});
         at != methods.end() && at->name == name; ++at) {
        to.nodes.push_back(at->node);
    }
}

const CallGraph::Visible& CallGraph::visible_in(Index file) {
    Visible& visible = visible_[file];
    if (visible.is_made) return visible;
    visible.is_made = true;
    const Facts& facts = project_.files[file].facts;
    for (std::size_t at = 0; at < facts.classes.size(); ++at) add_methods_of(file, static_cast<Index>(at), visible);
    std::vector<Text> callees;
    for (const Call& call : facts.calls) {
        const bool has_name = !is_of_instance(call.callee) && !call.callee.starts_with(kOfUnknown);
        if (has_name) callees.push_back(call.callee);
    }
    std::sort(callees.begin(), callees.end());
    callees.erase(std::unique(callees.begin(), callees.end()), callees.end());
    for (const Text callee : callees) add_visible(file, callee, visible);
    for (const Import& import : facts.imports) {
        if (!import.never_runs && !import.member.empty() && import.member != "*") {
            add_visible(file, canonical(import), visible);
        }
    }
    std::sort(visible.methods.begin(), visible.methods.end());
    visible.methods.erase(std::unique(visible.methods.begin(), visible.methods.end()), visible.methods.end());
    return visible;
}

// A class that the file names, or what a function of another file may give it: an instance of that file's classes.
void CallGraph::add_visible(Index file, Text name, Visible& to) {
    for (const Referent& target : references_.resolve(file, name)) {
        if (target.kind == Referent::Kind::kClass) add_methods_of(target.file, target.index, to);
        const bool is_from_elsewhere = target.file >= 0 && target.file != file;
        const bool gives_anything = target.kind == Referent::Kind::kFunction || target.kind == Referent::Kind::kValue;
        if (!is_from_elsewhere || !gives_anything) continue;
        const Facts& facts = project_.files[target.file].facts;
        for (std::size_t at = 0; at < facts.functions.size(); ++at) {
            const Function& function = facts.functions[at];
            if (function.parent < 0 || is_special(function.name)) continue;
            to.methods.push_back({function.name, node({target.file, static_cast<Index>(at)})});
        }
    }
}

void CallGraph::add_methods_of(Index file, Index index, Visible& to) {
    for (const auto& one : references_.lineage(file, index).classes) {
        const Facts& facts = project_.files[one.file].facts;
        for (std::size_t at = 0; at < facts.functions.size(); ++at) {
            const Function& function = facts.functions[at];
            if (function.parent != one.index || is_special(function.name)) continue;
            to.methods.push_back({function.name, node({one.file, static_cast<Index>(at)})});
        }
    }
}

bool CallGraph::is_imported(Index file, Text name) const {
    const auto& imports = project_.files[file].facts.imports;
    return std::any_of(imports.begin(), imports.end(),
                       [&](const Import& import) { return import.level == 0 && first_part(import.module) == name; });
}

std::span<const Index> CallGraph::calls_of(Place place) {
    CallOrder& order = call_orders_[place.file];
    const auto& calls = project_.files[place.file].facts.calls;
    if (!order.is_made) {
        order.is_made = true;
        for (std::size_t at = 0; at < calls.size(); ++at) order.calls.push_back(static_cast<Index>(at));
        std::stable_sort(order.calls.begin(), order.calls.end(),
                         [&](Index left, Index right) { return calls[left].caller < calls[right].caller; });
    }
    const auto begin = std::lower_bound(order.calls.begin(), order.calls.end(), place.function,
                                        [&](Index call, Index caller) { return calls[call].caller < caller; });
    auto end = begin;
    while (end != order.calls.end() && calls[*end].caller == place.function) ++end;
    return {begin, end};
}

}  // namespace tach::analyzer
