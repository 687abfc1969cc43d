#include "supervisor/options.h"

#include <fmt/format.h>

#include <array>
#include <boost/make_shared.hpp>
#include <boost/program_options/option.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <utility>

#include "supervisor/choices.h"

namespace tach::supervisor {
namespace {

// What pytest-xdist's --dist chooses from; `each`, which runs every test once per worker, has no counterpart
// here.
constexpr std::array<std::string_view, 6> kDistWords{"no", "load", "loadscope", "loadfile", "loadgroup", "worksteal"};

constexpr auto kOptions = std::to_array<Option>({
    {.name = "workers",
     .letter = 'n',
     .alias = "numprocesses",
     .argument = "N",
     .initial = "auto",
     .help = "worker processes: a number, auto or logical",
     .manual = "auto is the number of cores, logical the number of CPUs that this process may use. 0 and 1 "
               "both mean one worker, which a suite cannot tell from plain pytest. auto obeys "
               "PYTEST_XDIST_AUTO_NUM_WORKERS."},
    {.name = "mode",
     .argument = "MODE",
     .words = kModeWords,
     .initial = "isolated",
     .help = "isolated; fork; shared: plain pytest",
     .manual = "With isolated, a test starts from the state that its wide fixtures left and nothing of it reaches the "
               "next test. fork is that by a process per test, as --engine fork. With shared, the whole session runs "
               "in one process, as under pytest."},
    {.name = "engine",
     .argument = "ENGINE",
     .words = kEngineWords,
     .initial = "auto",
     .help = "what brings a test back to a clean state",
     .manual =
         "wp-async, cow (both Linux 6.7) and missing (Linux 5.18, root or CAP_SYS_PTRACE) rewind the memory of the "
         "worker and the state that the kernel keeps for it; a worker that cannot be rewound is replaced, and the "
         "test that is the cause has a note of why. They differ in how they know what was written: by "
         "userfaultfd's asynchronous write-protection; where a container denies that, by the kernel's copying on "
         "write; or by dropping all memory and putting back, by userfaultfd, what is touched. fork makes a process "
         "for each test. auto is the first of these four that works; tach-supervisor doctor tells which, and why."},
    {.name = "verify-snapshots",
     .help = "compare every rewound worker with what it was",
     .manual =
         "After each rewind the worker stops and another process compares its memory byte for byte, and what the "
         "kernel tells of it, with what it was. A difference fails the run with exit status 3. Slow; for those who "
         "doubt tach."},
    {.name = "strict-isolation",
     .help = "an isolated verdict stands: no second opinion",
     .manual = "A test that passes only thanks to what another test left behind then fails."},
    {.name = "no-second-opinion",
     .help = "do not re-run a doubtful test in pytest's own order",
     .manual = "By default a test that does not pass alone is run again as plain pytest would run it, and a "
               "test that "
               "passes there is reported as passed and order-dependent."},
    {.name = "seed",
     .argument = "N",
     .help = "repeat a run's random numbers; every run prints it",
     .manual = "A whole number from 0 to 9223372036854775807."},
    {.name = "since",
     .argument = "REV",
     .help = "only tests that can reach what changed since REV",
     .manual =
         "A revision of Git: HEAD is what is not committed yet. Files that Git does not track count as changed, unless "
         "it ignores them. pytest collects as without the option; then the tests of all files that cannot reach a "
         "change by their imports and conftest files, as tach-analyzer sees them, are deselected. A file that it does "
         "not know, such as one that a plugin collects, is always run. If no test is left, the exit status is 5, as "
         "after pytest's -k. With -v, a line for each file says why it is run. A test that starts a program of another "
         "directory, or reads a file there, is not seen to depend on it.",
     .section = Section::kRunning},
    {.name = "no-loader",
     .help = "import without tach's bytecode image",
     .manual =
         "By default what an earlier run has imported is compiled beside its tests, into .tach/cache, and the next "
         "run imports it from there as long as the sources are the same.",
     .section = Section::kRunning},
    {.name = "python",
     .argument = "EXE",
     .help = "the interpreter: a path, or a name looked up on PATH",
     .manual = "Without it: python in tach.toml, $VIRTUAL_ENV, .venv, then python3 on PATH.",
     .section = Section::kOutput},
    {.name = "config",
     .argument = "FILE",
     .help = "read this tach.toml or pyproject.toml, and no other",
     .section = Section::kOutput},
    {.name = "list",
     .help = "print the ids of the tests, run none",
     .manual =
         "The same ids as pytest --collect-only -q prints. As long as nothing has changed that they depend on, they "
         "are printed without starting the interpreter; with -v, a line on stderr tells that, or why it is not "
         "possible.",
     .section = Section::kOutput},
    {.name = "explain",
     .argument = "NODEID",
     .help = "how this test is going to run, and why; run none",
     .manual =
         "pytest collects what the rest of the command line says; then the test's mode, path of execution and engine "
         "are printed, with what decides: what the sources import and set up, with file, line and the chain of imports "
         "that leads there, the wide fixtures, and what earlier runs have found out. What only setting up its fixtures "
         "can tell is told as a condition.",
     .section = Section::kOutput},
    {.name = "format",
     .argument = "FORMAT",
     .words = kFormatWords,
     .initial = "text",
     .help = "text, or json: one object alone on stdout",
     .section = Section::kOutput},
    {.name = "color",
     .argument = "WHEN",
     .words = kColorWords,
     .initial = "auto",
     .help = "yes, no or auto; pytest is told as well",
     .section = Section::kOutput,
     .shared_with_pytest = true},
    {.name = "version", .letter = 'V', .help = "print tach's version", .section = Section::kOutput},
    {.name = "help", .letter = 'h', .help = "print this", .section = Section::kOutput},
    {.name = "dist",
     .argument = "MODE",
     .words = kDistWords,
     .help = "pytest-xdist's option, accepted so that its command lines work",
     .manual = "It changes nothing: tests that share wide fixtures stay together anyway.",
     .section = Section::kHidden},
});

struct Heading {
    Section section;
    std::string_view title;
};

constexpr std::array<Heading, 2> kHeadings{{
    {Section::kRunning, ""},  // below what the program is for
    {Section::kOutput, "Configuration and output:"},
}};

std::string help_line(const Option& option) {
    const std::string letter = option.letter != '\0' ? fmt::format("-{}, ", option.letter) : std::string(4, ' ');
    const std::string argument = option.takes_value() ? fmt::format(" {}", option.argument) : std::string();
    const std::string initial = option.initial.empty() ? std::string() : fmt::format(" [{}]", option.initial);
    return fmt::format("  {:<23} {}{}\n", fmt::format("{}--{}{}", letter, option.name, argument), option.help, initial);
}

}  // namespace

std::span<const Option> own_options() {
    return kOptions;
}

const Option* find_option(std::string_view name) {
    if (name.empty()) return nullptr;
    for (const Option& option : kOptions) {
        if (option.name == name || option.alias == name) return &option;
    }
    return nullptr;
}

const Option* find_option(char letter) {
    if (letter == '\0') return nullptr;
    for (const Option& option : kOptions) {
        if (option.letter == letter) return &option;
    }
    return nullptr;
}

boost::program_options::options_description describe_options() {
    namespace po = boost::program_options;
    po::options_description description;
    for (const Option& option : kOptions) {
        const po::value_semantic* value = option.takes_value()
                                              ? static_cast<const po::value_semantic*>(
                                                    po::value<std::string>()->value_name(std::string(option.argument)))
                                              : new po::untyped_value(true);  // owned by the description
        description.add(boost::make_shared<po::option_description>(std::string(option.name).c_str(), value,
                                                                   std::string(option.help).c_str()));
    }
    return description;
}

std::string help_text() {
    std::string text =
        "Usage: tach-supervisor [option ...] [pytest option ...] [path or node id ...]\n"
        "Runs a pytest suite in parallel, each test isolated, with pytest's verdicts.\n";
    for (const Heading& heading : kHeadings) {
        if (!heading.title.empty()) text += fmt::format("{}\n", heading.title);
        for (const Option& option : kOptions) {
            if (option.section == heading.section) text += help_line(option);
        }
    }
    text +=
        "Anything else goes to pytest, in order: -k -m -x --lf -v --junit-xml FILE ...\n"
        "--tach-NAME is always tach's, --pytest-NAME always pytest's: --pytest-help.\n"
        "Exit: 0 passed 1 failed 2 interrupted 3 internal error 4 usage 5 no tests\n";
    return text;
}

}  // namespace tach::supervisor
