#pragma once

// The table [toxicity] of tach.toml:
//
//     [toxicity]
//     mode = "strict"               # or "default"
//
//     [[toxicity.rule]]
//     pattern = "mylib.start"       # with a reason: a rule of its own
//     reason = "thread"
//     level = "toxic"               # "hint", "toxic" (the default)
//     because = "starts the metrics thread"
//
//     [[toxicity.rule]]
//     pattern = "subprocess.Popen"  # without one: makes less of what is known about it
//     level = "silent"              # or "hint"
//     because = "our wrapper waits for all of them"
//
// Rules apply in the order of the file. The first mistake is the result: one line with its place.

#include <toml++/toml.h>

#include <string>

#include "analyzer/rules.h"
#include "base/result.h"

namespace tach::analyzer {

// The built-in rules with those of the table. `shown`: what the file is called in errors; `prefix`: what stands before
// "toxicity" in it, "tool.tach." in pyproject.toml.
[[nodiscard]] base::Result<RuleSet> read_rules(const toml::table& toxicity, const std::string& shown,
                                               const std::string& prefix = {});

}  // namespace tach::analyzer
