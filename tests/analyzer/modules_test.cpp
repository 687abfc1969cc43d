#include "analyzer/modules.h"

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "tests/analyzer/facts_builder.h"
#include "tests/catch.h"

using tach::analyzer::ImportMode;
using tach::analyzer::Index;
using tach::analyzer::Modules;
using tach::analyzer::Project;
using tach::test::ProjectBuilder;

namespace {

std::string path(const Project& project, Index file) {
    return file < 0 ? "-" : project.files[file].path;
}

}  // namespace

TEST_CASE("a package of the root directory and one of src are found by their names") {
    const Project project = ProjectBuilder()
                                .file("flat/__init__.py")
                                .file("flat/inner/__init__.py")
                                .file("flat/inner/a.py")
                                .file("src/pkg/__init__.py")
                                .file("src/pkg/b.py")
                                .file("single.py")
                                .build();
    const Modules modules(project);
    CHECK(path(project, modules.find("flat")) == "flat/__init__.py");
    CHECK(path(project, modules.find("flat.inner")) == "flat/inner/__init__.py");
    CHECK(path(project, modules.find("flat.inner.a")) == "flat/inner/a.py");
    CHECK(path(project, modules.find("pkg.b")) == "src/pkg/b.py");
    CHECK(path(project, modules.find("single")) == "single.py");
    CHECK(modules.find("b") == -1);
    CHECK(modules.find("json") == -1);
    CHECK(modules.find("") == -1);
    CHECK(modules.name(modules.file_at("src/pkg/b.py")) == "pkg.b");
    CHECK(modules.name(modules.file_at("flat/inner/__init__.py")) == "flat.inner");
    CHECK(modules.name(modules.file_at("single.py")) == "single");
}

TEST_CASE("tests without packages are imported by their base names, those in packages by the package's") {
    const Project project = ProjectBuilder()
                                .file("tests/test_a.py")
                                .file("tests/helpers.py")
                                .file("tests/conftest.py")
                                .file("checks/__init__.py")
                                .file("checks/unit/__init__.py")
                                .file("checks/unit/test_b.py")
                                .build();
    const Modules modules(project);
    CHECK(modules.name(modules.file_at("tests/test_a.py")) == "test_a");
    CHECK(modules.name(modules.file_at("tests/conftest.py")) == "conftest");
    CHECK(modules.name(modules.file_at("checks/unit/test_b.py")) == "checks.unit.test_b");
    CHECK(path(project, modules.find("helpers")) == "tests/helpers.py");
    CHECK(path(project, modules.find("tests.helpers")) == "tests/helpers.py");  // a namespace package
}

TEST_CASE("in import mode importlib a test's name is its path, and its directory is not searched") {
    ProjectBuilder builder;
    builder.settings().import_mode = ImportMode::kImportlib;
    const Project project =
        builder.file("tests/v1.2/test_a.py").file("tests/helpers.py").file("tests/test_c.py").build();
    const Modules modules(project);
    CHECK(modules.name(modules.file_at("tests/v1.2/test_a.py")) == "tests.v1_2.test_a");
    CHECK(modules.name(modules.file_at("tests/test_c.py")) == "tests.test_c");
    CHECK(modules.find("helpers") == -1);
}

TEST_CASE("pythonpath of the ini file is searched, however it is written") {
    ProjectBuilder builder;
    builder.settings().pythonpath = {"./lib/", "../shared"};
    const Project project =
        builder.file("lib/ns/a.py").file("/shared/b.py").file("lib/top/__init__.py").file("other/c.py").build();
    const Modules modules(project);
    CHECK(path(project, modules.find("ns.a")) == "lib/ns/a.py");
    CHECK(path(project, modules.find("top")) == "lib/top/__init__.py");
    CHECK(path(project, modules.find("b")) == "/shared/b.py");
    CHECK(modules.find("c") == -1);
    CHECK(modules.name(modules.file_at("lib/ns/a.py")) == "ns.a");
}

TEST_CASE("of one name in two directories the importer's own counts, and nobody's is unknown") {
    const Project project = ProjectBuilder()
                                .file("tests/a/helpers.py")
                                .file("tests/a/test_x.py")
                                .file("tests/b/helpers.py")
                                .file("tests/b/test_x.py")
                                .file("tests/test_y.py")
                                .build();
    const Modules modules(project);
    CHECK(path(project, modules.find("helpers", modules.file_at("tests/a/test_x.py"))) == "tests/a/helpers.py");
    CHECK(path(project, modules.find("helpers", modules.file_at("tests/b/test_x.py"))) == "tests/b/helpers.py");
    const Index undecided = modules.file_at("tests/test_y.py");
    CHECK(modules.find("helpers", undecided) == -1);
    CHECK(modules.find("test_x") == -1);
    CHECK(modules.candidates("helpers", undecided).size() == 2);
}

TEST_CASE("a package hides a module of its name") {
    const Project project = ProjectBuilder().file("a.py").file("a/__init__.py").file("test_a.py").build();
    const Modules modules(project);
    CHECK(path(project, modules.find("a", modules.file_at("test_a.py"))) == "a/__init__.py");
    CHECK(path(project, modules.find_from(modules.file_at("test_a.py"), ".a")) == "a/__init__.py");
}

TEST_CASE("packages of other directories count where nothing nearer has the name") {
    const Project project = ProjectBuilder()
                                .file("services/web/web/__init__.py")
                                .file("services/web/web/app.py")
                                .file("services/db/src/db.py")
                                .file("scripts/json.py")
                                .build();
    const Modules modules(project);
    CHECK(path(project, modules.find("web.app")) == "services/web/web/app.py");
    CHECK(path(project, modules.find("db")) == "services/db/src/db.py");
    CHECK(modules.find("json") == -1);
}

TEST_CASE("relative names start from the file's directory") {
    const Project project = ProjectBuilder()
                                .file("pkg/__init__.py")
                                .file("pkg/a.py")
                                .file("pkg/inner/__init__.py")
                                .file("pkg/inner/b.py")
                                .file("loose/c.py")
                                .file("loose/d.py")
                                .build();
    const Modules modules(project);
    const Index inner = modules.file_at("pkg/inner/b.py");
    CHECK(path(project, modules.find_from(inner, "..a")) == "pkg/a.py");
    CHECK(path(project, modules.find_from(inner, ".")) == "pkg/inner/__init__.py");
    CHECK(path(project, modules.find_from(inner, "..")) == "pkg/__init__.py");
    CHECK(path(project, modules.find_from(modules.file_at("pkg/inner/__init__.py"), ".b")) == "pkg/inner/b.py");
    CHECK(path(project, modules.find_from(modules.file_at("pkg/__init__.py"), ".inner.b")) == "pkg/inner/b.py");
    CHECK(path(project, modules.find_from(modules.file_at("loose/c.py"), ".d")) == "loose/d.py");
    CHECK(path(project, modules.find_from(inner, "pkg.a")) == "pkg/a.py");
    CHECK(modules.find_from(inner, "....a") == -1);
    CHECK(modules.find_from(inner, "..nothing") == -1);
    const Modules::Prefix prefix = modules.find_prefix(inner, "..a.function.attribute");
    CHECK(path(project, prefix.file) == "pkg/a.py");
    CHECK(prefix.size == 3);
}

TEST_CASE("a root that is itself a package gives its tests its name") {
    ProjectBuilder builder;
    builder.settings().root = "/home/user/thing";
    const Project project = builder.file("__init__.py").file("tests/__init__.py").file("tests/test_a.py").build();
    const Modules modules(project);
    CHECK(modules.name(modules.file_at("tests/test_a.py")) == "thing.tests.test_a");
    CHECK(path(project, modules.find("thing.tests")) == "tests/__init__.py");
    CHECK(path(project, modules.find("thing")) == "__init__.py");
    CHECK(path(project, modules.package(modules.file_at("tests/__init__.py"))) == "__init__.py");
}

TEST_CASE("text files and hidden directories have no names") {
    const Project project = ProjectBuilder().file("README.rst").file(".tools/a.py").build();
    const Modules modules(project);
    CHECK(modules.name(modules.file_at("README.rst")).empty());
    CHECK(modules.find(".tools.a") == -1);
    CHECK(modules.find("a") == -1);
}

TEST_CASE("twenty thousand files are no matter", "[.speed]") {
    ProjectBuilder builder;
    for (int package = 0; package < 200; ++package) {
        builder.file(fmt::format("src/project/part{}/__init__.py", package));
        for (int file = 0; file < 49; ++file)
            builder.file(fmt::format("src/project/part{}/module{}.py", package, file));
        for (int file = 0; file < 50; ++file) builder.file(fmt::format("tests/part{}/test_{}.py", package, file));
    }
    const Project project = builder.build();
    const auto start = std::chrono::steady_clock::now();
    const Modules modules(project);
    const auto ready = std::chrono::steady_clock::now();
    for (int package = 0; package < 200; ++package) {
        for (int file = 0; file < 49; ++file)
            CHECK(modules.find(fmt::format("project.part{}.module{}", package, file)) >= 0);
    }
    const std::chrono::duration<double, std::milli> spent = ready - start;
    WARN("made in " << spent.count() << " ms");
}
