#include "analyzer/import_graph.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/analyzer/facts_builder.h"
#include "tests/catch.h"

using tach::analyzer::Edge;
using tach::analyzer::ImportGraph;
using tach::analyzer::Modules;
using tach::analyzer::Project;
using tach::analyzer::References;
using tach::test::FactsBuilder;
using tach::test::ProjectBuilder;

namespace {

struct Graph {
    explicit Graph(const ProjectBuilder& builder)
        : project(builder.build()),
          modules(project),
          references(project, modules),
          graph(project, modules, references) {}

    // "to.py:LINE kind" of each edge.
    std::vector<std::string> edges(const std::string& from) const {
        std::vector<std::string> lines;
        for (const Edge& edge : graph.edges_from(modules.file_at(from))) {
            lines.push_back(fmt::format("{}:{} {}{}", project.files[edge.to].path, edge.at.line, word(edge.kind),
                                        edge.is_re_export ? ", re-exported" : ""));
        }
        return lines;
    }

    Project project;
    Modules modules;
    References references;
    ImportGraph graph;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("statements make edges of their kind, with their lines") {
    const Graph graph(ProjectBuilder()
                          .file("pkg/__init__.py")
                          .file("pkg/a.py")
                          .file("pkg/b.py")
                          .file("pkg/c.py")
                          .file("pkg/d.py")
                          .file("pkg/e.py")
                          .file("pkg/f.py")
                          .file("use.py", FactsBuilder()
                                              .import("pkg.a")
                                              .from("pkg", "b")
                                              .guarded()
                                              .import("pkg.c")
                                              .conditional()
                                              .from("pkg", "d")
                                              .never()
                                              .import("pkg.e")
                                              .call()
                                              .function("later")
                                              .import("pkg.f")
                                              .inside(0)));
    CHECK(graph.edges("use.py") == Lines{"pkg/a.py:1 import", "pkg/b.py:2 guarded import",
                                         "pkg/c.py:3 import in a branch", "pkg/d.py:4 import for type checking",
                                         "pkg/e.py:5 import call", "pkg/f.py:7 import in a function"});
    CHECK(graph.edges("pkg/a.py") == Lines{"pkg/__init__.py:0 package"});
}

TEST_CASE("a package runs before its modules, and the one around it before that") {
    const Graph graph(ProjectBuilder().file("a/__init__.py").file("a/b/__init__.py").file("a/b/c.py"));
    CHECK(graph.edges("a/b/c.py") == Lines{"a/b/__init__.py:0 package"});
    CHECK(graph.edges("a/b/__init__.py") == Lines{"a/__init__.py:0 package"});
    CHECK(graph.edges("a/__init__.py").empty());
}

TEST_CASE("a test has the conftest.py of its directory or the next above, which has the one above it") {
    const Graph graph(ProjectBuilder()
                          .file("conftest.py")
                          .file("tests/unit/conftest.py")
                          .file("tests/unit/test_a.py")
                          .file("tests/unit/helpers.py")
                          .file("tests/other/test_b.py"));
    CHECK(graph.edges("tests/unit/test_a.py") == Lines{"tests/unit/conftest.py:0 conftest"});
    CHECK(graph.edges("tests/unit/conftest.py") == Lines{"conftest.py:0 conftest"});
    CHECK(graph.edges("tests/other/test_b.py") == Lines{"conftest.py:0 conftest"});
    CHECK(graph.edges("tests/unit/helpers.py").empty());
    CHECK(graph.edges("conftest.py").empty());
}

TEST_CASE("plugins are loaded by who names them") {
    ProjectBuilder builder;
    builder.settings().plugins = {"given"};
    const Graph graph(builder.file("conftest.py", FactsBuilder().plugins({"plug.fixtures", "pytest_installed"}))
                          .file("plug/fixtures.py")
                          .file("given.py")
                          .file("test_a.py"));
    CHECK(graph.edges("conftest.py") == Lines{"plug/fixtures.py:0 plugin", "given.py:0 plugin"});
    CHECK(graph.edges("test_a.py") == Lines{"given.py:0 plugin", "conftest.py:0 conftest"});
    CHECK(graph.graph.is_plugin(graph.modules.file_at("plug/fixtures.py")));
    CHECK(graph.graph.is_plugin(graph.modules.file_at("conftest.py")));
    CHECK_FALSE(graph.graph.is_plugin(graph.modules.file_at("test_a.py")));
}

TEST_CASE("a name that a package takes from a module of its own is an edge to both") {
    const Graph graph(ProjectBuilder()
                          .file("pkg/__init__.py", FactsBuilder().from(".api", "*").from("._impl", "run"))
                          .file("pkg/_impl.py", FactsBuilder().function("run"))
                          .file("pkg/api.py", FactsBuilder().function("serve"))
                          .file("one.py", FactsBuilder().from("pkg", "run"))
                          .file("two.py", FactsBuilder().from("pkg", "serve"))
                          .file("three.py", FactsBuilder().from("pkg", "_impl"))
                          .file("four.py", FactsBuilder().from("pkg", "nothing")));
    CHECK(graph.edges("one.py") == Lines{"pkg/__init__.py:1 import", "pkg/_impl.py:1 import, re-exported"});
    CHECK(graph.edges("two.py") == Lines{"pkg/__init__.py:1 import", "pkg/api.py:1 import, re-exported"});
    CHECK(graph.edges("three.py") == Lines{"pkg/_impl.py:1 import"});
    CHECK(graph.edges("four.py") == Lines{"pkg/__init__.py:1 import"});
    CHECK(graph.edges("pkg/__init__.py") == Lines{"pkg/api.py:1 import", "pkg/_impl.py:2 import"});
}

TEST_CASE("installed packages are the boundary: named, not followed") {
    const Graph graph(ProjectBuilder().file("own.py").file("use.py", FactsBuilder()
                                                                         .import("numpy.linalg")
                                                                         .from("concurrent", "futures")
                                                                         .import("own")
                                                                         .import("json")
                                                                         .from("typing_only", "T")
                                                                         .never()));
    const auto use = graph.modules.file_at("use.py");
    CHECK(graph.graph.packages_of(use) == std::vector<tach::analyzer::Text>{"concurrent", "json", "numpy"});
    REQUIRE(graph.graph.boundary_of(use).size() == 4);
    CHECK(graph.graph.boundary_of(use)[1].module == "concurrent");
    CHECK(graph.graph.boundary_of(use)[1].member == "futures");
    CHECK(graph.graph.boundary_of(graph.modules.file_at("own.py")).empty());
}

TEST_CASE("a relative import that leads nowhere is noted, unless it says so itself") {
    const Graph graph(ProjectBuilder()
                          .file("pkg/__init__.py")
                          .file("pkg/a.py", FactsBuilder()
                                                .from(".missing", "thing")
                                                .from("._generated", "version")
                                                .guarded()
                                                .from("..", "beyond")));
    REQUIRE(graph.graph.diagnostics().size() == 2);
    const auto& first = graph.graph.diagnostics()[0];
    CHECK(first.file == graph.modules.file_at("pkg/a.py"));
    CHECK(first.diagnostic.severity == tach::analyzer::Severity::kNote);
    CHECK(first.diagnostic.at.line == 1);
    CHECK(first.diagnostic.message == "cannot find .missing, relative to this file");
    CHECK(graph.graph.diagnostics()[1].diagnostic.message == "cannot find .., relative to this file");
    CHECK(graph.edges("pkg/a.py") == Lines{"pkg/__init__.py:1 import"});  // where it would have to come from
}

TEST_CASE("of an ambiguous name there is an edge to each") {
    const Graph graph(ProjectBuilder()
                          .file("tests/a/helpers.py")
                          .file("tests/a/test_x.py")
                          .file("tests/b/helpers.py")
                          .file("tests/b/test_y.py")
                          .file("tests/test_z.py", FactsBuilder().import("helpers")));
    CHECK(graph.edges("tests/test_z.py") == Lines{"tests/a/helpers.py:1 import", "tests/b/helpers.py:1 import"});
}

TEST_CASE("an import that runs at import hides the same one in a function, the other way round both are edges") {
    const Graph graph(ProjectBuilder()
                          .file("a.py")
                          .file("use.py", FactsBuilder().import("a").function("f").import("a").inside(0))
                          .file("late.py", FactsBuilder().function("f").import("a").inside(0).import("a")));
    CHECK(graph.edges("use.py") == Lines{"a.py:1 import"});
    CHECK(graph.edges("late.py") == Lines{"a.py:2 import in a function", "a.py:3 import"});
}

TEST_CASE("re-exports in a circle come to an end") {
    const Graph graph(ProjectBuilder()
                          .file("a.py", FactsBuilder().from("b", "*"))
                          .file("b.py", FactsBuilder().from("a", "*").from("a", "x"))
                          .file("use.py", FactsBuilder().from("a", "x")));
    CHECK(graph.edges("use.py").front() == "a.py:1 import");
}
