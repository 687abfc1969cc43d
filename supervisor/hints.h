#pragma once

// What a mistyped word may have meant. Words that tach does not know are pytest's, which alone knows the options of its
// plugins; so they are looked at only once pytest has refused them.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tach::supervisor {

// The words by which main tells tach what else to do than run tests.
inline constexpr std::string_view kDoctor = "doctor";

// One line for each of `pytest_words` that is near an option or a subcommand of ours: "--enigne: did you mean
// --engine?"
[[nodiscard]] std::vector<std::string> hints(std::span<const std::string> pytest_words);

}  // namespace tach::supervisor
