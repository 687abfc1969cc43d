#include "analyzer/manual.h"

#include <string_view>

#include "analyzer/cli.h"
#include "base/roff.h"

namespace tach::analyzer {
namespace {

// The parts of the page around its options, as roff.
constexpr std::string_view kPageTop = R"(.TH TACH\-ANALYZER 1 "" "tach {version}" "User Commands"
.SH NAME
tach\-analyzer \- know the tests of a pytest suite without running it
.SH SYNOPSIS
.B tach\-analyzer
.RI [ option " ...] [" path " ...]"
.SH DESCRIPTION
.B tach\-analyzer
reads the Python sources of a project, without running or importing any of them, and writes down in one file: the tests
and fixtures that it finds, which file imports which other one, and what in a file cannot be rewound. What it cannot
know it says, and why. A test that it calls known has exactly the id that pytest gives it.
.PP
Paths, pytest's ini files and
.B testpaths
count as they do for pytest, and so does its rootdir. Beside the output lies a cache; a second run looks at what has
changed, and does nothing if nothing has.
.SH OPTIONS
)";

constexpr std::string_view kPageAfterOptions = R"(.SH EXIT STATUS
.TP
.B 0
the analysis was made, whatever is wrong in the sources: stderr has that, as file:line:column: severity: message
.TP
.B 1
something could not be written
.TP
.B 2
a mistake in the command line, in
.B [toxicity]
or in what
.B \-\-since
names
.SH FILES
.TP
.I .tach/analysis
the analysis, if no other place is named, and beside it
.IR .tach/analysis.cache ;
both may be deleted at any time
.TP
.I tach.toml
rules of the project, in the table
.BR [toxicity] ;
or pyproject.toml, in
.B [tool.tach.toxicity]
.SH EXAMPLES
.TP
.B tach\-analyzer \-\-format table
how much is known, and what is toxic, for people
.TP
.B tach\-analyzer \-\-affected\-by src/db.py
the tests that a file can affect, one id a line
.TP
.B tach\-analyzer \-\-since origin/main \-v
the same of all that changed since a revision, and by which way
.TP
.B tach\-analyzer \-o out/analysis \-\-depfile out/analysis.d
for make and ninja
.SH SEE ALSO
.BR tach\-supervisor (1),
.BR pytest (1)
)";

}  // namespace

std::string man_page() {
    std::string page = base::filled(kPageTop, "{version}", TACH_VERSION);
    for (const OptionText& option : option_texts()) {
        page += base::roff_entry({.letter = option.letter,
                                  .names = {option.name},
                                  .argument = option.argument,
                                  .help = option.help,
                                  .words = {},
                                  .more = {},
                                  .initial = {}});
    }
    return page.append(kPageAfterOptions);
}

}  // namespace tach::analyzer
