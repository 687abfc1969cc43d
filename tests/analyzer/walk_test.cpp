#include "analyzer/walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/analyzer/project_directory.h"
#include "tests/catch.h"

using tach::analyzer::collection_order;
using tach::analyzer::read_settings;
using tach::analyzer::Settings;
using tach::analyzer::Walk;
using tach::analyzer::walk;
using tach::analyzer::WalkedFile;
using tach::analyzer::testing::ProjectDirectory;

namespace {

using Texts = std::vector<std::string>;

Settings settings_of(const ProjectDirectory& project, const Texts& arguments = {}, unsigned pytest = 9) {
    auto settings = read_settings({.directory = project.path(), .arguments = arguments, .pytest = pytest});
    REQUIRE(settings);
    return *settings;
}

Walk walk_of(const Settings& settings, Walk earlier = {}) {
    auto result = walk(settings, std::move(earlier));
    REQUIRE(result);
    return *result;
}

// What pytest would collect, in order.
Texts collected(const ProjectDirectory& project, const Texts& arguments = {}, unsigned pytest = 9) {
    const Settings settings = settings_of(project, arguments, pytest);
    const Walk found = walk_of(settings);
    Texts paths;
    for (const std::size_t at : collection_order(settings, found.files)) paths.push_back(found.files[at].path);
    return paths;
}

Texts all(const ProjectDirectory& project, const Texts& arguments = {}) {
    Texts paths;
    for (const WalkedFile& file : walk_of(settings_of(project, arguments)).files) paths.push_back(file.path);
    return paths;
}

WalkedFile file_of(const Walk& found, std::string_view path) {
    const auto place = std::find_if(found.files.begin(), found.files.end(),
                                    [path](const WalkedFile& file) { return file.path == path; });
    REQUIRE(place != found.files.end());
    return *place;
}

// Long enough for what was written to be settled.
void settle() {
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
}

}  // namespace

// --- what is collected ----------------------------------------------------------------------------------------------

TEST_CASE("files and directories are collected together by name, __init__.py first") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npython_files = *.py\n"},
                                   {"a-b/1.py", ""},
                                   {"a/2.py", ""},
                                   {"a.d/3.py", ""},
                                   {"a.py", ""},
                                   {"Z/4.py", ""},
                                   {"p/A.py", ""},
                                   {"p/__init__.py", ""},
                                   {"p/é/x.py", ""},
                                   {"p/z.py", ""},
                                   {"p/_a/y.py", ""}};
    CHECK(collected(project) == Texts{"Z/4.py", "a/2.py", "a-b/1.py", "a.d/3.py", "a.py", "p/__init__.py", "p/A.py",
                                      "p/_a/y.py", "p/z.py", "p/é/x.py"});
}

TEST_CASE("paths are collected in the order of the arguments") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/test_1.py", ""}, {"b/test_2.py", ""}, {"b/test_3.py", ""}};
    CHECK(collected(project, {"b/test_3.py", "a", "b"}, 9) == Texts{"a/test_1.py", "b/test_2.py", "b/test_3.py"});
    CHECK(collected(project, {"b/test_3.py", "a", "b"}, 8) == Texts{"b/test_3.py", "a/test_1.py"});
    CHECK(collected(project, {"b/test_3.py", "a", "b"}, 7) == Texts{"b/test_3.py", "a/test_1.py", "b/test_2.py"});
}

TEST_CASE("norecursedirs are patterns of names, or of the ends of paths") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\nnorecursedirs = a/b data*\n"},
                                   {"a/b/test_1.py", ""},
                                   {"a/c/test_2.py", ""},
                                   {"x/a/b/test_3.py", ""},
                                   {"data1/test_4.py", ""},
                                   {"my.data/test_5.py", ""},
                                   {".hidden/test_6.py", ""}};
    CHECK(collected(project) == Texts{".hidden/test_6.py", "a/c/test_2.py", "my.data/test_5.py"});
}

TEST_CASE("what is named is collected whatever it is called and wherever it lies") {
    const ProjectDirectory project{{"pytest.ini", ""},
                                   {"build/x/test_1.py", ""},
                                   {"build/x/more/test_2.py", ""},
                                   {"build/test_3.py", ""},
                                   {"checks.py", ""}};
    CHECK(collected(project).empty());
    CHECK(collected(project, {"build/x", "checks.py::test_it"}) ==
          Texts{"build/x/more/test_2.py", "build/x/test_1.py", "checks.py"});
}

TEST_CASE("--ignore names paths, --ignore-glob patterns of whole paths") {
    const ProjectDirectory project{
        {"pytest.ini", ""}, {"a/test_1.py", ""}, {"b/test_2.py", ""}, {"b/a/test_3.py", ""}, {"b/c/test_skip.py", ""}};
    CHECK(collected(project, {"--ignore=a", "--ignore", "b/test_2.py", "--ignore-glob=*_skip.py", "."}) ==
          Texts{"b/a/test_3.py"});
}

TEST_CASE("python_files may have directories in them") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npython_files = tests/*/spec_?.py\n"},
                                   {"tests/u/spec_1.py", ""},
                                   {"tests/u/v/spec_2.py", ""},
                                   {"o/tests/w/spec_3.py", ""},
                                   {"spec_4.py", ""},
                                   {"tests/u/spec_10.py", ""}};
    CHECK(collected(project) == Texts{"o/tests/w/spec_3.py", "tests/u/spec_1.py", "tests/u/v/spec_2.py"});
}

TEST_CASE("virtual environments are known by what each pytest knows them by") {
    const ProjectDirectory project{
        {"pytest.ini", ""},    {"new/pyvenv.cfg", ""},  {"new/test_1.py", ""},           {"old/bin/activate", ""},
        {"old/test_2.py", ""}, {"conda/test_3.py", ""}, {"conda/conda-meta/history", ""}};
    CHECK(collected(project, {}, 9) == Texts{"old/test_2.py"});
    CHECK(collected(project, {}, 7) == Texts{"conda/test_3.py", "new/test_1.py"});
    CHECK(collected(project, {"new"}, 9) == Texts{"new/test_1.py"});
    CHECK(collected(project, {"--collect-in-virtualenv"}).size() == 3);
}

TEST_CASE("texts with doctests are collected by their pattern, or if they are named") {
    const ProjectDirectory project{
        {"pytest.ini", ""}, {"test_a.txt", ""}, {"b.rst", ""}, {"c.md", ""}, {"d/testing.txt", ""}};
    CHECK(collected(project) == Texts{"d/testing.txt", "test_a.txt"});
    CHECK(collected(project, {"b.rst", "c.md"}) == Texts{"b.rst"});
    CHECK(collected(project, {"--doctest-glob=*.md"}) == Texts{"c.md"});
    CHECK(collected(project, {"-p", "no:doctest", "b.rst", "."}).empty());
    CHECK(file_of(walk_of(settings_of(project)), "test_a.txt").is_text);
}

TEST_CASE("--doctest-modules collects every module but __main__.py") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"p/__init__.py", ""}, {"p/__main__.py", ""}, {"p/a.py", ""}};
    CHECK(collected(project, {"--doctest-modules"}) == Texts{"p/__init__.py", "p/a.py"});
    const WalkedFile file = file_of(walk_of(settings_of(project, {"--doctest-modules"})), "p/a.py");
    CHECK(file.is_doctest);
    CHECK_FALSE(file.is_test);
}

TEST_CASE("what lies outside of the root is found, by its absolute path, with the conftest files above it") {
    const ProjectDirectory project{
        {"r/pytest.ini", ""}, {"r/test_1.py", ""}, {"o/conftest.py", ""}, {"o/s/test_2.py", ""}};
    const Settings settings = settings_of(project, {"-c", "r/pytest.ini", "o/s"});
    const Walk found = walk_of(settings);
    CHECK(file_of(found, project.path("o/s/test_2.py")).is_test);
    CHECK(file_of(found, project.path("o/conftest.py")).is_conftest);
    CHECK_FALSE(file_of(found, "test_1.py").is_test);
}

// --- what may be imported -------------------------------------------------------------------------------------------

TEST_CASE("all other Python files of the project are found, but for what is hidden, built or installed") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\ntestpaths = tests\n"},
                                   {"tests/test_a.py", ""},
                                   {"tests/helper.py", ""},
                                   {"src/p/__init__.py", ""},
                                   {"src/p/data.json", ""},
                                   {".tox/x.py", ""},
                                   {"build/lib/x.py", ""},
                                   {"env/pyvenv.cfg", ""},
                                   {"env/x.py", ""},
                                   {"src/p/__pycache__/x.py", ""},
                                   {"conftest.py", ""}};
    CHECK(all(project) == Texts{"conftest.py", "src/p/__init__.py", "tests/helper.py", "tests/test_a.py"});
}

TEST_CASE("a package that norecursedirs leave out may still be imported") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"src/build/__init__.py", ""}, {"src/build/test_x.py", ""}};
    CHECK(all(project) == Texts{"src/build/__init__.py", "src/build/test_x.py"});
    CHECK(collected(project).empty());
}

TEST_CASE("conftest.py files above confcutdir do not count, nor any with --noconftest") {
    const ProjectDirectory project{{"pytest.ini", ""},
                                   {"conftest.py", ""},
                                   {"one/conftest.py", ""},
                                   {"two/conftest.py", ""},
                                   {"one/test_a.py", ""}};
    const auto counting = [&](const Texts& arguments) {
        Texts paths;
        for (const WalkedFile& file : walk_of(settings_of(project, arguments)).files) {
            if (file.is_conftest) paths.push_back(file.path);
        }
        return paths;
    };
    CHECK(counting({}) == Texts{"conftest.py", "one/conftest.py", "two/conftest.py"});
    CHECK(counting({"--confcutdir=" + project.path("one")}) == Texts{"one/conftest.py", "two/conftest.py"});
    CHECK(counting({"--noconftest"}).empty());
}

TEST_CASE("on the way to what is collected only conftest.py and __init__.py matter") {
    const ProjectDirectory project{{"pytest.ini", ""}, {".h/conftest.py", ""}, {".h/__init__.py", ""},
                                   {".h/x.py", ""},    {".h/t/test_a.py", ""}, {".h/u/test_b.py", ""}};
    CHECK(all(project, {".h/t"}) == Texts{".h/__init__.py", ".h/conftest.py", ".h/t/test_a.py"});
}

TEST_CASE("a root that is no project is not looked through") {
    const ProjectDirectory project{{"a/x", ""}, {"b/test_1.py", ""}, {"c/other.py", ""}};
    const auto settings = read_settings(project.path("a"), {"../b"});
    REQUIRE(settings);
    const Walk found = walk_of(*settings);
    REQUIRE(found.files.size() == 1);
    CHECK(found.files[0].path == "b/test_1.py");
}

// --- links, and what cannot be read ---------------------------------------------------------------------------------

TEST_CASE("links to directories and files are followed") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"real/test_1.py", ""}};
    project.link("linked", "real");
    project.link("test_l.py", "real/test_1.py");
    CHECK(collected(project) == Texts{"linked/test_1.py", "real/test_1.py", "test_l.py"});
}

TEST_CASE("a link to where it is, to itself or to nothing costs a note") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"t/test_1.py", ""}};
    project.link("t/loop", "..");
    project.link("t/self", "self");
    project.link("t/gone.py", "nothing");
    const Walk found = walk_of(settings_of(project));
    CHECK(found.files.size() == 1);
    REQUIRE(found.problems.size() == 3);
    CHECK(found.problems[0].path == "t/gone.py");
    CHECK(found.problems[0].message == "is a link to nothing, or gone");
    CHECK(found.problems[1].path == "t/loop");
    CHECK(found.problems[1].message == "is a link to a directory that it is in: not followed");
    CHECK(found.problems[2].path == "t/self");
    CHECK(found.problems[2].message == "is a link to itself");
}

TEST_CASE("a directory that cannot be read is a problem and costs nothing else") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/test_1.py", ""}, {"b/test_2.py", ""}};
    if (::geteuid() == 0) return;  // who may read everything
    REQUIRE(::chmod(project.path("a").c_str(), 0) == 0);
    const Walk found = walk_of(settings_of(project));
    REQUIRE(::chmod(project.path("a").c_str(), 0700) == 0);
    CHECK(found.files.size() == 1);
    REQUIRE(found.problems.size() == 1);
    CHECK(found.problems[0].path == "a");
}

TEST_CASE("a root that is gone is an error") {
    Settings settings;
    settings.root = "/nonexistent/tach";
    CHECK_FALSE(walk(settings));
}

// --- once more ------------------------------------------------------------------------------------------------------

TEST_CASE("what did not change is not listed again, and the result is the same") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/test_1.py", "x"}, {"b/c/d.py", ""}, {"e/pyvenv.cfg", ""}};
    settle();
    const Settings settings = settings_of(project);
    const Walk first = walk_of(settings);
    CHECK(first.listed == 5);
    const Walk second = walk_of(settings, first);
    CHECK(second.listed == 0);
    REQUIRE(second.files.size() == 2);
    CHECK(second.files[0].path == "a/test_1.py");
    CHECK(second.files[0].signature == first.files[0].signature);
    CHECK(second.files[0].signature.size == 1);
    CHECK(second.directories.size() == first.directories.size());
    CHECK(walk_of(settings, second).listed == 0);
}

TEST_CASE("a directory that changed is listed again, alone") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/test_1.py", ""}, {"b/test_2.py", ""}};
    settle();
    const Settings settings = settings_of(project);
    const Walk first = walk_of(settings);
    project.write("b/test_3.py");
    project.remove("b/test_2.py");
    const Walk second = walk_of(settings, first);
    CHECK(second.listed == 1);
    REQUIRE(second.files.size() == 2);
    CHECK(second.files[1].path == "b/test_3.py");
}

TEST_CASE("a directory that changed just before it was listed is listed again") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/test_1.py", ""}};
    const Settings settings = settings_of(project);
    const Walk first = walk_of(settings);
    CHECK(walk_of(settings, first).listed > 0);
}

TEST_CASE("a file that changed has another signature") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"test_1.py", "a"}};
    settle();
    const Settings settings = settings_of(project);
    const Walk first = walk_of(settings);
    CHECK(is_settled(first.files[0].signature, first.taken_ns));
    project.write("test_1.py", "b");
    const Walk second = walk_of(settings, first);
    CHECK_FALSE(second.files[0].signature == first.files[0].signature);
    CHECK_FALSE(is_settled(second.files[0].signature, second.taken_ns));
}

TEST_CASE("a link that leads elsewhere is seen, though its directory is as it was") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a/x", ""}};
    project.link("a/l", "../b");
    settle();
    const Settings settings = settings_of(project);
    const Walk first = walk_of(settings);
    CHECK(first.problems.size() == 1);
    project.write("b/test_1.py");
    const Walk second = walk_of(settings, first);
    CHECK(second.problems.empty());
    CHECK(second.files.size() == 2);
}

TEST_CASE("a walk by other settings is not used") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"a.md", ""}};
    settle();
    const Walk first = walk_of(settings_of(project));
    CHECK(first.files.empty());
    CHECK(walk_of(settings_of(project, {"--doctest-glob=*.md"}), first).files.size() == 1);
}
