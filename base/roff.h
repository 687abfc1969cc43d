#pragma once

// Manual pages, as roff with the man macros: what the pages of all programs share. Only programs that the build itself
// runs are linked with it.

#include <string>
#include <string_view>
#include <vector>

namespace tach::base {

// Plain text as roff: a backslash and a hyphen mean something there, and so does a dot at the start of a line.
[[nodiscard]] std::string roff(std::string_view text);

// An option of a program, in plain text.
struct ManualOption {
    char letter = '\0';              // short spelling; none when 0
    std::vector<std::string> names;  // long spellings, without dashes
    std::string argument;            // what its value is called; empty for a flag
    std::string help;                // without a full stop
    std::vector<std::string> words;  // what the value is chosen from
    std::string more;                // a paragraph after `help`
    std::string initial;             // its value when it is not given
};

// "-n, --workers, --numprocesses N" in bold and italics, and a paragraph below.
[[nodiscard]] std::string roff_entry(const ManualOption& option);

// `text` with `filling` in the place of `gap`, which is in it.
[[nodiscard]] std::string filled(std::string_view text, std::string_view gap, std::string_view filling);

}  // namespace tach::base
