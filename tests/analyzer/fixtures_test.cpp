#include "analyzer/fixtures.h"

#include <chrono>

#include "tests/analyzer/source_builder.h"
#include "tests/catch.h"

// What pytest does in each case was asked of pytest 7.4.4, 8.4.2 and 9.2.0.

using namespace tach::analyzer;

namespace {

using Strings = std::vector<std::string>;

struct Found {
    Project project;
    Tests tests;
};

Found find_in(std::vector<Source> sources, const TestOptions& options = {902, false, {}}) {
    Found found{project_of(std::move(sources)), {}};
    found.tests = find_tests(found.project, lookup_of(found.project), options);
    return found;
}

std::vector<Source> nested() {
    Source outer("conftest.py");
    outer.fixture("zz_auto").autouse = true;
    outer.fixture("aa_auto", {"tmp_path_factory"}, Scope::kSession).autouse = true;
    outer.fixture("base", {}, Scope::kFunction, {"p", "q"});
    outer.fixture("uses_base", {"base", "monkeypatch"});
    outer.fixture("over", {"caplog"});
    Source inner("a/conftest.py");
    inner.fixture("over", {"over", "base"});
    inner.fixture("deep", {"mid", "low"});
    inner.fixture("mid", {"inner"});
    inner.fixture("inner", {}, Scope::kFunction, {"i", "j"});
    inner.fixture("low", {}, Scope::kFunction, {"k", "l"});
    return {outer, inner};
}

}  // namespace

TEST_CASE("closures have pytest's order: autouse, what is asked for, by scope") {
    std::vector<Source> sources = nested();
    Source source("a/test_it.py");
    source.def("test_plain");
    source.def("test_deep", {"deep"});
    source.def("test_over", {"over"});
    source.parametrize(source.def("test_fix", {"uses_base", "x"}), {"x"}, {"1", "2"});
    source.parametrize(source.def("test_given", {"uses_base"}), {"base"}, {"7"});
    source.parametrize(source.def("test_indirect", {"uses_base"}), {"base"}, {"z"}).indirect = true;
    sources.push_back(source);

    const Found newest = find_in(sources);
    CHECK(closure_of(newest.tests, "a/test_it.py::test_plain") == "aa_auto tmp_path_factory request zz_auto");
    CHECK(closure_of(newest.tests, "a/test_it.py::test_deep[i-k]") ==
          "aa_auto tmp_path_factory request zz_auto deep mid inner low");
    CHECK(closure_of(newest.tests, "a/test_it.py::test_over[q]") ==
          "aa_auto tmp_path_factory request zz_auto over caplog base");
    CHECK(closure_of(newest.tests, "a/test_it.py::test_fix[q-2]") ==
          "aa_auto tmp_path_factory request zz_auto uses_base base monkeypatch x");
    CHECK(closure_of(newest.tests, "a/test_it.py::test_given[7]") ==
          "aa_auto tmp_path_factory request zz_auto uses_base base monkeypatch");
    CHECK(find(newest.tests, "a/test_it.py::test_indirect[z]") != nullptr);
    CHECK(dynamic(newest.tests).empty());

    const Found before = find_in(sources, {804, false, {}});
    CHECK(closure_of(before.tests, "a/test_it.py::test_deep[k-i]") ==
          "aa_auto tmp_path_factory zz_auto deep mid low request inner");
    CHECK(closure_of(before.tests, "a/test_it.py::test_over[q]") ==
          "aa_auto tmp_path_factory zz_auto over base request");
    CHECK(closure_of(before.tests, "a/test_it.py::test_fix[p-2]") ==
          "aa_auto tmp_path_factory zz_auto uses_base x base monkeypatch request");
    CHECK(dynamic(before.tests).empty());

    const Found unknown = find_in(sources, {});
    CHECK(dynamic(unknown.tests) == Strings{"a/test_it.py::test_deep"});
}

TEST_CASE("a class' fixtures are seen in it and in classes in it, the nearest first") {
    std::vector<Source> sources = nested();
    Source source("a/test_it.py");
    const Index cls = source.cls("TestIt");
    source.fixture("over", {"over"}, Scope::kFunction, {}, cls);
    const Index inner = source.cls("TestInner", {}, cls);
    source.def("test_n", {"over"}, inner);
    source.def("test_out", {"over"});
    sources.push_back(source);
    const Found found = find_in(sources);
    CHECK(closure_of(found.tests, "a/test_it.py::TestIt::TestInner::test_n[p]") ==
          "aa_auto tmp_path_factory request zz_auto over caplog base");
    const Test* const test = find(found.tests, "a/test_it.py::TestIt::TestInner::test_n[p]");
    const Closure& closure = found.tests.closures[static_cast<std::size_t>(test->closure)];
    CHECK(closure.overridden.size() == 2);
    // pytest 8 does not look through fixtures that are overridden.
    CHECK(known(find_in(sources, {804, false, {}}).tests) ==
          Strings{"a/test_it.py::TestIt::TestInner::test_n", "a/test_it.py::test_out[p]", "a/test_it.py::test_out[q]"});
}

TEST_CASE("usefixtures and the ini file's come before arguments") {
    Source conftest("conftest.py");
    conftest.fixture("one");
    conftest.fixture("two");
    conftest.fixture("three");
    Source source("test_it.py");
    const Index test = source.def("test_x", {"one"});
    Source::mark(source.function(test).marks, source.function(test).at, "usefixtures", {"two"});
    std::vector<Source> sources{conftest, source};
    Found found{project_of(sources), {}};
    found.project.settings.usefixtures = {"three"};
    found.tests = find_tests(found.project, lookup_of(found.project), {902, false, {}});
    CHECK(closure_of(found.tests, "test_it.py::test_x") == "three two one");
}

TEST_CASE("imported fixtures and those of plugins of the project count") {
    Source shared("shared.py");
    shared.fixture("made");
    shared.fixture("named").name = "other";
    Source plugin("plug.py");
    plugin.fixture("plugged", {}, Scope::kFunction, {"1", "2"});
    Source conftest("conftest.py");
    conftest.facts().plugins = {"plug"};
    conftest.import("shared", "made", "as_made");
    conftest.import("shared", "named");
    Source source("test_it.py");
    source.def("test_x", {"as_made", "other", "plugged"});
    const Found found = find_in({shared, plugin, conftest, source});
    CHECK(known(found.tests) == Strings{"test_it.py::test_x[1]", "test_it.py::test_x[2]"});
}

TEST_CASE("cycles are told with their chain, once") {
    Source source("test_it.py");
    source.fixture("a", {"b"});
    source.fixture("b", {"a"});
    source.def("test_x", {"a"});
    source.def("test_y", {"b"});
    const Found found = find_in({source});
    REQUIRE(messages(found.tests) ==
            Strings{"fixtures ask for each other: a -> b -> a", "fixtures ask for each other: b -> a -> b"});
    CHECK(found.tests.diagnostics[0].diagnostic.at.line == 20);
    CHECK(found.tests.diagnostics[0].file == 0);
}

TEST_CASE("an unknown name is a note, and an error only if all plugins are known") {
    Source source("test_it.py");
    source.fixture("a", {"nobody"});
    source.def("test_x", {"a"});
    source.def("test_y", {"told"});
    Found found = find_in({source});
    CHECK(messages(found.tests) ==
          Strings{"fixture 'told' is not in the project, a plugin may have it: test_y -> told",
                  "fixture 'nobody' is not in the project, a plugin may have it: a -> nobody"});
    CHECK(found.tests.diagnostics[0].diagnostic.severity == Severity::kNote);
    CHECK(known(found.tests).empty());
    CHECK(find(found.tests, "test_it.py::test_x")->reasons == Dynamic::kFixture);

    found = find_in({source}, {902, true, {"told"}});
    CHECK(messages(found.tests) == Strings{"fixture 'nobody' does not exist: a -> nobody"});
    CHECK(found.tests.diagnostics[0].diagnostic.severity == Severity::kError);
    CHECK(known(found.tests) == Strings{"test_it.py::test_y"});
}

TEST_CASE("a wide fixture that asks for a narrow one is told") {
    Source source("test_it.py");
    source.fixture("narrow");
    source.fixture("wide", {"narrow", "tmp_path", "tmp_path_factory"}, Scope::kSession);
    source.def("test_x", {"wide"});
    const Found found = find_in({source});
    CHECK(messages(found.tests) ==
          Strings{"fixture 'wide' of scope session asks for 'narrow' of scope function: wide -> narrow",
                  "fixture 'wide' of scope session asks for 'tmp_path' of scope function: wide -> tmp_path"});
}

TEST_CASE("a wide fixture with parameters leaves the order of the file open") {
    Source source("test_it.py");
    source.fixture("wide", {}, Scope::kModule, {"1", "2"});
    source.def("test_x", {"wide"});
    const Found found = find_in({source});
    CHECK(known(found.tests) == Strings{"test_it.py::test_x[1]", "test_it.py::test_x[2]"});
    CHECK_FALSE(found.tests.files[0].order_known);
}

TEST_CASE("fixtures have a closure by themselves") {
    const Found found = find_in(nested());
    for (const FixtureInfo& fixture : found.tests.fixtures) {
        if (fixture.name != "deep") continue;
        const Closure& closure = found.tests.closures[static_cast<std::size_t>(fixture.closure)];
        REQUIRE(closure.needs.size() == 4);
        CHECK(closure.needs[3].name == "low");
    }
}

// Run by hand, on a release build: analyzer-test "[.speed]".
TEST_CASE("ten thousand tests in five hundred files", "[.speed]") {
    std::vector<Source> sources = nested();
    static std::vector<std::string> names;
    names.reserve(20);
    for (int i = 0; i != 20; ++i) names.push_back("test_number_" + std::to_string(i));
    for (int i = 0; i != 500; ++i) {
        Source source("a/d" + std::to_string(i / 50) + "/test_file_" + std::to_string(i) + ".py");
        source.import("os", "path");
        source.import("json", "loads");
        const Index cls = source.cls("TestIt");
        for (int k = 0; k != 20; ++k) {
            Texts requests;
            if (k % 4 == 0) requests = {"tmp_path", "monkeypatch"};
            source.def(names[static_cast<std::size_t>(k)], requests, k % 2 == 0 ? cls : -1);
        }
        sources.push_back(std::move(source));
    }
    const Project project = project_of(std::move(sources));
    double best = 1e9;
    for (int i = 0; i != 20; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const Tests tests = find_tests(project, {[](Index, Text) { return -1; }}, {902, false, {}});
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
        best = std::min(best, took.count());
        REQUIRE(known(tests).size() == 10000);
    }
    WARN("best of 20: " << best << " ms");
}
