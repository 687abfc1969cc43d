#pragma once

// Which file of a project makes which other one run, and why.
//
// Edges are what is written: import statements and literal import calls, with where they stand. And what happens
// without a statement: a module's package runs before it; a test file has the conftest.py files of its directory and of
// those above; pytest_plugins and -p load plugins. `import a.b.c` is one edge to the innermost of these that is a file,
// and that file's own edge to its package does the rest. `from pkg import name` is an edge to pkg/name.py if there is
// one, else to pkg/__init__.py, and also to where a re-export there takes the name from. Where a name may stand for
// several files, there is an edge to each of them.
//
// Installed packages are the boundary: their names are kept, nothing in them is looked at.
//
// Read-only once made, deterministic, linear in the number of imports. Views into the project's texts, which must stay.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/modules.h"
#include "analyzer/project.h"
#include "analyzer/references.h"

namespace tach::analyzer {

enum class EdgeKind : std::uint8_t {
    kAtImport,
    kPackage,   // the __init__.py around it, without a statement
    kConftest,  // the conftest.py of its directory, or the nearest above it
    kPlugin,    // pytest_plugins, or -p
    kCall,      // importlib.import_module("..."), pytest.importorskip("...")
    kConditional,
    kGuarded,     // below a `try` that catches ImportError
    kInFunction,  // when the function is called, if it is
    kTypeChecking,
};

[[nodiscard]] std::string_view word(EdgeKind kind);

// Does the importer's own import run it, if only perhaps?
[[nodiscard]] constexpr bool runs_at_import(EdgeKind kind) {
    return kind < EdgeKind::kInFunction;
}
[[nodiscard]] constexpr bool can_run(EdgeKind kind) {
    return kind != EdgeKind::kTypeChecking;
}

struct Edge {
    Index from = -1;
    Index to = -1;
    EdgeKind kind = EdgeKind::kAtImport;
    bool is_re_export = false;  // the way there goes through another file, which has an edge of its own
    Index function = -1;        // in whose body
    Position at;                // in `from`; no line: without a statement
};

// An import of what is no file of the project.
struct Boundary {
    Text module;  // dotted
    Text member;  // of `from module import member`; may be empty
    EdgeKind kind = EdgeKind::kAtImport;
    Index function = -1;
    Position at;
};

class ImportGraph {
  public:
    ImportGraph(const Project& project, const Modules& modules, References& references);

    // In the order of the source, those without a statement first.
    [[nodiscard]] std::span<const Edge> edges_from(Index file) const;
    [[nodiscard]] std::span<const Boundary> boundary_of(Index file) const;
    // Indexes into edges(), by the importer.
    [[nodiscard]] std::span<const Index> edges_to(Index file) const;
    [[nodiscard]] std::span<const Edge> edges() const { return edges_; }

    // Top-level names of the installed packages that a file can import at run time, sorted, each once.
    [[nodiscard]] std::vector<Text> packages_of(Index file) const;

    // Relative imports that lead nowhere.
    [[nodiscard]] std::span<const FileDiagnostic> diagnostics() const { return diagnostics_; }

    // pytest loads it as a plugin: conftest.py files, and what pytest_plugins and -p name.
    [[nodiscard]] bool is_plugin(Index file) const { return is_plugin_[file] != 0; }

  private:
    void add_implicit(Index file);
    void add_import(Index file, const Import& import);
    void add_relative(Index file, const Import& import, const Edge& edge);
    void add_absolute(Index file, const Import& import, const Edge& edge);
    void follow_re_export(Index file, const Import& import, const Edge& edge);
    void add(const Edge& edge);
    void note_unresolved(Index file, const Import& import);
    [[nodiscard]] Index conftest_above(Text directory) const;
    void index_by_target();

    const Project& project_;
    const Modules& modules_;
    References& references_;
    Arena arena_;
    std::vector<Edge> edges_;            // by `from`
    std::vector<std::size_t> first_;     // of each file, and one more
    std::vector<Boundary> boundary_;     // by file
    std::vector<std::size_t> outside_;   // of each file, and one more
    std::vector<Index> by_target_;       // into edges_
    std::vector<std::size_t> incoming_;  // of each file, and one more
    std::vector<std::size_t> known_;     // of each file: its latest edge, plus one
    std::vector<char> is_plugin_;
    std::vector<FileDiagnostic> diagnostics_;
};

}  // namespace tach::analyzer
