#include "supervisor/cli.h"

#include <cstdlib>
#include <sstream>

#include "supervisor/options.h"
#include "tests/catch.h"

using namespace tach::supervisor;
using Words = std::vector<std::string>;

namespace {

CommandLine parsed(const Words& words) {
    auto line = parse_command_line(words);
    if (!line) FAIL(line.error().what);
    return *line;
}

std::string refused(const Words& words) {
    const auto line = parse_command_line(words);
    if (line) FAIL("accepted");
    return line.error().what;
}

Workers count(std::uint32_t number) {
    return {Workers::Kind::kCount, number};
}

}  // namespace

TEST_CASE("words that are not tach's reach pytest untouched and in order") {
    const Words words = GENERATE(
        Words{}, Words{"tests/test_a.py::test_b[x-1]", "-k", "not slow", "-x", "--maxfail=3", "tests"},
        Words{"-p", "no:cacheprovider", "-o", "xfail_strict=true", "-c", "other.ini", "-W", "error::UserWarning"},
        Words{"--plugin-option", "value", "--flag", "-Fn4", "-qqx", "-"},
        Words{"", " ", "a b", "--k=v=w", "--=", "-k="},
        Words{"--collect-only", "--co", "--fixtures", "--markers", "--pdb", "--trace", "-s", "--capture", "no"},
        Words{"--junit-xml", "out.xml", "--junitxml=out.xml"}, Words{"--workersx", "4", "--se", "1", "--lis"},
        Words{"@arguments.txt"});
    CHECK(parsed(words).pytest_args == words);
}

TEST_CASE("tach's options are taken out from between pytest's") {
    const CommandLine line = parsed({"-x", "--mode", "shared", "tests", "--seed=7", "-k", "a", "--list", "-v"});
    CHECK(line.pytest_args == Words{"-x", "tests", "-k", "a", "-v"});
    CHECK(line.mode == Mode::kShared);
    CHECK(line.seed == 7);
    CHECK(line.list);
}

TEST_CASE("every option of tach is read") {
    const CommandLine line = parsed({"-n", "3", "--mode", "fork", "--engine", "fork", "--strict-isolation",
                                     "--no-second-opinion", "--seed", "9223372036854775807", "--python", "py",
                                     "--config", "c.toml", "--list", "--format", "json", "--since", "main~1"});
    CHECK(line.since == "main~1");
    CHECK(line.workers == count(3));
    CHECK(line.mode == Mode::kFork);
    CHECK(line.engine == Engine::kFork);
    CHECK(line.strict_isolation);
    CHECK(line.no_second_opinion);
    CHECK(line.seed == 9223372036854775807U);
    CHECK(line.python == "py");
    CHECK(line.config == "c.toml");
    CHECK(line.list);
    CHECK(line.format == Format::kJson);
    CHECK(line.pytest_args.empty());
}

TEST_CASE("an option that was not given is empty") {
    const CommandLine line = parsed({"tests"});
    CHECK_FALSE(line.workers);
    CHECK_FALSE(line.seed);
    CHECK_FALSE(line.color);
    CHECK_FALSE(line.list);
    CHECK_FALSE(line.help);
}

TEST_CASE("the value of a pytest option is never read as an option of tach") {
    const Words words =
        GENERATE(Words{"-k", "--list"}, Words{"-m", "-n"}, Words{"-k", "-n 4"}, Words{"-xk", "-n4"},
                 Words{"--rootdir", "--mode"}, Words{"--tb", "--seed"}, Words{"--deselect", "-h"},
                 Words{"--log-level", "--help"}, Words{"-p", "--version"}, Words{"-W", "-V"}, Words{"-o", "--color"},
                 Words{"-kn4"}, Words{"-rn"}, Words{"-k"}, Words{"--tb"}, Words{"--cov-report", "--format"});
    CHECK(parsed(words).pytest_args == words);
}

TEST_CASE("after a pytest option with its value in the same word, the next word is read again") {
    const CommandLine line = parsed({"--rootdir=x", "-n", "2", "-ka", "--list", "-rA", "--seed", "1"});
    CHECK(line.pytest_args == Words{"--rootdir=x", "-ka", "-rA"});
    CHECK(line.workers == count(2));
    CHECK(line.list);
    CHECK(line.seed == 1);
}

TEST_CASE("an option whose value is optional does not take one of tach's options for it") {
    const CommandLine line = parsed({"--cache-show", "--list", "--debug", "-n", "2"});
    CHECK(line.pytest_args == Words{"--cache-show", "--debug"});
    CHECK(line.list);
    CHECK(line.workers == count(2));
}

TEST_CASE("words that an option of tach kept apart stay apart") {
    CHECK(parsed({"--cov", "-n4", "tests"}).pytest_args == Words{"--cov", "-pmark", "tests"});
    CHECK(parsed({"--plugin", "a", "-n", "4", "tests"}).pytest_args == Words{"--plugin", "a", "-pmark", "tests"});
    CHECK(parsed({"-Fx", "--list", "--seed=1", "tests", "b"}).pytest_args == Words{"-Fx", "-pmark", "tests", "b"});
    for (const Words& before : {Words{"--lf"}, Words{"-xq"}, Words{"--tb", "short"}, Words{"--cov=a"}, Words{"-ka"},
                                Words{"--cov", "a"}, Words{"tests"}, Words{"--cov", "-x"}, Words{"-rA"}}) {
        Words words = before;
        Words expected = before;
        words.insert(words.end(), {"-n", "4", "tests"});
        expected.emplace_back("tests");
        CHECK(parsed(words).pytest_args == expected);
    }
    CHECK(parsed({"--cov", "-n4", "-x", "tests"}).pytest_args == Words{"--cov", "-x", "tests"});
}

TEST_CASE("nothing after -- is read, and the -- stays") {
    const Words words{"-x", "--", "--list", "-n", "-h"};
    CHECK(parsed(words).pytest_args == words);
    CHECK_FALSE(parsed(words).list);
}

TEST_CASE("the number of workers is spelled as for pytest-xdist") {
    const auto workers = [](const Words& words) { return parsed(words).workers; };
    CHECK(workers({"-n", "4"}) == count(4));
    CHECK(workers({"-n4"}) == count(4));
    CHECK(workers({"-n=4"}) == count(4));
    CHECK(workers({"-n 4"}) == count(4));
    CHECK(workers({"--workers", "4"}) == count(4));
    CHECK(workers({"--numprocesses=4"}) == count(4));
    CHECK(workers({"-nauto"}) == Workers{Workers::Kind::kAuto});
    CHECK(workers({"-n", "logical"}) == Workers{Workers::Kind::kLogical});
    CHECK(workers({"-n0"}) == count(1));
}

TEST_CASE("-n may end a word of pytest's short flags") {
    const CommandLine line = parsed({"-xvn2", "-qn", "3", "-sh"});
    CHECK(line.pytest_args == Words{"-xv", "-q", "-s"});
    CHECK(line.workers == count(3));
    CHECK(line.help);
}

TEST_CASE("--dist is accepted and dropped") {
    const CommandLine line = parsed({"-n2", "--dist", "loadfile", "--dist=worksteal", "tests"});
    CHECK(line.pytest_args == Words{"tests"});
    CHECK(refused({"--dist", "each"}).rfind("--dist each: ", 0) == 0);
}

TEST_CASE("--color is known to both sides and stays where it was") {
    CHECK(parsed({"-x", "--color=no", "t"}).pytest_args == Words{"-x", "--color=no", "t"});
    CHECK(parsed({"-x", "--color", "yes", "t"}).pytest_args == Words{"-x", "--color", "yes", "t"});
    CHECK(parsed({"--tach-color", "yes"}).pytest_args == Words{"--color", "yes"});
    CHECK(parsed({"--color", "yes"}).color == Color::kYes);
}

TEST_CASE("every option has a --tach- spelling") {
    for (const Option& option : own_options()) {
        if (option.shared_with_pytest) continue;
        Words words{"--tach-" + std::string(option.name)};
        if (option.takes_value()) words.push_back(option.words.empty() ? "1" : std::string(option.words.front()));
        INFO(words.front());
        CHECK(parsed(words).pytest_args.empty());
    }
}

TEST_CASE("--pytest- hands to pytest what tach would take") {
    const CommandLine line = parsed({"--pytest-seed", "3", "--pytest-list", "--pytest-mode=a", "--pytest-help"});
    CHECK(line.pytest_args == Words{"--seed", "3", "--list", "--mode=a", "--help"});
    CHECK_FALSE(line.seed);
    CHECK_FALSE(line.help);
    CHECK(parsed({"--pytest-other"}).pytest_args == Words{"--pytest-other"});
}

TEST_CASE("of an option given twice the last counts") {
    CHECK(parsed({"-n4", "--seed", "1", "-n", "auto", "--seed=2"}).workers == Workers{});
    CHECK(parsed({"--seed", "1", "--tach-seed=2"}).seed == 2);
}

TEST_CASE("help and version end the reading") {
    CHECK(parsed({"--help", "-n", "nonsense"}).help);
    CHECK(parsed({"-h"}).help);
    CHECK(parsed({"-V", "--seed"}).version);
    CHECK(parsed({"--version"}).version);
}

TEST_CASE("a mistake is one line with the option, the value and what to do") {
    CHECK(refused({"-n", "four"}) == "-n four: give a number of workers up to 1024, auto (cores) or logical (CPUs)");
    CHECK(refused({"--workers=-1"}).rfind("--workers -1: give ", 0) == 0);
    CHECK(refused({"-n1025"}).rfind("-n 1025: give ", 0) == 0);
    CHECK(refused({"-n4x"}).rfind("-n 4x: give ", 0) == 0);
    CHECK(refused({"tests", "-n"}).rfind("-n: its value is missing; give ", 0) == 0);
    CHECK(refused({"--mode", "frok"}) == "--mode frok: give isolated, fork or shared");
    CHECK(refused({"--format=xml"}) == "--format xml: give text or json");
    CHECK(refused({"--color", "blue"}) == "--color blue: give yes, no or auto");
    CHECK(refused({"--seed", "-5"}) == "--seed -5: give a whole number from 0 to 9223372036854775807");
    CHECK(refused({"--seed", "9223372036854775808"}).rfind("--seed 9223372036854775808: ", 0) == 0);
    CHECK(refused({"--python="}) == "--python : give a path");
    CHECK(refused({"--list=yes"}) == "--list=yes: --list takes no value");
    CHECK(refused({"--tach-sede", "1"}) == "--tach-sede: tach has no such option; did you mean --tach-seed?");
    CHECK(refused({"--tach-xyzzy"}) == "--tach-xyzzy: tach has no such option; see --help");
}

TEST_CASE("options of tach are found in a list that is pytest's") {
    CHECK(*first_own_option(Words{"-ra", "--color=yes", "-k", "-n"}) == std::nullopt);
    CHECK(*first_own_option(Words{"-ra", "-xn4"}) == "-n");
    CHECK_FALSE(first_own_option(Words{"-n"}));
}

TEST_CASE("a number of workers is worked out for this machine") {
    unsetenv("PYTEST_XDIST_AUTO_NUM_WORKERS");
    CHECK(worker_count(count(5)) == 5);
    const std::uint32_t cpus = worker_count({Workers::Kind::kLogical});
    CHECK(cpus >= 1);
    CHECK(worker_count({Workers::Kind::kAuto}) >= 1);
    CHECK(worker_count({Workers::Kind::kAuto}) <= cpus);
    setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7", 1);
    CHECK(worker_count({Workers::Kind::kAuto}) == 7);
    CHECK(worker_count({Workers::Kind::kLogical}) == cpus);
    setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "many", 1);
    CHECK(worker_count({Workers::Kind::kAuto}) <= cpus);
    unsetenv("PYTEST_XDIST_AUTO_NUM_WORKERS");
}

TEST_CASE("help fits a terminal of 80x24 and names every option") {
    const std::string help = help_text();
    std::istringstream stream(help);
    std::string line;
    int lines = 0;
    while (std::getline(stream, line)) {
        ++lines;
        INFO(line);
        CHECK(line.size() < 80);
    }
    CHECK(lines < 24);
    for (const Option& option : own_options()) {
        if (option.section == Section::kHidden) continue;
        INFO(option.name);
        CHECK(help.find("--" + std::string(option.name)) != std::string::npos);
    }
}
