#pragma once

// The file that pytest takes its configuration from, and what stands in it. Source: _pytest/config/findpaths.py of
// pytest 7.4, 8.4 and 9.2; where they differ, the major version decides.
//
// A file that pytest would refuse counts as one that says nothing, and there is a problem in the list: pytest itself
// runs no test with it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/settings.h"

namespace tach::analyzer {

// The value of one option. TOML has types; an INI file has texts only, and so has, by pytest's own rule, the table
// [tool.pytest.ini_options], but for lists.
struct OptionValue {
    enum class Type : std::uint8_t { kText, kList, kTruth, kOther };
    Type type = Type::kText;
    std::string text;               // of kOther: how TOML spells it
    std::vector<std::string> list;  // of kList
    bool truth = false;             // of kTruth
    bool is_typed = false;          // [tool.pytest] of pytest 9, where a text is no list
    std::uint32_t line = 0;         // 0: of the command line
};

using OptionValues = std::map<std::string, OptionValue, std::less<>>;

struct ConfigFile {
    std::string path;  // absolute; empty: there is none
    OptionValues values;
};

class ConfigFiles {
  public:
    explicit ConfigFiles(std::uint32_t pytest) : pytest_(pytest) {}

    // locate_config: the first file that has a configuration, upwards from each of `directories` in turn. A
    // pyproject.toml without one counts if there is no other (not for pytest 7). Nothing: there is no such file.
    [[nodiscard]] std::optional<ConfigFile> find(const std::vector<std::string>& directories);

    // -c: whatever is in it counts.
    [[nodiscard]] ConfigFile read(const std::string& path);

    std::vector<SettingsProblem> problems;
    std::vector<std::string> files_read;  // absolute

  private:
    [[nodiscard]] std::optional<OptionValues> load(const std::string& path);
    [[nodiscard]] std::optional<OptionValues> load_ini(const std::string& path, const std::string& text);
    [[nodiscard]] std::optional<OptionValues> load_toml(const std::string& path, const std::string& text);

    std::uint32_t pytest_;
};

// Of the disk: os.path.isfile, isdir and exists, which follow links.
[[nodiscard]] bool is_file(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] bool exists(const std::string& path);

}  // namespace tach::analyzer
