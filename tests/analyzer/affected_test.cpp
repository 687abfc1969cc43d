#include "analyzer/affected.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/analyzer/facts_builder.h"
#include "tests/catch.h"

using tach::analyzer::Affected;
using tach::analyzer::AffectedTest;
using tach::analyzer::ImportGraph;
using tach::analyzer::Modules;
using tach::analyzer::Project;
using tach::analyzer::References;
using tach::test::FactsBuilder;
using tach::test::ProjectBuilder;

namespace {

using Lines = std::vector<std::string>;

struct Selection {
    Selection(const ProjectBuilder& builder, Lines paths)
        : changed(std::move(paths)),
          project(builder.build()),
          modules(project),
          references(project, modules),
          graph(project, modules, references),
          affected(affected_by(changed, project, modules, graph)) {}

    Lines tests() const {
        Lines paths;
        for (const AffectedTest& test : affected.tests) paths.push_back(project.files[test.file].path);
        return paths;
    }

    Lines why(std::size_t test) const { return explain(affected, affected.tests[test], changed, project, graph); }

    Lines changed;
    Project project;
    Modules modules;
    References references;
    ImportGraph graph;
    Affected affected;
};

ProjectBuilder shop() {
    return ProjectBuilder()
        .file("src/shop/__init__.py")
        .file("src/shop/cart.py", FactsBuilder().from(".price", "total"))
        .file("src/shop/price.py", FactsBuilder().function("total"))
        .file("src/shop/lazy.py", FactsBuilder().function("f").from(".price", "total").inside(0))
        .file("src/shop/types.py", FactsBuilder().from(".price", "total").never())
        .file("tests/conftest.py", FactsBuilder().from("shop", "types"))
        .file("tests/test_cart.py", FactsBuilder().from("shop.cart", "total"))
        .file("tests/test_lazy.py", FactsBuilder().from("shop.lazy", "f"))
        .file("tests/test_none.py")
        .file("tests/data/script.py")
        .file("docs/conf.py")
        .file("tools/make.py");
}

}  // namespace

TEST_CASE("a change affects the tests that can come to run it, in functions too, not those for type checking") {
    const Selection selection(shop(), {"src/shop/price.py"});
    CHECK(selection.tests() == Lines{"tests/test_cart.py", "tests/test_lazy.py"});
    CHECK(selection.why(0) ==
          Lines{"tests/test_cart.py:1: import: src/shop/price.py", "src/shop/price.py has changed"});
    CHECK(selection.why(1) == Lines{"tests/test_lazy.py:1: import: src/shop/lazy.py",
                                    "src/shop/lazy.py:2: import in a function: src/shop/price.py",
                                    "src/shop/price.py has changed"});
}

TEST_CASE("a test file that has changed affects itself, a conftest.py all below it") {
    CHECK(Selection(shop(), {"tests/test_none.py"}).tests() == Lines{"tests/test_none.py"});
    const Lines all{"tests/test_cart.py", "tests/test_lazy.py", "tests/test_none.py"};
    CHECK(Selection(shop(), {"tests/conftest.py"}).tests() == all);
    CHECK(Selection(shop(), {"src/shop/types.py"}).tests() == all);
}

TEST_CASE("data affects the tests around it, or who imports the package it lies in") {
    const Lines all{"tests/test_cart.py", "tests/test_lazy.py", "tests/test_none.py"};
    CHECK(Selection(shop(), {"tests/data/answers.json"}).tests() == all);
    CHECK(Selection(shop(), {"tests/data/script.py"}).tests() == all);  // nothing imports it: a test may start it
    CHECK(Selection(shop(), {"tests/gone.py"}).tests() == all);

    const Selection data(ProjectBuilder()
                             .file("pkg/__init__.py")
                             .file("test_far.py")
                             .file("checks/test_near.py", FactsBuilder().import("pkg")),
                         {"pkg/data/table.csv"});
    CHECK(data.tests() == Lines{"checks/test_near.py"});
    CHECK(data.why(0) == Lines{"checks/test_near.py:1: import: pkg/__init__.py",
                               "pkg/__init__.py may depend on pkg/data/table.csv, which has changed"});
}

TEST_CASE("configuration affects everything, and so does what nobody is known to use") {
    for (const std::string path :
         {"pyproject.toml", "tox.ini", "requirements/dev.txt", "dev-requirements.txt", "uv.lock", "tach.toml",
          "setup.py", "schema/api.json", "Makefile", "tools/make.py"}) {
        const Selection selection(shop(), {"README.md", path});
        INFO(path);
        CHECK(selection.affected.everything);
        CHECK(selection.tests().size() == 3);
        CHECK(selection.why(0) == Lines{fmt::format("{} has changed: it can affect every test", path)});
    }
}

TEST_CASE("documentation and what services keep affect nobody") {
    const Lines paths{"README.md",
                      ".github/workflows/ci.yml",
                      "docs/conf.py",
                      "docs/style.css",
                      "LICENSE.txt",
                      "/elsewhere/file.c",
                      "tests/__pycache__/test_cart.cpython-311.pyc",
                      "tests/.tach/analysis"};
    const Selection selection(shop(), paths);
    CHECK(selection.tests().empty());
    CHECK(selection.affected.ignored == paths);
    CHECK_FALSE(Selection(shop(), {"tests/data/page.md"}).tests().empty());
}

TEST_CASE("who imports what it does not name depends on all below its directory") {
    const Selection selection(ProjectBuilder()
                                  .file("app/__init__.py")
                                  .file("app/loader.py", FactsBuilder().imports_anything())
                                  .file("app/plugins/one.py")
                                  .file("app/test_loader.py", FactsBuilder().from(".loader", "load"))
                                  .file("app/plugins/test_one.py", FactsBuilder().import("app.plugins.one"))
                                  .file("other/test_o.py"),
                              {"app/plugins/one.py"});
    CHECK(selection.tests() == Lines{"app/plugins/test_one.py", "app/test_loader.py"});
    CHECK(selection.why(1) == Lines{"app/test_loader.py:1: import: app/loader.py",
                                    "app/loader.py: imports what its source does not name: app/plugins/one.py",
                                    "app/plugins/one.py has changed"});
}

TEST_CASE("imports in a circle and long chains come to an end") {
    ProjectBuilder builder;
    std::vector<std::string> names;
    names.reserve(5000);
    for (int at = 0; at < 5000; ++at) names.push_back(fmt::format("m{}", at));
    for (int at = 0; at < 5000; ++at) {
        builder.file(names[at] + ".py", FactsBuilder().import(names[(at + 1) % 5000]));
    }
    builder.file("test_a.py", FactsBuilder().import(names[0]));
    const Selection selection(builder, {"m4999.py"});
    CHECK(selection.tests() == Lines{"test_a.py"});
    CHECK(selection.why(0).size() == 5001);
}
