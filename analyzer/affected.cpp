#include "analyzer/affected.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tach::analyzer {
namespace {

// Names of files that decide how all tests run, wherever they lie.
constexpr std::array<Text, 16> kConfigurations{
    "pytest.ini",      ".pytest.ini",     "pytest.toml", ".pytest.toml",     "tox.ini",     "setup.cfg",
    "pyproject.toml",  "tach.toml",       "setup.py",    "Pipfile",          "poetry.toml", "uv.toml",
    ".python-version", "environment.yml", "tox.toml",    "environment.yaml",
};

// What no test looks at by its nature.
constexpr std::array<Text, 4> kDocumentation{".md", ".rst", ".adoc", ".cff"};
constexpr std::array<Text, 10> kNotes{"LICENSE", "LICENCE", "COPYING",   "NOTICE",     "AUTHORS",
                                      "CHANGES", "HISTORY", "CHANGELOG", "CODEOWNERS", "CONTRIBUTORS"};

Text name_of(Text path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_requirements(Text name) {
    const bool is_list = name.ends_with(".txt") || name.ends_with(".in");
    return is_list && (name.find("requirements") != Text::npos || name.find("constraints") != Text::npos);
}

bool is_configuration(Text path, const Settings& settings) {
    const Text name = name_of(path);
    if (path == settings.ini_file || is_requirements(name)) return true;
    if (name.ends_with(".lock") || name.starts_with("pylock.")) return true;
    const std::size_t slash = path.rfind('/');
    const Text directory = name_of(path.substr(0, slash == Text::npos ? 0 : slash));
    if (directory == "requirements") return true;
    return std::find(kConfigurations.begin(), kConfigurations.end(), name) != kConfigurations.end();
}

bool is_for_nobody(Text path) {
    // .github/, .gitignore, .vscode/, .pre-commit-config.yaml; and /elsewhere, of another project in the repository
    if (path.starts_with('.') || path.starts_with("docs/") || path.starts_with("doc/") || path.starts_with('/'))
        return true;
    const Text name = name_of(path);
    if (name == "noxfile.py") return true;
    for (const Text suffix : kDocumentation) {
        if (name.ends_with(suffix)) return true;
    }
    const Text stem = name.substr(0, std::min(name.find('.'), name.size()));
    return std::find(kNotes.begin(), kNotes.end(), stem) != kNotes.end();
}

// What running the tests leaves, wherever it lies. Of __pycache__, nothing is imported whose source is gone.
bool is_cached(Text path) {
    for (const Text name : {Text("__pycache__/"), Text(".pytest_cache/"), Text(".tach/")}) {
        const std::size_t found = path.find(name);
        if (found != Text::npos && (found == 0 || path[found - 1] == '/')) return true;
    }
    return false;
}

bool is_collected(const SourceFile& file) {
    return file.is_test || file.is_text;
}

class Search {
  public:
    Search(std::span<const std::string> changed, const Project& project, const Modules& modules,
           const ImportGraph& graph)
        : changed_(changed), project_(project), modules_(modules), graph_(graph), step_of_(project.files.size(), -1) {
        for (std::size_t at = 0; at < project.files.size(); ++at) {
            if (!project.files[at].facts.dynamic_imports.empty()) dynamic_.push_back(static_cast<Index>(at));
        }
    }

    Affected run() {
        for (std::size_t at = 0; at < changed_.size(); ++at) add_change(static_cast<Index>(at));
        if (result_.everything) {
            result_.steps.clear();
            for (std::size_t at = 0; at < project_.files.size(); ++at) {
                if (is_collected(project_.files[at])) result_.tests.push_back({static_cast<Index>(at), -1});
            }
            return std::move(result_);
        }
        for (std::size_t at = 0; at < result_.steps.size(); ++at) reach_importers(static_cast<Index>(at));
        for (std::size_t at = 0; at < project_.files.size(); ++at) {
            const Index step = step_of_[at];
            if (step >= 0 && is_collected(project_.files[at])) result_.tests.push_back({static_cast<Index>(at), step});
        }
        return std::move(result_);
    }

  private:
    void add_change(Index change) {
        const Text path = changed_[change];
        const Index file = modules_.file_at(path);
        if (is_configuration(path, project_.settings)) return everything(change);
        if (file >= 0 && is_reached(file, project_, graph_)) return add(file, {.file = file, .changed = change});
        add_data(path, change);
    }

    void everything(Index change) {
        if (result_.everything) return;
        result_.everything = true;
        result_.because = change;
    }

    void add_data(Text path, Index change) {
        if (is_cached(path)) {
            result_.ignored.emplace_back(path);
            return;
        }
        Text directory = parent_directory(path);
        while (!directory.empty() && !has_reached_files(directory)) directory = parent_directory(directory);
        if (!directory.empty()) {
            for (const SourceFile& other : below(directory)) {
                const Index file = index_of(other);
                add(file, {.file = file, .changed = change});
            }
        } else if (is_for_nobody(path)) {
            result_.ignored.emplace_back(path);
        } else {
            everything(change);
        }
    }

    [[nodiscard]] bool has_reached_files(Text directory) const {
        const auto files = below(directory);
        return std::any_of(files.begin(), files.end(),
                           [&](const SourceFile& file) { return is_reached(index_of(file), project_, graph_); });
    }

    [[nodiscard]] Index index_of(const SourceFile& file) const {
        return static_cast<Index>(&file - project_.files.data());
    }

    // The files are sorted, so those of a directory are in one piece.
    [[nodiscard]] std::span<const SourceFile> below(Text directory) const {
        const std::string prefix = std::string(directory) + "/";
        const std::string end = std::string(directory) + static_cast<char>('/' + 1);
        const auto less = [](const SourceFile& file, const std::string& path) { return file.path < path; };
        const auto first = std::lower_bound(project_.files.begin(), project_.files.end(), prefix, less);
        const auto last = std::lower_bound(first, project_.files.end(), end, less);
        return {first, last};
    }

    void add(Index file, const AffectedStep& step) {
        if (step_of_[file] >= 0) return;
        step_of_[file] = static_cast<Index>(result_.steps.size());
        result_.steps.push_back(step);
    }

    void reach_importers(Index step) {
        const Index file = result_.steps[step].file;
        for (const Index edge : graph_.edges_to(file)) {
            const Edge& importing = graph_.edges()[edge];
            if (can_run(importing.kind)) add(importing.from, {.file = importing.from, .next = step, .edge = edge});
        }
        for (const Index importer : dynamic_) {
            const Text directory = parent_directory(project_.files[importer].path);
            const Text path = project_.files[file].path;
            const bool is_below =
                directory.empty() || (path.starts_with(directory) && path.substr(directory.size()).starts_with('/'));
            if (is_below) add(importer, {.file = importer, .next = step});
        }
    }

    std::span<const std::string> changed_;
    const Project& project_;
    const Modules& modules_;
    const ImportGraph& graph_;
    std::vector<Index> step_of_;  // of each file
    std::vector<Index> dynamic_;
    Affected result_;
};

}  // namespace

bool is_reached(Index file, const Project& project, const ImportGraph& graph) {
    if (is_collected(project.files[file]) || graph.is_plugin(file)) return true;
    const auto importers = graph.edges_to(file);
    return std::any_of(importers.begin(), importers.end(),
                       [&](Index edge) { return can_run(graph.edges()[edge].kind); });
}

Affected affected_by(std::span<const std::string> changed, const Project& project, const Modules& modules,
                     const ImportGraph& graph) {
    return Search(changed, project, modules, graph).run();
}

std::vector<std::string> explain(const Affected& affected, const AffectedTest& test,
                                 std::span<const std::string> changed, const Project& project,
                                 const ImportGraph& graph) {
    std::vector<std::string> lines;
    if (affected.everything) {
        lines.push_back(fmt::format("{} has changed: it can affect every test", changed[affected.because]));
        return lines;
    }
    for (Index at = test.step; at >= 0; at = affected.steps[at].next) {
        const AffectedStep& step = affected.steps[at];
        const std::string& path = project.files[step.file].path;
        if (step.next < 0) {
            const std::string& cause = changed[step.changed];
            lines.push_back(cause == path ? fmt::format("{} has changed", path)
                                          : fmt::format("{} may depend on {}, which has changed", path, cause));
            break;
        }
        const std::string& next = project.files[affected.steps[step.next].file].path;
        if (step.edge < 0) {
            lines.push_back(fmt::format("{}: imports what its source does not name: {}", path, next));
            continue;
        }
        const Edge& edge = graph.edges()[step.edge];
        const std::string line = edge.at.line == 0 ? std::string() : fmt::format(":{}", edge.at.line);
        lines.push_back(fmt::format("{}{}: {}: {}", path, line, word(edge.kind), next));
    }
    return lines;
}

}  // namespace tach::analyzer
