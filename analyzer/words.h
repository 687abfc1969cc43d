#pragma once

// Splits a text into words as Python's shlex.split does, which pytest uses for addopts and for every option that is a
// list: blanks part them, quotes and backslashes keep them together.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tach::analyzer {

// Nothing: a quotation or an escape is not closed.
[[nodiscard]] std::optional<std::vector<std::string>> split_words(std::string_view text);

}  // namespace tach::analyzer
