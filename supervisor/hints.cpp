#include "supervisor/hints.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "supervisor/options.h"
#include "supervisor/pytest_options.h"
#include "supervisor/spelling.h"

namespace tach::supervisor {
namespace {

std::optional<std::string> option_hint(std::string_view word) {
    const std::string_view spelling = word.substr(0, word.find('='));
    const std::string_view name = spelling.substr(2);
    if (pytest_option_takes(name) != Takes::kUnknown) return std::nullopt;
    std::vector<std::string_view> names;
    for (const Option& option : own_options()) {
        names.push_back(option.name);
        if (!option.alias.empty()) names.push_back(option.alias);
    }
    const auto nearest = nearest_word(name, names);
    if (!nearest) return std::nullopt;
    return fmt::format("{}: did you mean --{}?", spelling, *nearest);
}

std::optional<std::string> subcommand_hint(const std::string& word) {
    std::error_code error;
    if (std::filesystem::exists(word.substr(0, word.find("::")), error)) return std::nullopt;
    constexpr std::array known{kDoctor};
    const auto nearest = nearest_word(word, known);
    if (!nearest) return std::nullopt;
    return fmt::format("{}: did you mean the subcommand {}?", word, *nearest);
}

}  // namespace

std::vector<std::string> hints(std::span<const std::string> pytest_words) {
    std::vector<std::string> lines;
    for (const std::string& word : pytest_words) {
        if (word == "--") break;
        const bool is_option = word.starts_with("--");
        if (!is_option && word.starts_with('-')) continue;
        if (auto line = is_option ? option_hint(word) : subcommand_hint(word)) lines.push_back(*std::move(line));
    }
    return lines;
}

}  // namespace tach::supervisor
