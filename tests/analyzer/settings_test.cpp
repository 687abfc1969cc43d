#include "analyzer/settings.h"

#include <string>
#include <vector>

#include "analyzer/glob.h"
#include "analyzer/words.h"
#include "tests/analyzer/project_directory.h"
#include "tests/catch.h"

using tach::analyzer::ImportMode;
using tach::analyzer::Invocation;
using tach::analyzer::Settings;
using tach::analyzer::testing::ProjectDirectory;

namespace {

using Texts = std::vector<std::string>;

Settings read(const ProjectDirectory& project, const Texts& arguments = {}, unsigned pytest = 9,
              std::string_view below = {}) {
    const std::string directory = below.empty() ? project.path() : project.path(below);
    auto settings = tach::analyzer::read_settings({.directory = directory, .arguments = arguments, .pytest = pytest});
    REQUIRE(settings);
    return *settings;
}

// The patterns that the file which pytest takes says; each of these tests has another one in each file.
Texts files_of(const ProjectDirectory& project, const Texts& arguments = {}, unsigned pytest = 9) {
    return read(project, arguments, pytest).python_files;
}

}  // namespace

// --- which file -----------------------------------------------------------------------------------------------------

TEST_CASE("without a file, the root is where pytest is started, and pytest's own settings hold") {
    const ProjectDirectory project{{"test_a.py", ""}};
    const Settings settings = read(project);
    CHECK(settings.ini_file.empty());
    CHECK(settings.paths == Texts{"."});
    CHECK(settings.python_files == Texts{"test_*.py", "*_test.py"});
    CHECK(settings.doctest_glob == Texts{"test*.txt"});
    CHECK(settings.problems.empty());
}

TEST_CASE("files count in pytest's order, whatever is in a later one") {
    const ProjectDirectory project{{"pytest.toml", "[pytest]\npython_files = ['1']\n"},
                                   {".pytest.toml", "[pytest]\npython_files = ['2']\n"},
                                   {"pytest.ini", "[pytest]\npython_files = 3\n"},
                                   {".pytest.ini", "[pytest]\npython_files = 4\n"},
                                   {"pyproject.toml", "[tool.pytest.ini_options]\npython_files = '5'\n"},
                                   {"tox.ini", "[pytest]\npython_files = 6\n"},
                                   {"setup.cfg", "[tool:pytest]\npython_files = 7\n"}};
    CHECK(files_of(project, {}, 8) == Texts{"3"});
    CHECK(files_of(project, {}, 9) == Texts{"1"});
    const Texts order{"pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini"};
    for (std::size_t at = 0; at < order.size(); ++at) {
        project.remove(order[at]);
        CHECK(files_of(project) == Texts{std::to_string(at + 2)});
    }
}

TEST_CASE("an empty pytest.ini counts, a tox.ini without a section for pytest does not") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"sub/tox.ini", "[tox]\n"}, {"sub/test_a.py", ""}};
    const Settings settings = read(project, {}, 9, "sub");
    CHECK(settings.root == project.path());
    CHECK(settings.ini_file == "pytest.ini");
    CHECK(settings.directory == project.path("sub"));
    CHECK(settings.paths == Texts{"sub"});
}

TEST_CASE("an empty .pytest.ini counts for pytest 9 only") {
    const ProjectDirectory project{{".pytest.ini", ""}};
    CHECK(read(project, {}, 8).ini_file.empty());
    CHECK(read(project, {}, 9).ini_file == ".pytest.ini");
}

TEST_CASE("a pyproject.toml that says nothing to pytest is the file where there is no other, but for pytest 7") {
    const ProjectDirectory project{{"pyproject.toml", "[project]\nname = 'x'\n"}, {"sub/test_a.py", ""}};
    CHECK(read(project, {"sub"}, 8).root == project.path());
    CHECK(read(project, {"sub"}, 8).ini_file == "pyproject.toml");
    CHECK(read(project, {"sub"}, 7).ini_file.empty());
}

TEST_CASE("a setup.py makes a root where no file does") {
    const ProjectDirectory project{{"a/setup.py", ""}, {"a/b/test_a.py", ""}};
    const Settings settings = read(project, {"a/b"}, 9);
    CHECK(settings.root == project.path("a"));
    CHECK(settings.paths == Texts{"b"});
    CHECK(settings.is_anchored);
}

TEST_CASE("the search begins at what the arguments have in common") {
    const ProjectDirectory project{{"a/pytest.ini", ""}, {"a/x/test_1.py", ""}, {"a/y/test_2.py", ""}};
    const Settings settings = read(project, {"a/x/test_1.py::test_it", "a/y"});
    CHECK(settings.root == project.path("a"));
    CHECK(settings.paths == Texts{"x/test_1.py", "y"});
    CHECK(settings.node_ids == Texts{"x/test_1.py::test_it"});
    CHECK(settings.deselects);
}

TEST_CASE("a root that arguments merely have in common is no project to look through") {
    const ProjectDirectory project{{"a/test_1.py", ""}, {"b/c/test_2.py", ""}};
    const Settings settings = read(project, {"../b"}, 9, "a");
    CHECK(settings.root == project.path());
    CHECK_FALSE(settings.is_anchored);
}

TEST_CASE("-c names the file, and its directory is the root") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"sub/other.ini", "[pytest]\npython_files = x.py\n"}};
    const Settings settings = read(project, {"-c", "sub/other.ini"});
    CHECK(settings.root == project.path("sub"));
    CHECK(settings.ini_file == "other.ini");
    CHECK(settings.python_files == Texts{"x.py"});
}

TEST_CASE("-c of no file at all asks for none, and leaves the root to the arguments") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npython_files = x.py\n"}};
    const Settings settings = read(project, {"--config-file=/dev/null"});
    CHECK(settings.root == project.path());
    CHECK(settings.python_files == Texts{"test_*.py", "*_test.py"});
}

TEST_CASE("--rootdir moves the root, not the file") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npythonpath = src\n"}, {"sub/test_a.py", ""}};
    const Settings settings = read(project, {"--rootdir=sub", "sub"});
    CHECK(settings.root == project.path("sub"));
    CHECK(settings.ini_file == project.path("pytest.ini"));
    CHECK(settings.pythonpath == Texts{project.path("src")});
    CHECK(settings.paths == Texts{"."});
}

// --- what it says ---------------------------------------------------------------------------------------------------

TEST_CASE("an INI file's values go on in indented lines, and only whole lines are comments") {
    const ProjectDirectory project{
        {"tox.ini",
         "# above\n[tox]\nenvlist = a\n[pytest]  ; here\npython_files:\n    a_*.py\n"
         "    # not this\n    'b c.py'\nnorecursedirs= x # y\npython_classes = Check *Suite\n"}};
    const Settings settings = read(project);
    CHECK(settings.python_files == Texts{"a_*.py", "b c.py"});
    CHECK(settings.norecursedirs == Texts{"x", "#", "y"});
    CHECK(settings.python_classes == Texts{"Check", "*Suite"});
    CHECK(settings.problems.empty());
}

TEST_CASE("a pyproject.toml has lists as well as texts") {
    const ProjectDirectory project{{"pyproject.toml",
                                    "[tool.pytest.ini_options]\npython_functions = 'check it_*'\n"
                                    "usefixtures = ['one', 'two three']\nconsider_namespace_packages = true\n"
                                    "collect_imported_tests = 'No'\n"}};
    const Settings settings = read(project);
    CHECK(settings.python_functions == Texts{"check", "it_*"});
    CHECK(settings.usefixtures == Texts{"one", "two three"});
    CHECK(settings.consider_namespace_packages);
    CHECK_FALSE(settings.collect_imported_tests);
}

TEST_CASE("[tool.pytest] is pytest 9's, and its values have types") {
    const ProjectDirectory project{
        {"pyproject.toml",
         "[tool.pytest]\npython_files = ['a.py']\npython_classes = 'A'\ncollect_imported_tests = false\n"}};
    const Settings settings = read(project);
    CHECK(settings.python_files == Texts{"a.py"});
    CHECK(settings.python_classes == Texts{"Test"});
    CHECK_FALSE(settings.collect_imported_tests);
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].line == 3);
    CHECK(settings.problems[0].message == "python_classes: expected a list of strings");
    CHECK(files_of(project, {}, 8) == Texts{"test_*.py", "*_test.py"});
}

TEST_CASE("addopts are words of a command line") {
    const ProjectDirectory project{
        {"pytest.ini",
         "[pytest]\naddopts = -ra --strict-markers --ignore=a --ignore b\n"
         "    \"--ignore-glob=*/c d\" -p one -pno:two -p two -p no:one --import-mode=importlib\n"
         "    --doctest-modules --doctest-glob '*.md' -n 4 --cov src --reruns 3\n"},
        {"src/a.py", ""}};
    const Settings settings = read(project);
    CHECK(settings.ignore == Texts{"a", "b"});
    CHECK(settings.ignore_glob == Texts{project.path("*/c d")});
    CHECK(settings.plugins == Texts{"two"});
    CHECK(settings.import_mode == ImportMode::kImportlib);
    CHECK(settings.doctest_modules);
    CHECK(settings.doctest_glob == Texts{"*.md"});
    CHECK(settings.paths == Texts{"."});
    CHECK_FALSE(settings.deselects);
    CHECK(settings.problems.empty());
}

TEST_CASE("what selects tests is told, unless it is taken back") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\naddopts = -m 'not slow'\n"}};
    CHECK(read(project).deselects);
    CHECK_FALSE(read(project, {"-m", ""}).deselects);
    CHECK(read(project, {"-m=", "-xvk", "name"}).deselects);
    CHECK(read(project, {"-m=", "--deselect", "test_a.py"}).deselects);
    CHECK(read(project, {"-m=", "--lf"}).deselects);
}

TEST_CASE("PYTEST_ADDOPTS comes before the arguments, addopts before both") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\naddopts = --import-mode=append --ignore=1\n"}};
    const auto settings = tach::analyzer::read_settings(
        {.directory = project.path(), .arguments = {"--ignore=3"}, .addopts = "--import-mode importlib --ignore=2"});
    REQUIRE(settings);
    CHECK(settings->ignore == Texts{"1", "2", "3"});
    CHECK(settings->import_mode == ImportMode::kImportlib);
}

TEST_CASE("-o overrides the file; in addopts only for pytest 9") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\naddopts = -o python_files=a.py\n"}};
    CHECK(files_of(project, {}, 9) == Texts{"a.py"});
    CHECK(files_of(project, {}, 8) == Texts{"test_*.py", "*_test.py"});
    CHECK(files_of(project, {"-o", "python_files=b.py c.py"}, 8) == Texts{"b.py", "c.py"});
}

TEST_CASE("without its plugin, no doctest is collected") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\naddopts = --doctest-modules -p no:doctest\n"}};
    CHECK(read(project).doctest_glob.empty());
    CHECK_FALSE(read(project).doctest_modules);
}

// --- what is collected ----------------------------------------------------------------------------------------------

TEST_CASE("testpaths are patterns, sorted one by one, and hold at the root only") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\ntestpaths = u*/tests pkg/**/tests nothing t\n"},
                                   {"u2/tests/a", ""},
                                   {"u1/tests/a", ""},
                                   {"pkg/tests/a", ""},
                                   {"pkg/x/tests/a", ""},
                                   {"pkg/.x/tests/a", ""},
                                   {"t/a", ""}};
    CHECK(read(project).paths == Texts{"u1/tests", "u2/tests", "pkg/tests", "pkg/x/tests", "t"});
    CHECK(read(project, {}, 9, "u1").paths == Texts{"u1"});
    CHECK(read(project, {"u2"}).paths == Texts{"u2"});
}

TEST_CASE("testpaths that find nothing are a problem, and everything is collected") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\ntestpaths = nothing\n"}};
    const Settings settings = read(project);
    CHECK(settings.paths == Texts{"."});
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].line == 2);
}

TEST_CASE("an argument within another one counts as it does for each pytest") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"t/a/x", ""}, {"t/b/x", ""}, {"t-z/x", ""}};
    const Texts arguments{"t/b", "t-z", "t", "t/b"};
    CHECK(read(project, arguments, 9).paths == Texts{"t-z", "t"});
    CHECK(read(project, arguments, 8).paths == Texts{"t/b", "t-z"});
    CHECK(read(project, arguments, 7).paths == Texts{"t/b", "t-z", "t"});
    CHECK(read(project, {"--keep-duplicates", "t/b", "t"}, 8).paths == Texts{"t/b", "t"});
}

TEST_CASE("a node id counts unless the file is collected as a whole") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"t/test_a.py", ""}};
    CHECK(read(project, {"t/test_a.py::A::b[1]"}).node_ids == Texts{"t/test_a.py::A::b[1]"});
    CHECK(read(project, {"t/test_a.py::A", "t/test_a.py"}).node_ids.empty());
    CHECK(read(project, {"t/test_a.py::A", "t"}).node_ids.empty());
}

TEST_CASE("what does not exist is a problem, but not after an option that may have it as its value") {
    const ProjectDirectory project{{"pytest.ini", ""}, {"t/x", ""}};
    const Settings settings = read(project, {"nothing"});
    CHECK(settings.paths.empty());
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].message == "file or directory not found: nothing");
    CHECK(read(project, {"--what-is-it", "nothing", "t"}).paths == Texts{"t"});
    CHECK(read(project, {"--what-is-it", "nothing"}).paths == Texts{"."});
}

TEST_CASE("--pyargs finds modules in pythonpath") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npythonpath = src\n"},
                                   {"src/pkg/__init__.py", ""},
                                   {"src/pkg/tests/__init__.py", ""},
                                   {"src/pkg/checks.py", ""}};
    CHECK(read(project, {"--pyargs", "pkg.tests", "pkg.checks::test_it"}).paths ==
          Texts{"src/pkg/tests", "src/pkg/checks.py"});
}

// --- what is broken -------------------------------------------------------------------------------------------------

TEST_CASE("a broken INI file is a problem with its line, and counts as empty") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\npython_files = a.py\nwhat is this\n"}};
    const Settings settings = read(project);
    CHECK(settings.ini_file == "pytest.ini");
    CHECK(settings.python_files == Texts{"test_*.py", "*_test.py"});
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].file == project.path("pytest.ini"));
    CHECK(settings.problems[0].line == 3);
    CHECK(settings.problems[0].message == "unexpected line: 'what is this'");
}

TEST_CASE("each of iniconfig's complaints") {
    const auto complaint = [](std::string_view text) {
        const ProjectDirectory project{{"pytest.ini", text}};
        const Settings settings = read(project);
        REQUIRE(settings.problems.size() == 1);
        return std::to_string(settings.problems[0].line) + ": " + settings.problems[0].message;
    };
    CHECK(complaint("a = 1\n") == "1: no section header defined");
    CHECK(complaint("[a]\n[b]\n[a]\n") == "3: duplicate section 'a'");
    CHECK(complaint("[a]\nx = 1\nx: 2\n") == "3: duplicate name 'x'");
    CHECK(complaint("[a]\n  x = 1\n") == "2: unexpected value continuation");
    CHECK(complaint("[]\n") == "1: empty section name");
}

TEST_CASE("a broken TOML file is a problem with its line") {
    const ProjectDirectory project{{"pyproject.toml", "[project]\nname =\n"}};
    const Settings settings = read(project);
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].file == project.path("pyproject.toml"));
    CHECK(settings.problems[0].line == 2);
}

TEST_CASE("a [pytest] in setup.cfg is a problem") {
    const ProjectDirectory project{{"setup.cfg", "[pytest]\npython_files = a.py\n"}};
    CHECK(read(project).problems.size() == 1);
}

TEST_CASE("a quotation that is not closed is a problem with its line") {
    const ProjectDirectory project{{"pytest.ini", "[pytest]\n\naddopts = -k 'x\n"}};
    const Settings settings = read(project);
    REQUIRE(settings.problems.size() == 1);
    CHECK(settings.problems[0].line == 3);
}

TEST_CASE("a directory that is none is an error") {
    CHECK_FALSE(tach::analyzer::read_settings("/nonexistent/tach", {}));
}

// --- the parts ------------------------------------------------------------------------------------------------------

TEST_CASE("words are split as by a shell") {
    using tach::analyzer::split_words;
    CHECK(split_words("a  'b c' \"d\\\"\\e\" f\\ g h'i'\"\" ''") == Texts{"a", "b c", "d\"\\e", "f g", "hi", ""});
    CHECK_FALSE(split_words("a 'b"));
    CHECK_FALSE(split_words("a \\"));
}

TEST_CASE("patterns are Python's") {
    using tach::analyzer::matches;
    CHECK(matches("*a*b", "xaxbab"));
    CHECK_FALSE(matches("*a*b", "xaxba"));
    CHECK(matches("*", ".hidden/x"));
    CHECK(matches("c?.py", "cé.py"));
    CHECK_FALSE(matches("c??.py", "cé.py"));
    CHECK(matches("[!a]x", "bx"));
    CHECK_FALSE(matches("[!a]x", "ax"));
    CHECK(matches("[]]x", "]x"));
    CHECK(matches("[a-c]x[", "bx["));
    CHECK(matches("{arch}", "{arch}"));
    CHECK_FALSE(matches("a", "A"));
    CHECK(matches("", ""));
    CHECK_FALSE(matches("", "a"));
}

TEST_CASE("a pattern with a slash is one of the end of a path") {
    using tach::analyzer::matches_path;
    CHECK(matches_path("b", "/a/b"));
    CHECK_FALSE(matches_path("a", "/a/b"));
    CHECK(matches_path("a/b", "/x/a/b"));
    CHECK_FALSE(matches_path("a/b", "/xa/b"));
    CHECK(matches_path("a/*.py", "/x/a/b/c.py"));
    CHECK(matches_path("/x/*", "/x/a"));
}
