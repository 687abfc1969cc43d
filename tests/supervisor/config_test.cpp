#include "supervisor/config.h"

#include <algorithm>

#include "supervisor/settings.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tach::supervisor;
using tach::test::TempDir;
using Words = std::vector<std::string>;

namespace {

Config read(const std::string& text) {
    auto config = read_tach_toml(text, "tach.toml");
    if (!config) FAIL(config.error().what);
    return *config;
}

std::string refused(const std::string& text) {
    const auto config = read_tach_toml(text, "tach.toml");
    if (config) FAIL("accepted");
    return config.error().what;
}

Config loaded(const std::filesystem::path& cwd, const std::optional<std::string>& option = std::nullopt) {
    auto config = load_config(cwd, option);
    if (!config) FAIL(config.error().what);
    return *config;
}

Settings settled(const Words& words, const std::string& text) {
    return settle(*parse_command_line(words), read(text));
}

}  // namespace

TEST_CASE("every key is read") {
    const Config config = read(R"(
python = ".venv/bin/python"
workers = 3
mode = "shared"
engine = "fork"
seed = 9223372036854775807
strict_isolation = true
args = ["-ra", "-p", "no:randomly"]
[second_opinion]
enabled = false
budget_s = 2.5
[parallel]
split_wide = true
[plugins]
rewindable = ["benchmark", "tests/conftest.py"]
)");
    CHECK(config.python->value == ".venv/bin/python");
    CHECK(config.workers->value == Workers{Workers::Kind::kCount, 3});
    CHECK(config.mode->value == Mode::kShared);
    CHECK(config.engine->value == Engine::kFork);
    CHECK(config.seed->value == 9223372036854775807U);
    CHECK(config.strict_isolation->value);
    CHECK(config.args->value == Words{"-ra", "-p", "no:randomly"});
    CHECK_FALSE(config.second_opinion->value);
    CHECK(config.second_opinion_budget_s->value == 2.5);
    CHECK(config.split_wide->value);
    CHECK(config.rewindable->value == Words{"benchmark", "tests/conftest.py"});
    CHECK(config.mode->where == "tach.toml:4:8");
}

TEST_CASE("what the file does not say is empty") {
    const Config config = read("");
    CHECK_FALSE(config.python);
    CHECK_FALSE(config.workers);
    CHECK_FALSE(config.args);
    CHECK_FALSE(config.second_opinion);
}

TEST_CASE("numbers and words are both accepted where both make sense") {
    CHECK(read("workers = \"auto\"").workers->value == Workers{Workers::Kind::kAuto});
    CHECK(read("workers = \"logical\"").workers->value == Workers{Workers::Kind::kLogical});
    CHECK(read("workers = 0").workers->value == Workers{Workers::Kind::kCount, 1});
    CHECK(read("second_opinion.budget_s = 10").second_opinion_budget_s->value == 10.0);
}

TEST_CASE("an unknown key is named with its place and the nearest key") {
    CHECK(refused("\n\nwrokers = 3") == "tach.toml:3:1: wrokers: unknown key, did you mean workers?");
    CHECK(refused("[second_opinion]\nenable = true") ==
          "tach.toml:2:1: second_opinion.enable: unknown key, did you mean enabled?");
    CHECK(refused("[plugin]\nrewindable = []").find(": plugin: unknown key, did you mean plugins?") !=
          std::string::npos);
    CHECK(refused("[parallel]\nxyzzy = 1") == "tach.toml:2:1: parallel.xyzzy: unknown key, expected split_wide");
    CHECK(refused("anything = []")
              .find("expected python, workers, mode, engine, seed, strict_isolation, args, "
                    "second_opinion, snapshot, parallel, loader, plugins or toxicity") != std::string::npos);
}

TEST_CASE("what the table of the analyzer holds is not looked at, but it is a table") {
    const Config config = read("seed = 7\n[toxicity]\nmode = 3\n[[toxicity.rule]]\nanything = [1]\n");
    CHECK(config.seed->value == 7);
    const auto found = read_pyproject("[tool.tach.toxicity]\nmode = \"strict\"\n", "pyproject.toml");
    REQUIRE(found);
    CHECK(*found);
    CHECK(refused("toxicity = 3") == "tach.toml:1:12: toxicity: is 3 (an integer), expected a table, [toxicity]");
    CHECK(refused("[toxicty]\n").find("did you mean toxicity?") != std::string::npos);
}

TEST_CASE("a wrong type or value is named with its place and what is expected") {
    CHECK(refused("python = 3") ==
          "tach.toml:1:10: python: is 3 (an integer), expected a string, the interpreter to run");
    CHECK(refused("workers = \"four\"") ==
          "tach.toml:1:11: workers: is \"four\" (a string), expected a whole number from 0 to 1024, \"auto\" "
          "or \"logical\"");
    for (const char* text : {"workers = -1",
                             "workers = 1025",
                             "workers = 4.0",
                             "workers = \"4\"",
                             "mode = \"snapshot\"",
                             "mode = true",
                             "engine = \"forks\"",
                             "seed = -1",
                             "seed = 1.0",
                             "seed = \"1\"",
                             "strict_isolation = 1",
                             "args = \"-ra\"",
                             "args = [1]",
                             "python = \"\"",
                             "second_opinion = true",
                             "second_opinion.enabled = \"no\"",
                             "second_opinion.budget_s = \"30\"",
                             "second_opinion.budget_s = -1",
                             "second_opinion.budget_s = nan",
                             "second_opinion.budget_s = inf",
                             "parallel.split_wide = 0",
                             "plugins.rewindable = true",
                             "plugins = []",
                             "seed = 2024-01-01",
                             "workers = {a = 1}"}) {
        const std::string what = refused(text);
        INFO(text << " -> " << what);
        CHECK(what.rfind("tach.toml:1:", 0) == 0);
        CHECK(what.find(", expected ") != std::string::npos);
        CHECK(std::count(what.begin(), what.end(), '\n') == 0);
    }
}

TEST_CASE("the wrong element of an array is the place that is named") {
    CHECK(refused("args = [\n  \"-ra\",\n  3,\n]").rfind("tach.toml:3:3: args: is 3 (an integer), expected ", 0) == 0);
}

TEST_CASE("a file that is not TOML is named with the place") {
    const std::string what = refused("workers = 3\nmode = ");
    CHECK(what.rfind("tach.toml:2:", 0) == 0);
    CHECK(what.find("not TOML") != std::string::npos);
    CHECK(std::count(what.begin(), what.end(), '\n') == 0);
}

TEST_CASE("args are pytest's alone") {
    CHECK(read("args = [\"-k\", \"-n\", \"--color=yes\"]").args->value == Words{"-k", "-n", "--color=yes"});
    CHECK(refused("args = [\"-ra\", \"-n4\"]") ==
          "tach.toml:1:8: args: holds -n, an option of tach itself; use its key, or the command line");
    CHECK(refused("args = [\"--\"]").find("holds \"--\"") != std::string::npos);
    CHECK(refused("args = [\"--seed\"]").rfind("tach.toml:1:8: args: --seed: its value is missing", 0) == 0);
}

TEST_CASE("pyproject.toml holds the same keys under tool.tach") {
    const auto config = read_pyproject("[project]\nname = 'x'\n[tool.tach]\nworkers = 2\n", "pyproject.toml");
    REQUIRE(config);
    REQUIRE(*config);
    CHECK((*config)->workers->where == "pyproject.toml:4:11");
    CHECK(read_pyproject("[tool.tach.second_opinion]\nbudget = 1\n", "pyproject.toml").error().what ==
          "pyproject.toml:2:1: tool.tach.second_opinion.budget: unknown key, did you mean budget_s?");
    CHECK(read_pyproject("[tool]\ntach = 3\n", "pyproject.toml").error().what ==
          "pyproject.toml:2:8: tool.tach: is 3 (an integer), expected a table, [tool.tach]");
}

TEST_CASE("a pyproject.toml without tool.tach is none of tach's business") {
    CHECK(*read_pyproject("[tool.pytest.ini_options]\naddopts = '-ra'\n", "p") == std::nullopt);
    CHECK(*read_pyproject("# attached\n[tool.other]\n", "p") == std::nullopt);
    CHECK(*read_pyproject("this is not TOML", "p") == std::nullopt);
}

TEST_CASE("a pyproject.toml that speaks of tach and is not TOML is refused with the place") {
    const auto config = read_pyproject("[tool.tach]\nworkers =\n", "pyproject.toml");
    REQUIRE_FALSE(config);
    CHECK(config.error().what.rfind("pyproject.toml:2:", 0) == 0);
}

TEST_CASE("the nearest file upwards is read, and it alone") {
    const TempDir project;
    project.file("tach.toml", "workers = 1\nmode = \"shared\"\n");
    project.file("inner/pyproject.toml", "[tool.other]\n");
    const auto deep = project.directory("inner/tests/unit");
    CHECK(loaded(deep).file == project.path() / "tach.toml");
    CHECK(loaded(deep).workers->where == "../../../tach.toml:1:11");
    project.file("inner/pyproject.toml", "[tool.tach]\nworkers = 2\n");
    CHECK(loaded(deep).workers->value.count == 2);
    CHECK_FALSE(loaded(deep).mode);
    project.file("inner/tach.toml", "workers = 3\n");
    CHECK(loaded(deep).workers->value.count == 3);
}

TEST_CASE("a directory called tach.toml is no configuration") {
    const TempDir project;
    const auto inner = project.directory("inner");
    project.file("tach.toml", "workers = 1\n");
    project.directory("inner/tach.toml");
    CHECK(loaded(inner).file == project.path() / "tach.toml");
}

TEST_CASE("--config reads the named file in place of the nearest") {
    const TempDir project;
    project.file("tach.toml", "workers = 1\n");
    project.file("ci/fast.toml", "workers = 2\n");
    project.file("ci/pyproject.toml", "[tool.tach]\nworkers = 3\n");
    project.file("ci/empty/pyproject.toml", "[project]\n");
    CHECK(loaded(project.path(), "ci/fast.toml").workers->where == "ci/fast.toml:1:11");
    CHECK(loaded(project.path(), "ci/fast.toml").file == project.path() / "ci/fast.toml");
    CHECK(loaded(project.path(), "ci/pyproject.toml").workers->value.count == 3);
    CHECK(load_config(project.path(), "none.toml").error().what.rfind("--config none.toml: no such file", 0) == 0);
    CHECK(load_config(project.path(), "ci/empty/pyproject.toml").error().what ==
          "--config ci/empty/pyproject.toml: it has no table [tool.tach]");
}

TEST_CASE("the command line beats the file, and the file the defaults") {
    const Settings settings = settled({"-n2", "-x"}, "workers = 8\nseed = 5\nargs = [\"-ra\"]");
    CHECK(settings.workers.value == Workers{Workers::Kind::kCount, 2});
    CHECK(settings.workers.source == Source::kCommandLine);
    CHECK(settings.seed.value == 5);
    CHECK(settings.seed.where == "tach.toml:2:8");
    CHECK(settings.mode.value == Mode::kIsolated);
    CHECK(settings.mode.source == Source::kDefault);
    CHECK(settings.pytest_args == Words{"-ra", "-x"});
}

TEST_CASE("strict isolation switches the second opinion off") {
    CHECK(settled({}, "").second_opinion.value);
    CHECK(settled({}, "").second_opinion_budget_s.value == 30);
    CHECK_FALSE(settled({"--no-second-opinion"}, "").second_opinion.value);
    CHECK_FALSE(settled({"--strict-isolation"}, "second_opinion.enabled = true").second_opinion.value);
    CHECK_FALSE(settled({}, "strict_isolation = true").second_opinion.value);
}

TEST_CASE("settings say where they come from") {
    CHECK(describe(settled({}, "")).empty());
    CHECK(describe(settled({"--mode", "shared"}, "workers = \"logical\"\nplugins.rewindable = [\"a\", \"b\"]")) ==
          Words{"workers: logical (tach.toml:1:11)", "mode: shared (command line)",
                "plugins.rewindable: a, b (tach.toml:2:22)"});
}
