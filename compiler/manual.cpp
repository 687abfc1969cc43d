#include "compiler/manual.h"

#include <string_view>

#include "base/roff.h"
#include "compiler/cli.h"

namespace tach::compiler {
namespace {

// The parts of the page around its options, as roff.
constexpr std::string_view kPageTop = R"(.TH TACH\-COMPILER 1 "" "tach {version}" "User Commands"
.SH NAME
tach\-compiler \- compile the modules of a project into one file
.SH SYNOPSIS
.B tach\-compiler
.RI [ option " ...]"
.B \-\-analysis
.I FILE
.B \-o
.I IMAGE
.SH DESCRIPTION
.B tach\-compiler
compiles the Python modules of a project, and those installed ones that its tests have imported, with the interpreter
that runs the tests. Test modules, conftest files and plugins go through pytest's assertion rewriter. All code is in one
file, which the processes of a run map.
.PP
What has not changed is not compiled again, and if nothing has changed no interpreter is started. A module with a syntax
error, one that warns when it is compiled, and one that an interpreter crashes at or hangs at, costs itself: it has no code
in the image, and is compiled when it is imported, as without tach.
.SH OPTIONS
)";

constexpr std::string_view kPageAfterOptions = R"(.SH EXIT STATUS
.TP
.B 0
the image is up to date, whatever cannot be compiled
.TP
.B 1
something could not be written, or interpreters could not be started any more
.TP
.B 2
a mistake in the command line, or in the choice of the interpreter
.TP
.BR 130 ", " 143
it was interrupted: what was compiled by then is in the image
.SH FILES
.TP
.I .tach/cache/cpython-311.bytecode
the image that a run with such an interpreter looks for and has made; may be deleted at any time
.TP
.I .tach/cache/cpython-311.imports
what a run has imported, for
.B \-\-imports
.SH ENVIRONMENT
.TP
.B VIRTUAL_ENV
whose interpreter is taken, unless
.B \-\-python
names one
.TP
.BR PYTHONOPTIMIZE ", " PYTHONPATH " ..."
count as they do for the interpreter
.SH EXAMPLES
.TP
.B tach\-analyzer && tach\-compiler \-\-analysis .tach/analysis \-o .tach/cache/cpython\-311.bytecode \-v
compile a project, and say how much there was to do
.TP
.B tach\-compiler \-\-analysis .tach/analysis \-o out/bytecode \-\-depfile out/bytecode.d
for make and ninja
.SH SEE ALSO
.BR tach\-analyzer (1),
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

}  // namespace tach::compiler
