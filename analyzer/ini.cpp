#include "analyzer/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace tach::analyzer {
namespace {

// What Python's str.strip() takes away, of ASCII.
constexpr std::string_view kBlanks = " \t\n\r\v\f\x1c\x1d\x1e\x1f";
constexpr std::string_view kComments = "#;";

std::string_view strip_end(std::string_view text) {
    return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::string_view strip(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    return begin == std::string_view::npos ? std::string_view() : strip_end(text.substr(begin));
}

// Takes the first line off `text`, as str.splitlines() sees lines, of ASCII.
std::string_view next_line(std::string_view& text) {
    const std::size_t end = std::min(text.find_first_of("\n\r\v\f\x1c\x1d\x1e"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    if (text.starts_with("\r\n")) text.remove_prefix(1);
    if (!text.empty()) text.remove_prefix(1);
    return line;
}

std::optional<std::pair<std::string_view, std::string_view>> split_at(std::string_view line, char separator) {
    const std::size_t at = line.find(separator);
    if (at == std::string_view::npos) return std::nullopt;
    return std::pair(line.substr(0, at), line.substr(at + 1));
}

// The name in "[name]  # why"; nothing: no closing bracket, so it is no header.
std::optional<std::string_view> section_name(std::string_view line) {
    for (const char comment : kComments) line = strip_end(line.substr(0, line.find(comment)));
    if (!line.ends_with(']')) return std::nullopt;
    // "[" alone cannot come here, and "[]" is an empty name.
    return line.substr(1, line.size() - 2);
}

class Parser {
  public:
    tl::expected<IniFile, IniMistake> parse(std::string_view text) {
        if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
        while (!text.empty() && mistake_.empty()) {
            ++line_;
            read_line(next_line(text));
        }
        if (!mistake_.empty()) return tl::unexpected(IniMistake{line_, std::move(mistake_)});
        return std::move(file_);
    }

  private:
    void read_line(std::string_view line) {
        const std::string_view content = strip(line);
        if (content.empty() || kComments.find(content.front()) != std::string_view::npos) return;
        line = strip_end(line);
        if (line.front() == '[') {
            const auto name = section_name(line);
            return name ? start_section(*name) : go_on(content);
        }
        if (kBlanks.find(line.front()) != std::string_view::npos) return go_on(content);
        auto parts = split_at(line, '=');
        if (!parts || parts->first.find(':') != std::string_view::npos) parts = split_at(line, ':');
        if (!parts) {
            mistake_ = fmt::format("unexpected line: '{}'", line);
            return;
        }
        start_value(strip(parts->first), strip(parts->second));
    }

    void start_section(std::string_view name) {
        const auto [section, is_new] = file_.try_emplace(std::string(name));
        if (name.empty()) mistake_ = "empty section name";
        if (!is_new) mistake_ = fmt::format("duplicate section '{}'", name);
        section_ = &section->second;
        value_ = nullptr;
    }

    void start_value(std::string_view name, std::string_view text) {
        if (section_ == nullptr) {
            mistake_ = "no section header defined";
            return;
        }
        const auto [value, is_new] = section_->try_emplace(std::string(name), IniValue{std::string(text), line_});
        if (!is_new) mistake_ = fmt::format("duplicate name '{}'", name);
        value_ = &value->second;
    }

    void go_on(std::string_view text) {
        if (value_ == nullptr) {
            mistake_ = "unexpected value continuation";
            return;
        }
        if (!value_->text.empty()) value_->text += '\n';
        value_->text += text;
    }

    IniFile file_;
    IniSection* section_ = nullptr;
    IniValue* value_ = nullptr;
    std::uint32_t line_ = 0;
    std::string mistake_;
};

}  // namespace

tl::expected<IniFile, IniMistake> parse_ini(std::string_view text) {
    return Parser().parse(text);
}

}  // namespace tach::analyzer
