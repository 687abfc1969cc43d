#pragma once

// What tach must know of pytest's command line to leave it alone: which of its options have a value in the
// next word. So a value that looks like an option of tach's (`--rootdir -n`, `-k "-n 4"`) is never taken for
// one, and an option of tach's that is taken out leaves no two words together that were apart (`--cov -n 4
// tests`).

#include <string_view>

namespace tach::supervisor {

enum class Takes {
    kNothing,  // a flag
    kValue,    // the next word, whatever it is
    kMaybe,    // the next word, unless that starts with a dash: argparse's nargs="?"
    kUnknown,  // a plugin's
};

// A long option; `name` without its dashes and without a `=value`.
Takes pytest_option_takes(std::string_view name);

// A short one. kValue is the rest of the word, or the next word if there is no rest; after kNothing, another
// letter may follow in the same word: -xq.
Takes pytest_letter_takes(char letter);

}  // namespace tach::supervisor
