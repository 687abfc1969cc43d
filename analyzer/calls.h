#pragma once

// The functions and methods of Python that are folded, and the names of those that are not but have a name.

#include "analyzer/evaluate.h"

namespace tach::analyzer {

// Of a builtin ("len") or a function by its canonical name ("itertools.product"). `is_known` tells whether there is
// such a function here at all: if not, what it returns means nothing.
struct Called {
    Value value;
    bool is_known = false;
};
[[nodiscard]] Called call_function(Evaluator& evaluator, Text name, bool is_builtin,
                                   const Evaluator::Arguments& arguments);
[[nodiscard]] Value call_method(Evaluator& evaluator, const Value& object, Text method,
                                const Evaluator::Arguments& arguments);
// text % arguments
[[nodiscard]] Value format_percent(Evaluator& evaluator, Text format, const Value& argument);

[[nodiscard]] bool is_builtin_with_name(Text name);  // functions, classes and exceptions whose __name__ it is
// The __name__ of a function or class of the standard library; empty: not in the table.
[[nodiscard]] Text name_in_library(Text canonical);

}  // namespace tach::analyzer
