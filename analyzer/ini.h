#pragma once

// Reads an INI file as the package iniconfig does, which pytest uses: sections in brackets, `name = value` or
// `name: value` at the start of a line, indented lines that go on with a value, whole lines as comments. What iniconfig
// refuses is refused here, with its words; the rest of the file then counts for nothing, as with pytest.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tach::analyzer {

struct IniValue {
    std::string text;  // its lines, stripped, joined by '\n'
    std::uint32_t line = 0;
};

using IniSection = std::map<std::string, IniValue, std::less<>>;

struct IniMistake {
    std::uint32_t line = 0;
    std::string message;
};

using IniFile = std::map<std::string, IniSection, std::less<>>;

[[nodiscard]] tl::expected<IniFile, IniMistake> parse_ini(std::string_view text);

}  // namespace tach::analyzer
