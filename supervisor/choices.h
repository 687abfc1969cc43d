#pragma once

// The options that choose from a few words, each with its words in the order of its enumerators: command
// line, tach.toml, completion and error texts all read them here.

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace tach::supervisor {

enum class Mode { kIsolated, kFork, kShared };
enum class Engine { kAuto, kWpAsync, kCow, kMissing, kFork };
enum class Format { kText, kJson };
enum class Color { kYes, kNo, kAuto };

inline constexpr std::array<std::string_view, 3> kModeWords{"isolated", "fork", "shared"};
inline constexpr std::array<std::string_view, 5> kEngineWords{"auto", "wp-async", "cow", "missing", "fork"};
inline constexpr std::array<std::string_view, 2> kFormatWords{"text", "json"};
inline constexpr std::array<std::string_view, 3> kColorWords{"yes", "no", "auto"};

constexpr std::span<const std::string_view> words_of(Mode) {
    return kModeWords;
}
constexpr std::span<const std::string_view> words_of(Engine) {
    return kEngineWords;
}
constexpr std::span<const std::string_view> words_of(Format) {
    return kFormatWords;
}
constexpr std::span<const std::string_view> words_of(Color) {
    return kColorWords;
}

template <class Choice>
constexpr std::string_view word(Choice choice) {
    return words_of(choice)[static_cast<std::size_t>(choice)];
}

template <class Choice>
constexpr std::optional<Choice> choice_of(std::string_view text) {
    const auto words = words_of(Choice{});
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == text) return static_cast<Choice>(i);
    }
    return std::nullopt;
}

}  // namespace tach::supervisor
