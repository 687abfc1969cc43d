#include "analyzer/import_graph.h"

#include <algorithm>
#include <array>
#include <string>

namespace tach::analyzer {
namespace {

constexpr std::array<std::string_view, 9> kWords{"import",
                                                 "package",
                                                 "conftest",
                                                 "plugin",
                                                 "import call",
                                                 "import in a branch",
                                                 "guarded import",
                                                 "import in a function",
                                                 "import for type checking"};

EdgeKind kind_of(const Import& import) {
    if (import.never_runs) return EdgeKind::kTypeChecking;
    if (import.function >= 0) return EdgeKind::kInFunction;
    if (import.is_guarded) return EdgeKind::kGuarded;
    if (import.is_conditional) return EdgeKind::kConditional;
    return import.is_call ? EdgeKind::kCall : EdgeKind::kAtImport;
}

bool has_member(const Import& import) {
    return !import.member.empty() && import.member != "*";
}

std::string canonical(const Import& import) {
    std::string name(import.level, '.');
    name += import.module;
    return name;
}

std::string canonical_member(const Import& import) {
    std::string name = canonical(import);
    if (!import.module.empty()) name += '.';
    name += import.member;
    return name;
}

}  // namespace

std::string_view word(EdgeKind kind) {
    return kWords[static_cast<std::size_t>(kind)];
}

ImportGraph::ImportGraph(const Project& project, const Modules& modules, References& references)
    : project_(project), modules_(modules), references_(references) {
    const std::size_t count = project.files.size();
    known_.resize(count);
    is_plugin_.resize(count);
    first_.reserve(count + 1);
    outside_.reserve(count + 1);
    for (std::size_t at = 0; at < count; ++at) {
        const auto file = static_cast<Index>(at);
        first_.push_back(edges_.size());
        outside_.push_back(boundary_.size());
        if (project.files[at].is_left_out) continue;
        add_implicit(file);
        for (const Import& import : project.files[at].facts.imports) add_import(file, import);
    }
    first_.push_back(edges_.size());
    outside_.push_back(boundary_.size());
    index_by_target();
}

void ImportGraph::add_implicit(Index file) {
    const SourceFile& source = project_.files[file];
    Edge edge{.from = file, .kind = EdgeKind::kPackage};
    edge.to = source.is_text ? -1 : modules_.package(file);
    add(edge);
    edge.kind = EdgeKind::kPlugin;
    for (const Text plugin : source.facts.plugins) {
        for (const Index to : modules_.candidates(plugin, file)) {
            edge.to = to;
            is_plugin_[to] = 1;
            add(edge);
        }
    }
    if (!source.is_test && !source.is_conftest && !source.is_text) return;
    for (const std::string& plugin : project_.settings.plugins) {
        for (const Index to : modules_.candidates(plugin)) {
            edge.to = to;
            is_plugin_[to] = 1;
            add(edge);
        }
    }
    const Text directory = parent_directory(source.path);
    if (source.is_conftest) is_plugin_[file] = 1;
    edge.kind = EdgeKind::kConftest;
    if (!source.is_conftest) {
        edge.to = conftest_above(directory);
    } else if (!directory.empty()) {
        edge.to = conftest_above(parent_directory(directory));
    } else {
        edge.to = -1;
    }
    add(edge);
}

// The nearest one; it has an edge of its own to the next.
Index ImportGraph::conftest_above(Text directory) const {
    std::string path;
    while (true) {
        path.assign(directory);
        path += directory.empty() ? "conftest.py" : "/conftest.py";
        const Index file = modules_.file_at(path);
        if (file >= 0 && project_.files[static_cast<std::size_t>(file)].is_conftest) return file;
        if (directory.empty()) return -1;
        directory = parent_directory(directory);
    }
}

void ImportGraph::add_import(Index file, const Import& import) {
    const Edge edge{.from = file, .kind = kind_of(import), .function = import.function, .at = import.at};
    if (import.level > 0) {
        add_relative(file, import, edge);
    } else {
        add_absolute(file, import, edge);
    }
}

void ImportGraph::add_relative(Index file, const Import& import, const Edge& edge) {
    Edge found = edge;
    if (has_member(import)) {
        found.to = modules_.find_from(file, canonical_member(import));
        if (found.to >= 0) return add(found);
    }
    const std::string name = canonical(import);
    const Modules::Prefix prefix = modules_.find_prefix(file, name);
    found.to = prefix.file;
    add(found);
    // What a package without an __init__.py has can be files only.
    if (prefix.file < 0 || prefix.size != name.size()) return note_unresolved(file, import);
    if (has_member(import)) follow_re_export(file, import, found);
}

void ImportGraph::add_absolute(Index file, const Import& import, const Edge& edge) {
    Edge found = edge;
    if (has_member(import)) {
        const std::vector<Index> modules = modules_.candidates(canonical_member(import), file);
        for (const Index to : modules) {
            found.to = to;
            add(found);
        }
        if (!modules.empty()) return;
    }
    for (Text name = import.module; !name.empty();) {
        const std::vector<Index> modules = modules_.candidates(name, file);
        for (const Index to : modules) {
            found.to = to;
            add(found);
        }
        if (!modules.empty()) {
            if (has_member(import) && name == import.module) follow_re_export(file, import, found);
            return;
        }
        const std::size_t dot = name.rfind('.');
        name = dot == Text::npos ? Text() : name.substr(0, dot);
    }
    boundary_.push_back(
        {import.module, has_member(import) ? import.member : Text(), edge.kind, edge.function, edge.at});
}

void ImportGraph::follow_re_export(Index file, const Import& import, const Edge& edge) {
    for (const Referent& target : references_.resolve(file, canonical_member(import))) {
        if (target.file < 0 || target.file == edge.to) continue;
        Edge direct = edge;
        direct.to = target.file;
        direct.is_re_export = true;
        add(direct);
    }
}

// One edge for each pair of files and each function, of the kind that runs most surely; and none for a function if the
// import of the file runs the same anyway.
void ImportGraph::add(const Edge& edge) {
    if (edge.to < 0 || edge.to == edge.from) return;
    const std::size_t latest = known_[edge.to];
    if (latest > first_.back()) {
        Edge& known = edges_[latest - 1];
        if (known.function == edge.function) {
            if (edge.kind < known.kind) known = edge;
            return;
        }
        if (runs_at_import(known.kind)) return;
    }
    edges_.push_back(edge);
    known_[edge.to] = edges_.size();
}

void ImportGraph::note_unresolved(Index file, const Import& import) {
    if (import.never_runs || import.is_guarded || import.is_conditional) return;  // not there is one of its cases
    const Text message = arena_.join({"cannot find ", arena_.keep(canonical(import)), ", relative to this file"});
    diagnostics_.push_back({file, {Severity::kNote, import.at, message}});
}

void ImportGraph::index_by_target() {
    incoming_.assign(project_.files.size() + 1, 0);
    for (const Edge& edge : edges_) ++incoming_[edge.to + 1];
    for (std::size_t at = 1; at < incoming_.size(); ++at) incoming_[at] += incoming_[at - 1];
    by_target_.resize(edges_.size());
    std::vector<std::size_t> next(incoming_.begin(), incoming_.end() - 1);
    for (std::size_t at = 0; at < edges_.size(); ++at) by_target_[next[edges_[at].to]++] = static_cast<Index>(at);
}

std::span<const Edge> ImportGraph::edges_from(Index file) const {
    return {edges_.data() + first_[file], first_[file + 1] - first_[file]};
}

std::span<const Boundary> ImportGraph::boundary_of(Index file) const {
    return {boundary_.data() + outside_[file], outside_[file + 1] - outside_[file]};
}

std::span<const Index> ImportGraph::edges_to(Index file) const {
    return {by_target_.data() + incoming_[file], incoming_[file + 1] - incoming_[file]};
}

std::vector<Text> ImportGraph::packages_of(Index file) const {
    std::vector<Text> names;
    for (const Boundary& boundary : boundary_of(file)) {
        const Text module = boundary.module;
        if (can_run(boundary.kind)) names.push_back(module.substr(0, std::min(module.find('.'), module.size())));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

}  // namespace tach::analyzer
