#include "analyzer/tests.h"

#include "analyzer/patterns.h"
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

Found find_in(std::vector<Source> sources, PytestVersion version = 902) {
    Found found{project_of(std::move(sources)), {}};
    TestOptions options;
    options.pytest = version;
    found.tests = find_tests(found.project, lookup_of(found.project), options);
    return found;
}

Dynamic reasons(const Found& found, Text id) {
    const Test* const test = find(found.tests, id);
    REQUIRE(test != nullptr);
    return test->reasons;
}

}  // namespace

TEST_CASE("functions and methods are found in the order of the source, by name") {
    Source source("a/test_it.py");
    source.def("test_b");
    source.def("helper");
    const Index cls = source.cls("TestIt");
    source.def("test_z", {}, cls);
    source.def("test_a", {}, cls);
    const Index inner = source.cls("TestInner", {}, cls);
    source.def("test_deep", {}, inner);
    source.cls("Helper");
    source.fixture("test_fixture");
    const Found found = find_in({source});
    CHECK(known(found.tests) == Strings{"a/test_it.py::test_b", "a/test_it.py::TestIt::test_z",
                                        "a/test_it.py::TestIt::test_a", "a/test_it.py::TestIt::TestInner::test_deep"});
    CHECK(dynamic(found.tests).empty());
    REQUIRE(found.tests.files.size() == 1);
    CHECK(found.tests.files[0].order_known);
    CHECK(find(found.tests, "a/test_it.py::TestIt::test_z")->line == 40);
}

TEST_CASE("names are chosen by prefix and by glob") {
    CHECK(matches_any("test_x", {"test"}));
    CHECK_FALSE(matches_any("xtest", {"test"}));
    CHECK(matches_any("it_works", {"check_", "*_works"}));
    CHECK(matches_glob("a1b", "a[0-9]b"));
    CHECK_FALSE(matches_glob("a1b", "a[!0-9]b"));
    CHECK(matches_glob("a[b", "a[b"));
    CHECK(matches_glob("aXXb", "a*b*"));
    CHECK_FALSE(matches_glob("abc", "a?"));
    CHECK(matches_glob("", "*"));
}

TEST_CASE("classes with a constructor, abstract ones and those that say no are not collected") {
    Source source("test_it.py");
    const auto add = [&](Text name, Texts bases) {
        const Index cls = source.cls(name, std::move(bases));
        source.def("test_x", {}, cls);
        return cls;
    };
    source.klass(add("TestInit", {})).has_init = true;
    add("TestInitChild", {"TestInit"});
    source.value("__test__", "False", add("TestOff", {}));
    add("TestOffChild", {"TestOff"});
    source.value("__test__", "True", add("On", {}));
    add("TestEnum", {"enum.Enum"});
    add("TestError", {"ValueError"});
    add("TestAbstract", {"abc.ABC"});
    source.function(7).decorators.push_back({"abc.abstractmethod", {}, false});
    add("TestConcrete", {"TestAbstract"});
    add("TestGeneric", {"typing.Generic", "object"});
    const Found found = find_in({source});
    CHECK(known(found.tests) ==
          Strings{"test_it.py::On::test_x", "test_it.py::TestConcrete::test_x", "test_it.py::TestGeneric::test_x"});
    CHECK(dynamic(found.tests).empty());
}

TEST_CASE("inherited tests come first, in the order of resolution, and may be hidden") {
    Source base("base.py");
    const Index one = base.cls("Base");
    base.def("test_b", {}, one);
    base.def("test_a", {}, one);
    base.def("test_gone", {}, one);
    Source source("test_it.py");
    source.import("base", "Base", "Mixin");
    const Index other = source.cls("Other");
    source.def("test_o", {}, other);
    const Index cls = source.cls("TestIt", {"base.Base", "Other"});
    source.def("test_own", {}, cls);
    source.def("test_a", {}, cls);
    source.value("test_gone", "None", cls);
    const Found found = find_in({base, source});
    CHECK(known(found.tests) == Strings{"test_it.py::TestIt::test_o", "test_it.py::TestIt::test_b",
                                        "test_it.py::TestIt::test_own", "test_it.py::TestIt::test_a"});
}

TEST_CASE("a base outside of the project makes a class dynamic, and all that it has") {
    Source source("test_it.py");
    const Index cls = source.cls("TestIt", {"somewhere.Base"});
    source.def("test_x", {}, cls);
    source.cls("Model", {"somewhere.Model"});
    source.cls("Error", {"Exception"});
    source.cls("Thing", {"json.JSONEncoder"});
    const Found found = find_in({source});
    CHECK(dynamic(found.tests) == Strings{"test_it.py::TestIt", "test_it.py::TestIt::test_x", "test_it.py::Model"});
    CHECK(has(reasons(found, "test_it.py::TestIt::test_x"), Dynamic::kBaseClass));
    CHECK(find(found.tests, "test_it.py::TestIt")->reach == Reach::kClass);
    CHECK(has(reasons(found, "test_it.py::Model"), Dynamic::kPossibleTestCase));
}

TEST_CASE("unittest's classes are collected whatever their name, by the names of their tests") {
    Source source("test_it.py");
    const Index unit = source.cls("Unit", {"unittest.TestCase"});
    source.def("testB", {}, unit);
    source.def("test_a", {}, unit);
    source.def("runTest", {}, unit);
    source.value("test_data", "", unit).is_data = true;
    source.parametrize(source.def("test_c", {}, unit), {"x"}, {"1"});
    const Index run = source.cls("RunOnly", {"unittest.IsolatedAsyncioTestCase"});
    source.def("runTest", {}, run);
    const Index child = source.cls("Child", {"Unit"});
    source.def("test_0", {}, child);
    source.value("test_a", "None", child);
    const Found found = find_in({source});
    CHECK(known(found.tests) == Strings{"test_it.py::Unit::testB", "test_it.py::Unit::test_a",
                                        "test_it.py::Unit::test_c", "test_it.py::RunOnly::runTest",
                                        "test_it.py::Child::testB", "test_it.py::Child::test_0",
                                        "test_it.py::Child::test_c"});
    CHECK(find(found.tests, "test_it.py::Unit::testB")->is_unittest);
}

TEST_CASE("imported tests are tests of the module that imports them") {
    Source shared("shared.py");
    shared.def("test_s");
    const Index cls = shared.cls("TestShared");
    shared.def("test_m", {}, cls);
    Source again("pkg/__init__.py");
    again.import("shared", "test_s", "test_r");
    Source source("test_it.py");
    source.import("pkg", "test_r");
    source.import("shared", "TestShared", "TestAs");
    source.import("elsewhere", "test_e");
    source.import("elsewhere", "helper");
    source.import("unittest", "TestCase");
    source.import("fastapi.testclient", "TestClient");
    source.value("test_alias", "pkg.test_r");
    Found found = find_in({shared, again, source});
    CHECK(known(found.tests) == Strings{"test_it.py::test_r", "test_it.py::TestAs::test_m", "test_it.py::test_alias"});
    CHECK(dynamic(found.tests) == Strings{"test_it.py::test_e"});
    CHECK(reasons(found, "test_it.py::test_e") == Dynamic::kOutside);
}

TEST_CASE("star imports bring public names or those of __all__") {
    Source shared("shared.py");
    shared.def("test_s");
    shared.def("_test_hidden");
    Source chosen("chosen.py");
    chosen.def("test_1");
    chosen.def("test_2");
    chosen.facts().has_exports = true;
    chosen.facts().exports = {"test_2"};
    Source source("test_it.py");
    source.import("shared", "*");
    source.import("chosen", "*");
    source.def("test_own");
    Source other("test_other.py");
    other.import("elsewhere", "*");
    other.def("test_own");
    const Found found = find_in({shared, chosen, source, other});
    CHECK(known(found.tests) == Strings{"test_it.py::test_s", "test_it.py::test_2", "test_it.py::test_own"});
    CHECK(has(reasons(found, "test_other.py"), Dynamic::kStarImport));
    CHECK(find(found.tests, "test_other.py")->reach == Reach::kFile);
    CHECK(find(found.tests, "test_other.py::test_own") != nullptr);
}

TEST_CASE("what is not certain is there, with its reason") {
    Source source("test_it.py");
    source.facts().functions.reserve(8);
    source.function(source.def("test_maybe")).is_conditional = true;
    source.function(source.def("test_decorated")).is_known = false;
    source.function(source.def("test_yields")).is_generator = true;
    source.value("test_made", "");
    source.value("test_number", "5");
    source.value("test_list", "").is_data = true;
    source.def("test_questioned");
    source.value("test_questioned.__test__", "False");
    const Index hooked = source.cls("TestHooked");
    source.def("pytest_generate_tests", {}, hooked);
    source.def("test_h", {}, hooked);
    const Found found = find_in({source});
    CHECK(known(found.tests).empty());
    CHECK(reasons(found, "test_it.py::test_maybe") == Dynamic::kConditional);
    CHECK(reasons(found, "test_it.py::test_decorated") == Dynamic::kDecorator);
    CHECK(reasons(found, "test_it.py::test_yields") == Dynamic::kYield);
    CHECK(reasons(found, "test_it.py::test_made") == Dynamic::kValue);
    CHECK(find(found.tests, "test_it.py::test_made")->reach == Reach::kFunction);
    CHECK(reasons(found, "test_it.py::test_questioned") == Dynamic::kValue);
    CHECK(reasons(found, "test_it.py::TestHooked::test_h") == Dynamic::kGenerated);
    CHECK(found.tests.tests.size() == 6);
}

TEST_CASE("what concerns a whole file is a reason for all of its tests") {
    Source skips("test_skips.py");
    skips.def("test_x");
    skips.facts().may_skip = true;
    Source broken("test_broken.py");
    broken.def("test_x");
    broken.facts().is_complete = false;
    Source makes("test_makes.py");
    makes.def("make");
    makes.facts().calls.push_back({"globals", 0, {}});
    makes.facts().calls.push_back({"make", -1, {}});
    Source off("test_off.py");
    off.value("__test__", "False");
    off.def("test_x");
    const Found found = find_in({skips, broken, makes, off});
    CHECK(reasons(found, "test_skips.py::test_x") == Dynamic::kModuleSkip);
    CHECK(reasons(found, "test_broken.py::test_x") == Dynamic::kIncomplete);
    CHECK(reasons(found, "test_broken.py") == Dynamic::kIncomplete);
    CHECK(reasons(found, "test_makes.py") == Dynamic::kGenerated);
    CHECK(find(found.tests, "test_off.py::test_x") == nullptr);
}

TEST_CASE("hooks of a conftest.py count below it, those that see all tests for all of them") {
    Source below("a/conftest.py");
    below.def("pytest_generate_tests", {"metafunc"});
    Source near("a/test_it.py");
    near.def("test_x");
    Source far("b/test_it.py");
    far.def("test_x");
    Found found = find_in({below, near, far});
    CHECK(known(found.tests) == Strings{"b/test_it.py::test_x"});
    CHECK(reasons(found, "a/test_it.py::test_x") == Dynamic::kGenerated);
    below.def("pytest_collection_modifyitems", {"items"});
    below.def("pytest_collect_file", {"parent"});
    found = find_in({below, near, far});
    CHECK(reasons(found, "b/test_it.py::test_x") == Dynamic::kHook);
    CHECK(find(found.tests, "a")->reach == Reach::kDirectory);
}

TEST_CASE("parameters multiply: from the definition up, then the class', then the module's") {
    Source source("test_it.py");
    const Index stacked = source.def("test_stack", {"y", "x"});
    source.parametrize(stacked, {"y"}, {"a", "b"});
    source.parametrize(stacked, {"x"}, {"1", "2"});
    const Index base = source.cls("TestBase");
    source.parametrize_class(base, {"m"}, {"module"});
    source.def("test_b", {"m"}, base);
    const Index derived = source.cls("TestDerived", {"TestBase"});
    source.parametrize_class(derived, {"c"}, {"c1", "c2"});
    source.def("test_c", {"m", "c"}, derived);
    source.value("test_b", "None", derived);
    const Found found = find_in({source});
    CHECK(known(found.tests) ==
          Strings{"test_it.py::test_stack[a-1]", "test_it.py::test_stack[a-2]", "test_it.py::test_stack[b-1]",
                  "test_it.py::test_stack[b-2]", "test_it.py::TestBase::test_b[module]",
                  "test_it.py::TestDerived::test_c[module-c1]", "test_it.py::TestDerived::test_c[module-c2]"});
    const Test* const test = find(found.tests, "test_it.py::TestDerived::test_c[module-c1]");
    REQUIRE(test->mark_count == 2);
    CHECK(found.tests.marks[test->first_mark].mark->parameters == 2);
    CHECK(found.tests.files[0].order_known);
}

TEST_CASE("ids are made unique as the version does it, and are not known if it depends on it") {
    const auto source = [] {
        Source made("test_it.py");
        made.parametrize(made.def("test_dup", {"x"}), {"x"}, {"a", "a", "b1", "b1"});
        return made;
    };
    CHECK(known(find_in({source()}, 804).tests) == Strings{"test_it.py::test_dup[a0]", "test_it.py::test_dup[a1]",
                                                           "test_it.py::test_dup[b1_0]", "test_it.py::test_dup[b1_1]"});
    CHECK(known(find_in({source()}, 704).tests) == Strings{"test_it.py::test_dup[a0]", "test_it.py::test_dup[a1]",
                                                           "test_it.py::test_dup[b10]", "test_it.py::test_dup[b11]"});
    const Found unknown = find_in({source()}, 0);
    CHECK(reasons(unknown, "test_it.py::test_dup") == Dynamic::kParameters);
}

TEST_CASE("two tests with one id are told") {
    Source source("test_it.py");
    const Index twice = source.def("test_x", {"x", "y"});
    source.parametrize(twice, {"y"}, {"a-b", "a"});
    source.parametrize(twice, {"x"}, {"c", "b-c"});
    const Found found = find_in({source});
    CHECK(reasons(found, "test_it.py::test_x[a-b-c]") == Dynamic::kDuplicate);
    CHECK(known(found.tests) == Strings{"test_it.py::test_x[a-b-b-c]", "test_it.py::test_x[a-c]"});
}

TEST_CASE("references in ids are the names of what they lead to") {
    Source lib("lib.py");
    lib.def("run");
    lib.cls("Engine");
    lib.function(lib.def("wrapped")).decorators.push_back({"functools.cache", {}, false});
    Source source("test_it.py");
    const auto add = [&](Text name, Text reference) {
        Parameters& made = source.parametrize(source.def(name, {"x"}), {"x"}, {"a"});
        made.sets[0].id[0] = {IdKind::kReference, reference};
    };
    add("test_function", "lib.run");
    add("test_class", "lib.Engine");
    add("test_wrapped", "lib.wrapped");
    add("test_outside", "os.getcwd");
    const Found found = find_in({lib, source});
    CHECK(known(found.tests) == Strings{"test_it.py::test_function[run]", "test_it.py::test_class[Engine]"});
    CHECK(dynamic(found.tests) == Strings{"test_it.py::test_wrapped", "test_it.py::test_outside"});
}

TEST_CASE("parameters that are computed, empty or not asked for leave the function") {
    Source source("test_it.py");
    source.parametrize(source.def("test_computed", {"x"}), {"x"}, {"a"}).known = false;
    source.parametrize(source.def("test_empty", {"x"}), {"x"}, {});
    source.parametrize(source.def("test_unused"), {"x"}, {"a"});
    const Found found = find_in({source});
    CHECK(dynamic(found.tests) ==
          Strings{"test_it.py::test_computed", "test_it.py::test_empty", "test_it.py::test_unused"});
    CHECK(find(found.tests, "test_it.py::test_empty")->reach == Reach::kFunction);
    CHECK(find(found.tests, "test_it.py::test_empty")->reasons == Dynamic::kParameters);
}

TEST_CASE("doctests are dynamic") {
    Source text("docs/use.txt");
    text.file.is_text = true;
    text.facts().has_doctests = true;
    Source empty("docs/none.txt");
    empty.file.is_text = true;
    const Found found = find_in({text, empty});
    CHECK(dynamic(found.tests) == Strings{"docs/use.txt::use.txt"});
}

TEST_CASE("what a condition decides keeps everything that it may hide") {
    Source source("test_it.py");
    const Index cls = source.cls("TestIt");
    source.def("test_x", {}, cls);
    source.klass(cls).is_conditional = true;
    source.klass(cls).has_init = true;
    Binding& deleted = source.value("test_deleted", "");
    deleted.kind = BindingKind::kDeleted;
    deleted.is_conditional = true;
    source.value("test_gone", "").kind = BindingKind::kDeleted;
    const Found found = find_in({source});
    CHECK(dynamic(found.tests) ==
          Strings{"test_it.py::TestIt", "test_it.py::TestIt::test_x", "test_it.py::test_deleted"});
    CHECK(reasons(found, "test_it.py::TestIt") == Dynamic::kConditional);
}

TEST_CASE("an alias in a class sees the names of the class first") {
    Source source("test_it.py");
    source.parametrize(source.def("check", {"x"}), {"x"}, {"1"});
    const Index cls = source.cls("TestIt");
    source.def("check", {}, cls);
    source.value("test_alias", "check", cls);
    const Found found = find_in({source});
    CHECK(known(found.tests) == Strings{"test_it.py::TestIt::test_alias"});
}

TEST_CASE("names that a star import and the module both bind are dynamic, and leave the order open") {
    Source deep("deep.py");
    deep.def("test_deep");
    Source shared("shared.py");
    shared.def("test_first");
    shared.import("deep", "*");
    shared.def("test_both");
    Source source("test_it.py");
    source.import("shared", "*");
    source.def("test_both");
    const Found found = find_in({deep, shared, source});
    CHECK(known(found.tests) == Strings{"test_it.py::test_first", "test_it.py::test_deep"});
    CHECK(dynamic(found.tests) == Strings{"test_it.py::test_both"});
    CHECK_FALSE(found.tests.files[0].order_known);
}

TEST_CASE("relative imports and re-exports are followed, cycles are not followed for ever") {
    Source package("pkg/__init__.py");
    package.import("one", "test_a", {}, 1);
    package.import("two", "test_loop", {}, 1);
    Source one("pkg/one.py");
    one.def("test_a");
    Source two("pkg/two.py");
    two.import("", "test_loop", {}, 1);
    Source source("pkg/test_it.py");
    source.import("", "test_a", {}, 1);
    source.import("", "test_loop", {}, 1);
    source.import("", "two", "test_two", 1);
    const Found found = find_in({package, one, two, source});
    CHECK(known(found.tests) == Strings{"pkg/test_it.py::test_a"});
    CHECK(dynamic(found.tests) == Strings{"pkg/test_it.py::test_loop"});
}

TEST_CASE("a class that inherits from itself, or without a consistent order, ends") {
    Source source("test_it.py");
    source.cls("TestSelf", {"TestSelf"});
    source.cls("TestOne", {"TestTwo"});
    source.cls("TestTwo", {"TestOne"});
    source.cls("A");
    source.cls("B", {"A"});
    const Index cross = source.cls("TestCross", {"A", "B"});
    source.def("test_x", {}, cross);
    const Index alias = source.cls("TestAlias");
    source.value("TestInner", "TestAlias", alias);
    source.def("test_x", {}, alias);
    const Found found = find_in({source});
    CHECK(has(reasons(found, "test_it.py::TestSelf"), Dynamic::kBaseClass));
    CHECK(has(reasons(found, "test_it.py::TestCross::test_x"), Dynamic::kBaseClass));
    CHECK(find(found.tests, "test_it.py::TestAlias::TestInner::test_x") != nullptr);
}

TEST_CASE("of a file that is collected in part, what node ids name is found, in their order") {
    Source source("test_it.py");
    const Index cls = source.cls("TestIt");
    source.def("test_in", {}, cls);
    source.parametrize(source.def("test_x", {"x"}), {"x"}, {"1", "2"});
    source.def("test_y");
    Index computed = source.def("test_z", {"z"});
    source.parametrize(computed, {"z"}, {}).known = false;
    Project project = project_of({source});
    project.settings.node_ids = {"test_it.py::test_z[3]", "test_it.py::test_x[2]", "test_it.py::TestIt",
                                 "test_it.py::test"};
    const Tests tests = find_tests(project, lookup_of(project), {});
    CHECK(known(tests) == Strings{"test_it.py::test_x[2]", "test_it.py::TestIt::test_in"});
    CHECK(dynamic(tests) == Strings{"test_it.py::test_z"});
    REQUIRE(tests.files.size() == 1);
    CHECK(tests.files[0].count == 3);
}

TEST_CASE("modules of tests that pytest would import by one name, or by none, are not certain") {
    std::vector<Source> sources;
    for (const char* path : {"a/test_x.py", "b/test_x.py", "b/test_y.py", "b/test_z.w.py"}) {
        sources.emplace_back(path).def("test_it");
    }
    Project project = project_of(std::move(sources));
    ModuleLookup lookup = lookup_of(project);
    lookup.name = [&](Index file) { return Text(project.files[static_cast<std::size_t>(file)].path).substr(2); };
    const Tests tests = find_tests(project, lookup, {});
    CHECK(known(tests) == Strings{"b/test_y.py::test_it"});
    CHECK(has(find(tests, "a/test_x.py::test_it")->reasons, Dynamic::kModuleName));
    CHECK(has(find(tests, "b/test_z.w.py::test_it")->reasons, Dynamic::kModuleName));
    project.settings.import_mode = ImportMode::kImportlib;
    CHECK(known(find_tests(project, lookup, {})).size() == 4);
}
