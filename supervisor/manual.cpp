#include "supervisor/manual.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/roff.h"
#include "supervisor/config.h"
#include "supervisor/options.h"

namespace tach::supervisor {
namespace {

// The parts of the page around its options, as roff; the table's texts are plain.
constexpr std::string_view kPageTop = R"(.TH TACH\-SUPERVISOR 1 "" "tach {version}" "User Commands"
.SH NAME
tach\-supervisor \- run a pytest suite in parallel, each test isolated
.SH SYNOPSIS
.B tach\-supervisor
.RI [ option " ...] [" "pytest option" " ...] [" "path or node id" " ...]"
.br
.B tach\-supervisor doctor
.RI [ option " ...]"
.SH DESCRIPTION
.B tach\-supervisor
runs the tests that
.B pytest
would run in the current directory, in parallel worker processes, each test isolated from the others, and reports
them with pytest's verdicts, texts and exit codes.
It uses the project's own interpreter and the pytest (7 to 9) and plugins that are installed there.
.PP
Words that are not options of tach go to pytest untouched and in order: paths, node ids, pytest's options and those of
plugins and conftest files. The word after a pytest option that takes a value is never read as an option of tach, and
neither is anything after
.BR \-\- .
.PP
.B tach\-supervisor doctor
runs no test. It says what this kernel, user, container and interpreter allow, which engine that gives (see
.BR \-\-engine ),
and what to change to get a better one. Where there is a file or directory called doctor, the word is a path.
)";

constexpr std::string_view kPageAfterOptions = R"(.SS Names that a plugin uses too
Each of these options is also spelled
.BI \-\-tach\- name\fR,
and
.BI \-\-pytest\- name
always hands
.BI \-\- name
to pytest:
.B \-\-pytest\-seed
is a plugin's
.BR \-\-seed ,
.B \-\-pytest\-help
and
.B \-\-pytest\-version
are pytest's own help and version.
.SS Options in files
.B addopts
and
.B PYTEST_ADDOPTS
are read by pytest and hold options of pytest; a
.B \-n
or
.B \-\-dist
for pytest\-xdist in
.B addopts
is taken as tach's. Options of tach have their keys in tach.toml.
.SH THE INTERPRETER
The first of these that is there is used; one that is asked for and cannot be executed is an error:
.IP 1. 4
.BR \-\-python ;
.IP 2. 4
.B python
in tach.toml;
.IP 3. 4
.IR $VIRTUAL_ENV/bin/python ;
.IP 4. 4
.I .venv/bin/python
in the current directory or the nearest directory above it, no further up than tach.toml;
.IP 5. 4
.B python3
on
.BR PATH .
.SH EXIT STATUS
pytest's:
.TP
.B 0
every test passed
.TP
.B 1
a test failed, or its process crashed
.TP
.B 2
interrupted, by Ctrl\-C or by a failed collection
.TP
.B 3
internal error
.TP
.B 4
wrong usage: an option, tach.toml, the interpreter, a path that does not exist
.TP
.B 5
no tests were run; with
.BR \-\-since ,
none can reach a change
.SH ENVIRONMENT
.TP
.B VIRTUAL_ENV
the activated virtual environment, see THE INTERPRETER
.TP
.B PATH
where interpreters given by name are looked up
.TP
.B NO_COLOR
no colours, unless
.B \-\-color yes
is given
.TP
.B PYTEST_XDIST_AUTO_NUM_WORKERS
the number of workers that
.B \-n auto
means
.PP
pytest reads its own variables, among them
.B PYTEST_ADDOPTS
and
.BR PYTEST_PLUGINS .
With more than one worker, tests see
.BR PYTEST_XDIST_WORKER ,
.B PYTEST_XDIST_WORKER_COUNT
and
.BR PYTEST_XDIST_TESTRUNUID ,
as under pytest\-xdist.
.SH FILES
.TP
.I tach.toml
settings of the project, searched from the current directory upwards; options on the command line win. Its keys:
{keys}.
.TP
.I pyproject.toml
the same keys in the table
.BR [tool.tach] ,
in a directory without tach.toml
.TP
.I .pytest_cache
written and read by pytest's own plugins, so that
.B \-\-lf
and
.B \-\-sw
work across tach and pytest
.SH EXAMPLES
.TP
.B tach\-supervisor
the whole suite, on every core
.TP
.B tach\-supervisor \-n 4 \-x tests/unit \-k 'not slow'
four workers, stop at the first failure, some of the tests
.TP
.B tach\-supervisor \-\-lf \-\-seed 1234
what failed last time, with the random numbers of that run
.TP
.B tach\-supervisor \-\-format json > result.json
a report for programs
.SH SEE ALSO
.BR tach\-analyzer (1),
.BR pytest (1)
)";

std::string man_entry(const Option& option) {
    base::ManualOption entry{.letter = option.letter,
                             .names = {std::string(option.name)},
                             .argument = std::string(option.argument),
                             .help = std::string(option.help),
                             .words = {option.words.begin(), option.words.end()},
                             .more = std::string(option.manual),
                             .initial = std::string(option.initial)};
    if (!option.alias.empty()) entry.names.emplace_back(option.alias);
    return base::roff_entry(entry);
}

// Every spelling that a shell may offer. The --tach- spellings are for the rare case, and would bury the
// others.
std::vector<std::string> spellings(const Option& option) {
    std::vector<std::string> all;
    if (option.section == Section::kHidden) return all;
    if (option.letter != '\0') all.push_back(fmt::format("-{}", option.letter));
    all.push_back(fmt::format("--{}", option.name));
    return all;
}

// pytest's options that hands type most, offered beside tach's; the shell completes a value of theirs as a
// file.
constexpr auto kPytestWords = std::to_array<std::string_view>({
    "-k",
    "-m",
    "-p",
    "-o",
    "-c",
    "-W",
    "-q",
    "-s",
    "-v",
    "-x",
    "--maxfail",
    "--lf",
    "--ff",
    "--nf",
    "--sw",
    "--durations",
    "--tb",
    "--rootdir",
    "--ignore",
    "--deselect",
    "--strict-markers",
    "--capture",
    "--junit-xml",
    "--collect-only",
    "--pdb",
    "--fixtures",
    "--markers",
    "--pytest-help",
    "--pytest-version",
});

// Quoted for zsh's _arguments: its own brackets and colons, and the quotes around the whole.
std::string zsh_quoted(std::string_view text) {
    std::string quoted;
    for (const char letter : text) {
        if (letter == '\'') {
            quoted += "'\\''";
            continue;
        }
        if (letter == '[' || letter == ']' || letter == ':') quoted += '\\';
        quoted += letter;
    }
    return quoted;
}

std::string zsh_line(const Option& option, std::string_view spelling) {
    std::string line = fmt::format("'{}[{}]", spelling, zsh_quoted(option.help));
    if (!option.words.empty()) {
        line += fmt::format(":{}:({})", option.argument, fmt::join(option.words, " "));
    } else if (option.takes_value()) {
        line += fmt::format(":{}:{}", option.argument, option.takes_path() ? "_files" : "");
    }
    return line + "'";
}

}  // namespace

std::string man_page() {
    std::string page = base::filled(kPageTop, "{version}", TACH_VERSION);
    page += ".SH OPTIONS\n";
    for (const Option& option : own_options()) page += man_entry(option);
    page += base::filled(kPageAfterOptions, "{keys}", base::roff(fmt::format("{}", fmt::join(config_keys(), ", "))));
    return page;
}

std::string bash_completion() {
    std::string words;
    std::string cases;
    std::string files;
    for (const Option& option : own_options()) {
        const std::vector<std::string> offered = spellings(option);
        for (const std::string& spelling : offered) words += (words.empty() ? "" : " ") + spelling;
        if (offered.empty()) continue;
        if (!option.words.empty()) {
            cases += fmt::format("        {}) COMPREPLY=($(compgen -W '{}' -- \"$word\")); return ;;\n",
                                 fmt::join(offered, "|"), fmt::join(option.words, " "));
        } else if (option.takes_path()) {
            files += (files.empty() ? "" : "|") + fmt::format("{}", fmt::join(offered, "|"));
        }
    }
    return fmt::format(R"(# bash completion for tach-supervisor
_tach_supervisor() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    COMPREPLY=()
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case $before in
{}        {}) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '{} {}' -- "$word"))
    fi
}}
complete -o default -F _tach_supervisor tach-supervisor
)",
                       cases, files, words, fmt::join(kPytestWords, " "));
}

std::string zsh_completion() {
    std::string lines;
    for (const Option& option : own_options()) {
        for (const std::string& spelling : spellings(option)) {
            lines += fmt::format("    {} \\\n", zsh_line(option, spelling));
        }
    }
    for (const std::string_view word : kPytestWords) lines += fmt::format("    '*{}[pytest]' \\\n", word);
    return fmt::format("#compdef tach-supervisor\n_arguments -s \\\n{}    '*:path or node id:_files'\n", lines);
}

}  // namespace tach::supervisor
