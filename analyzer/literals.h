#pragma once

// Literals of Python: what the source text of a number or a string stands for. No names, no operators.
//
// The texts that come back are views into the source where that says it already, else into the arena.

#include <optional>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/syntax.h"
#include "analyzer/value.h"

namespace tach::analyzer {

// How the text of one string literal is to be read.
struct StringForm {
    std::size_t opening = 0;  // prefix and quotes
    std::size_t closing = 0;
    bool is_raw = false;
    bool is_bytes = false;
    bool is_formatted = false;
};
[[nodiscard]] std::optional<StringForm> string_form(Text literal);

// What stands between the quotes, with its escapes read; of a formatted string, the text between two replacement
// fields. Nothing: \N{...}, or not Python.
[[nodiscard]] std::optional<Text> unescaped(Text content, const StringForm& form, Arena& arena);

[[nodiscard]] Value integer_value(Text literal, Arena& arena);
[[nodiscard]] Value float_value(Text literal);
// A double from its decimal text without underscores, as both a literal and float() have it.
[[nodiscard]] std::optional<double> decimal(Text text);

// "a", 'a' "b", r"a"; in parentheses or not. Nothing: anything else, bytes and formatted strings too.
[[nodiscard]] std::optional<Text> string_literal(Node node, Text source, Arena& arena);
[[nodiscard]] std::optional<bool> bool_literal(Node node);
// A list, tuple or set of strings, or one string.
[[nodiscard]] std::optional<std::vector<Text>> string_list_literal(Node node, Text source, Arena& arena);
[[nodiscard]] std::optional<Scope> scope_literal(Node node, Text source, Arena& arena);

}  // namespace tach::analyzer
