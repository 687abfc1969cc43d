#pragma once

// What make and ninja read of a stage's inputs, as gcc's -MD -MP writes it. Driven by the stages.

#include <string>
#include <string_view>
#include <vector>

namespace tach::base {

// A path as make and ninja take it, the way gcc writes it: blanks, '#' and ':' behind a backslash, dollars twice.
[[nodiscard]] std::string escaped_for_make(std::string_view path);

// One rule, and an empty one for each input: one that is gone is no error. A path with a line break cannot be written
// and is left out.
[[nodiscard]] std::string depfile(std::string_view target, const std::vector<std::string>& inputs);

}  // namespace tach::base
