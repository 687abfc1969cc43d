#pragma once

// Which test files a set of changed files can affect, and by which way.
//
// A test file is affected if it, or anything that can run because of it, has changed: all edges of the import graph
// count but those for type checking, imports in functions included. A changed file is
//   * a configuration of pytest, of tach or of the environment (ini files, pyproject.toml, requirements, lock files,
//     setup.py), wherever it lies: everything is affected;
//   * a file of the project that is collected, a plugin, or imported by another one: it is what has changed;
//   * anything else, which is data, native sources, scripts, Python files that are gone. A test may read or start it,
//   so
//     that all files have changed in and below the nearest directory upwards that has any of the former kind: its tests
//     are affected, and who imports something of it. If that is the root, everything is affected, but for what no test
//     looks at by its nature (docs/, *.md, licences, what Git, editors and services keep) and what lies outside of the
//     root: Affected::ignored has that, and what running the tests leaves (__pycache__/, .pytest_cache/, .tach/).
// A file that imports what its sources do not name (importlib.import_module of a variable) is taken to import all files
// in and below its directory.
//
// What this cannot see: a test that runs or reads a file of another directory; plugins that an installed distribution
// registers (entry points), unless Settings::plugins has them. No recursion; linear in the edges.

#include <span>
#include <string>
#include <vector>

#include "analyzer/import_graph.h"
#include "analyzer/modules.h"
#include "analyzer/project.h"

namespace tach::analyzer {

struct AffectedTest {
    Index file = -1;
    Index step = -1;  // into Affected::steps
};

// One link of the way from a test to what has changed.
struct AffectedStep {
    Index file = -1;
    Index next = -1;     // step of the file that it depends on; -1: it has changed itself
    Index edge = -1;     // into ImportGraph::edges(), to the file of `next`; -1: an import that the sources do not name
    Index changed = -1;  // of the last step: into the changed paths
};

struct Affected {
    bool everything = false;
    Index because = -1;               // of everything: which of the changed paths
    std::vector<AffectedTest> tests;  // test files, text files with doctests included, in the order of the project
    std::vector<AffectedStep> steps;
    std::vector<std::string> ignored;  // changed paths that affect nobody
};

// The same in words, for other programs.
struct AffectedFiles {
    struct File {
        std::string path;
        std::vector<std::string> why;  // the way to what has changed, see explain()
    };

    bool everything = false;
    std::string because;  // of everything: which of the changed paths
    std::vector<File> affected;
    std::vector<std::string> unaffected;  // the other files that the analysis has as test files
    std::vector<std::string> ignored;
};

// Paths are as SourceFile::path is.
[[nodiscard]] Affected affected_by(std::span<const std::string> changed, const Project& project, const Modules& modules,
                                   const ImportGraph& graph);

// It runs in a run of the tests. Of others, such as a script that a test starts, the graph knows nothing.
[[nodiscard]] bool is_reached(Index file, const Project& project, const ImportGraph& graph);

// One line for each file on the way from a test to the change: "tests/test_a.py:3: import: src/a.py".
[[nodiscard]] std::vector<std::string> explain(const Affected& affected, const AffectedTest& test,
                                               std::span<const std::string> changed, const Project& project,
                                               const ImportGraph& graph);

}  // namespace tach::analyzer
