#pragma once

// The table that RuleSet::builtin() is made of. Where its rules come from, and what they are worth: rules.h.

#include <span>
#include <string_view>

#include "analyzer/rules.h"

namespace tach::analyzer {

struct BuiltinRule {
    std::string_view pattern;
    Reason reason;
    RuleLevel level;
    std::string_view because;
};

[[nodiscard]] std::span<const BuiltinRule> builtin_rules();

// "import NAME" of modules that offer what a rule names: for strict mode.
[[nodiscard]] std::span<const BuiltinRule> strict_rules();

}  // namespace tach::analyzer
