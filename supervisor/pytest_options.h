#pragma once

// What tach must know of pytest's command line to leave it alone: which of its options have their value in
// the next word, so that a value which looks like an option of tach's (`--rootdir -n`, `-k "-n 4"`) is never
// taken for one.

#include <string_view>

namespace tach::supervisor {

// The value is the rest of the word or the next word.
bool pytest_letter_takes_value(char letter);

// The letter stands alone, and another may follow it in the same word: -xq.
bool pytest_letter_is_flag(char letter);

// `name` without its dashes: the next word is its value. Options whose value is optional (--debug,
// --cache-show, --cov) are not among them: argparse never gives those a word that starts with a dash.
bool pytest_option_takes_value(std::string_view name);

}  // namespace tach::supervisor
