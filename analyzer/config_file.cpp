#include "analyzer/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <toml++/toml.h>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "analyzer/ini.h"
#include "analyzer/paths.h"
#include "base/file_status.h"

namespace tach::analyzer {
namespace {

// In the order in which pytest looks for them in one directory. The first two are pytest 9's.
constexpr auto kNames = std::to_array<std::string_view>(
    {"pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"});
constexpr std::size_t kNewNames = 2;
constexpr std::uint32_t kNewPytest = 9;

base::FileKind kind_of(const std::string& path) {
    return base::status_at(AT_FDCWD, path.c_str()).kind;
}

std::optional<std::string> text_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream.is_open() || stream.bad()) return std::nullopt;
    return text;
}

OptionValues values_of(const IniSection& section) {
    OptionValues values;
    for (const auto& [name, value] : section) values[name] = {.text = value.text, .line = value.line};
    return values;
}

// A list whose elements are no texts is none that an option could have.
bool read_list(const toml::array& array, OptionValue& value) {
    for (const toml::node& element : array) {
        const auto text = element.value_exact<std::string>();
        if (!text) return false;
        value.list.push_back(*text);
    }
    return true;
}

OptionValue value_of(const toml::node& node, bool is_typed) {
    using Type = OptionValue::Type;
    OptionValue value{.is_typed = is_typed, .line = node.source().begin.line};
    if (const auto text = node.value_exact<std::string>()) {
        value.text = *text;
    } else if (const toml::array* array = node.as_array(); array != nullptr && read_list(*array, value)) {
        value.type = Type::kList;
    } else if (const auto truth = node.value_exact<bool>(); truth && is_typed) {
        value.type = Type::kTruth;
        value.truth = *truth;
    } else {
        // Without types, pytest takes the text that Python has for it: True, 3, 1.5.
        std::ostringstream spelled;
        spelled << toml::node_view<const toml::node>(node);
        value.text = truth ? (*truth ? "True" : "False") : std::move(spelled).str();
        value.type = is_typed || node.is_array() || node.is_table() ? Type::kOther : Type::kText;
    }
    return value;
}

OptionValues values_of(const toml::table& table, bool is_typed) {
    OptionValues values;
    for (const auto& [name, node] : table) {
        const std::string_view key = name.str();
        values[std::string(key)] = value_of(node, is_typed);
    }
    return values;
}

// [tool.pytest.ini_options], or, with pytest 9, what else is in [tool.pytest].
tl::expected<std::optional<OptionValues>, std::string> tool_table(const toml::table& document, std::uint32_t pytest) {
    const toml::table* ours = document["tool"]["pytest"].as_table();
    if (ours == nullptr) return std::nullopt;
    const toml::node* old = ours->get("ini_options");
    if (pytest >= kNewPytest && ours->size() > (old == nullptr ? 0 : 1)) {
        const toml::table* used = old == nullptr ? nullptr : old->as_table();
        if (used != nullptr && !used->empty()) {
            return tl::unexpected<std::string>("cannot use both [tool.pytest] and [tool.pytest.ini_options]");
        }
        OptionValues values = values_of(*ours, true);
        values.erase("ini_options");
        return values;
    }
    if (old == nullptr) return std::nullopt;
    if (!old->is_table()) return tl::unexpected<std::string>("tool.pytest.ini_options is no table");
    return values_of(*old->as_table(), false);
}

// [pytest] of a pytest.toml, which counts even if it is empty.
tl::expected<OptionValues, std::string> own_table(const toml::table& document) {
    if (const toml::node* ours = document.get("pytest"); ours != nullptr) {
        if (!ours->is_table()) return tl::unexpected<std::string>("pytest is no table");
        return values_of(*ours->as_table(), true);
    }
    for (const auto& [name, node] : document) {
        if (node.is_table()) continue;
        return tl::unexpected(fmt::format("{}: an option must be in the table [pytest]", std::string_view(name.str())));
    }
    return OptionValues();
}

bool is_own_toml(std::string_view name) {
    return name == "pytest.toml" || name == ".pytest.toml";
}

}  // namespace

bool is_file(const std::string& path) {
    return kind_of(path) == base::FileKind::kFile;
}

bool is_directory(const std::string& path) {
    return kind_of(path) == base::FileKind::kDirectory;
}

bool exists(const std::string& path) {
    return kind_of(path) != base::FileKind::kNone;
}

std::optional<ConfigFile> ConfigFiles::find(const std::vector<std::string>& directories) {
    std::string first_pyproject;
    for (const std::string& start : directories) {
        std::string directory = start;
        while (true) {
            for (std::size_t at = pytest_ >= kNewPytest ? 0 : kNewNames; at < kNames.size(); ++at) {
                const std::string path = absolute_path(directory, kNames[at]);
                if (!is_file(path)) continue;
                if (kNames[at] == "pyproject.toml" && first_pyproject.empty()) first_pyproject = path;
                if (auto values = load(path)) return ConfigFile{path, std::move(*values)};
            }
            if (directory == "/") break;
            directory = parent_path(directory);
        }
    }
    if (first_pyproject.empty() || pytest_ < 8) return std::nullopt;
    return ConfigFile{first_pyproject, {}};
}

ConfigFile ConfigFiles::read(const std::string& path) {
    return {path, load(path).value_or(OptionValues())};
}

std::optional<OptionValues> ConfigFiles::load(const std::string& path) {
    const std::string_view suffix = suffix_of(file_name(path));
    if (suffix != ".ini" && suffix != ".cfg" && suffix != ".toml") {
        // pytest 9 refuses such a file; what is no file at all (/dev/null) is how to ask for none.
        if (pytest_ >= kNewPytest && is_file(path)) problems.push_back({path, 0, "is neither .ini nor .cfg nor .toml"});
        return std::nullopt;
    }
    const auto text = text_of(path);
    if (!text) {
        problems.push_back({path, 0, "cannot be read"});
        return OptionValues();
    }
    if (files_read.empty() || files_read.back() != path) files_read.push_back(path);
    return suffix == ".toml" ? load_toml(path, *text) : load_ini(path, *text);
}

std::optional<OptionValues> ConfigFiles::load_ini(const std::string& path, const std::string& text) {
    const auto file = parse_ini(text);
    if (!file) {
        problems.push_back({path, file.error().line, file.error().message});
        return OptionValues();
    }
    const std::string_view name = file_name(path);
    const auto plain = file->find("pytest");
    if (name.ends_with(".cfg")) {
        if (const auto ours = file->find("tool:pytest"); ours != file->end()) return values_of(ours->second);
        if (plain == file->end()) return std::nullopt;
        problems.push_back({path, 0, "a section [pytest] in a .cfg file must be called [tool:pytest]"});
        return OptionValues();
    }
    if (plain != file->end()) return values_of(plain->second);
    const bool counts = name == "pytest.ini" || (name == ".pytest.ini" && pytest_ >= kNewPytest);
    return counts ? std::optional(OptionValues()) : std::nullopt;
}

std::optional<OptionValues> ConfigFiles::load_toml(const std::string& path, const std::string& text) {
    const auto refuse = [&](std::uint32_t line, std::string message) {
        problems.push_back({path, line, std::move(message)});
        return OptionValues();
    };
    try {
        const toml::table document = toml::parse(text, std::string_view(path));
        const std::string_view name = file_name(path);
        if (pytest_ >= kNewPytest && is_own_toml(name)) {
            auto values = own_table(document);
            return values ? std::move(*values) : refuse(0, values.error());
        }
        auto values = tool_table(document, pytest_);
        if (!values) return refuse(0, values.error());
        if (*values || pytest_ < kNewPytest || name == "pyproject.toml") return std::move(*values);
        auto own = own_table(document);  // a file of any name, given by -c
        return own ? std::move(*own) : refuse(0, own.error());
    } catch (const toml::parse_error& error) {
        return refuse(error.source().begin.line, std::string(error.description()));
    }
}

}  // namespace tach::analyzer
