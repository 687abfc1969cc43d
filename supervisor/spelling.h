#pragma once

// "Did you mean": the known word that a mistyped one is nearest to.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tach::supervisor {

// The nearest of `known` by edit distance (insert, delete, replace, swap neighbours); none when every one is
// so far that it would be a guess: more than one edit for three letters.
std::optional<std::string_view> nearest_word(std::string_view word, std::span<const std::string_view> known);

// "fork", "yes or no", "yes, no or auto".
std::string listed(std::span<const std::string_view> words);

}  // namespace tach::supervisor
