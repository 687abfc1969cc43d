#include "supervisor/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "supervisor/cli.h"
#include "supervisor/project_directories.h"
#include "supervisor/spelling.h"
#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

namespace fs = std::filesystem;

// A day is a guess; it keeps a budget within what every clock can add up.
constexpr double kMaxBudgetS = 86400;

std::string place(const std::string& shown, const toml::source_region& source) {
    return fmt::format("{}:{}:{}", shown, source.begin.line, source.begin.column);
}

// Each reader stores what `node` holds and returns nullptr, or returns the node that is not what the key
// expects.

const toml::node* read(Given<std::string>& given, const toml::node& node, const std::string& where) {
    const auto value = node.value_exact<std::string>();
    if (!value || value->empty()) return &node;
    given = {*value, where};
    return nullptr;
}

const toml::node* read(Given<bool>& given, const toml::node& node, const std::string& where) {
    const auto value = node.value_exact<bool>();
    if (!value) return &node;
    given = {*value, where};
    return nullptr;
}

const toml::node* read(Given<std::uint64_t>& given, const toml::node& node, const std::string& where) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0) return &node;
    given = {static_cast<std::uint64_t>(*value), where};
    return nullptr;
}

const toml::node* read(Given<double>& given, const toml::node& node, const std::string& where) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= 0 && *value <= kMaxBudgetS)) return &node;  // NaN is none of them
    given = {*value, where};
    return nullptr;
}

const toml::node* read(Given<Workers>& given, const toml::node& node, const std::string& where) {
    std::optional<Workers> workers;
    if (const auto count = node.value_exact<std::int64_t>()) workers = workers_of(*count);
    // A number in quotes is a slip that TOML's other readers would not forgive.
    const auto text = node.value_exact<std::string>();
    if (text && (*text == "auto" || *text == "logical")) workers = workers_of(std::string_view(*text));
    if (!workers) return &node;
    given = {*workers, where};
    return nullptr;
}

const toml::node* read(Given<std::vector<std::string>>& given, const toml::node& node, const std::string& where) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return &node;
    std::vector<std::string> values;
    for (const toml::node& element : *array) {
        const auto value = element.value_exact<std::string>();
        if (!value) return &element;
        values.push_back(*value);
    }
    given = {std::move(values), where};
    return nullptr;
}

template <class Choice>
const toml::node* read_choice(Given<Choice>& given, const toml::node& node, const std::string& where) {
    const auto text = node.value_exact<std::string>();
    const auto choice = text ? choice_of<Choice>(*text) : std::nullopt;
    if (!choice) return &node;
    given = {*choice, where};
    return nullptr;
}

const toml::node* read(Given<Mode>& given, const toml::node& node, const std::string& where) {
    return read_choice(given, node, where);
}

const toml::node* read(Given<Engine>& given, const toml::node& node, const std::string& where) {
    return read_choice(given, node, where);
}

template <auto member>
const toml::node* read_member(Config& config, const toml::node& node, const std::string& where) {
    return read(config.*member, node, where);
}

struct Key {
    std::string_view table;  // empty: the top
    std::string_view name;
    std::string_view expected;
    const toml::node* (*read)(Config&, const toml::node&, const std::string& where);
};

// Tables that another stage of tach reads, and checks: tach-analyzer, see analyzer/rule_settings.h.
constexpr std::array<std::string_view, 1> kForeignTables{"toxicity"};

constexpr auto kKeys = std::to_array<Key>({
    {"", "python", "a string, the interpreter to run", read_member<&Config::python>},
    {"", "workers", "a whole number from 0 to 1024, \"auto\" or \"logical\"", read_member<&Config::workers>},
    {"", "mode", "\"isolated\", \"fork\" or \"shared\"", read_member<&Config::mode>},
    {"", "engine", "\"auto\", \"wp-async\", \"cow\", \"missing\" or \"fork\"", read_member<&Config::engine>},
    {"", "seed", "a whole number, 0 or more", read_member<&Config::seed>},
    {"", "strict_isolation", "true or false", read_member<&Config::strict_isolation>},
    {"", "args", "an array of strings, options for pytest", read_member<&Config::args>},
    {"second_opinion", "enabled", "true or false", read_member<&Config::second_opinion>},
    {"second_opinion", "budget_s", "a number of seconds from 0 to 86400",
     read_member<&Config::second_opinion_budget_s>},
    {"snapshot", "max_resets", "a whole number, 0 or more", read_member<&Config::max_resets>},
    {"snapshot", "max_growth", "a whole number of MiB, 0 or more", read_member<&Config::max_growth>},
    {"parallel", "split_wide", "true or false", read_member<&Config::split_wide>},
    {"loader", "enabled", "true or false", read_member<&Config::loader>},
    {"loader", "paranoid", "true or false", read_member<&Config::loader_paranoid>},
    {"plugins", "rewindable", "an array of strings, names of plugins or paths of conftest files",
     read_member<&Config::rewindable>},
});

// Keys at the top of the file of the other tool (module boundaries and layers, https://github.com/gauge-sh/tach,
// docs/usage/configuration.md and src/config/project.rs of its version 0.29).
constexpr auto kOtherToolsKeys = std::to_array<std::string_view>({
    "cache",
    "disable_logging",
    "exact",
    "exclude",
    "external",
    "forbid_circular_dependencies",
    "ignore_type_checking_imports",
    "include_string_imports",
    "interfaces",
    "layers",
    "layers_explicit_depends_on",
    "map",
    "modules",
    "respect_gitignore",
    "root_module",
    "rules",
    "source_roots",
    "use_regex_matching",
});
// Both have a table of this name; its keys in the other's file.
constexpr std::string_view kSharedTable = "plugins";
constexpr auto kOtherToolsPlugins = std::to_array<std::string_view>({"django"});

bool is_other_tools(std::string_view table, std::string_view name) {
    const auto holds = [name](const auto& keys) { return std::find(keys.begin(), keys.end(), name) != keys.end(); };
    return table.empty() ? holds(kOtherToolsKeys) : table == kSharedTable && holds(kOtherToolsPlugins);
}

std::string type_of(const toml::node& node) {
    if (node.is_string()) return "a string";
    if (node.is_integer()) return "an integer";
    if (node.is_floating_point()) return "a float";
    if (node.is_boolean()) return "a boolean";
    if (node.is_array()) return "an array";
    if (node.is_table()) return "a table";
    return "a date or time";
}

// "4 (an integer)" for what fits in a line, else its type.
std::string what_is_there(const toml::node& node) {
    std::string type = type_of(node);
    if (const auto text = node.value_exact<std::string>()) return fmt::format("\"{}\" ({})", *text, type);
    if (const auto number = node.value_exact<std::int64_t>()) return fmt::format("{} ({})", *number, type);
    if (const auto number = node.value_exact<double>()) return fmt::format("{} ({})", *number, type);
    if (const auto truth = node.value_exact<bool>()) return fmt::format("{} ({})", *truth, type);
    return type;
}

// Reads one table after the other into a Config; the state is what every error text needs.
class TableReader {
  public:
    TableReader(const std::string& shown, std::string prefix) : shown_(shown), prefix_(std::move(prefix)) {}

    base::Result<Config> read_top(const toml::table& top) {
        if (auto done = read_table("", top); !done) return base::fail(done.error());
        if (auto done = check_args(); !done) return base::fail(done.error());
        if (!others_.empty()) {
            config_.note = fmt::format("{}: left alone, since it is for another tool of that name: {}", shown_,
                                       fmt::join(others_, ", "));
        }
        return std::move(config_);
    }

    // Whether nothing in it is ours.
    [[nodiscard]] bool is_other_tools_file() const { return !others_.empty() && !has_own_; }

  private:
    base::Result<void> read_table(std::string_view table, const toml::table& values) {
        for (const auto& [name, node] : values) {
            const std::string_view key_name = name.str();
            if (is_other_tools(table, key_name)) {
                others_.push_back(full_name(table, key_name));
                continue;
            }
            has_own_ = has_own_ || key_name != kSharedTable;
            if (const Key* key = find(table, key_name)) {
                const toml::node* wrong = key->read(config_, node, place(shown_, node.source()));
                if (wrong != nullptr) return refuse(table, key_name, *wrong, key->expected);
            } else if (table.empty() && is_table(key_name)) {
                const toml::table* inner = node.as_table();
                if (inner == nullptr) return refuse(table, key_name, node, fmt::format("a table, [{}]", key_name));
                if (is_foreign(key_name)) continue;
                if (auto done = read_table(key_name, *inner); !done) return done;
            } else {
                return refuse_unknown(table, name);
            }
        }
        return {};
    }

    static const Key* find(std::string_view table, std::string_view name) {
        for (const Key& key : kKeys) {
            if (key.table == table && key.name == name) return &key;
        }
        return nullptr;
    }

    static bool is_foreign(std::string_view name) {
        return std::find(kForeignTables.begin(), kForeignTables.end(), name) != kForeignTables.end();
    }

    static bool is_table(std::string_view name) {
        if (is_foreign(name)) return true;
        for (const Key& key : kKeys) {
            if (!key.table.empty() && key.table == name) return true;
        }
        return false;
    }

    std::string full_name(std::string_view table, std::string_view name) const {
        return table.empty() ? fmt::format("{}{}", prefix_, name) : fmt::format("{}{}.{}", prefix_, table, name);
    }

    tl::unexpected<base::Error> refuse(std::string_view table, std::string_view name, const toml::node& wrong,
                                       std::string_view expected) const {
        return mistake(fmt::format("{}: {}: is {}, expected {}", place(shown_, wrong.source()), full_name(table, name),
                                   what_is_there(wrong), expected));
    }

    tl::unexpected<base::Error> refuse_unknown(std::string_view table, const toml::key& name) const {
        std::vector<std::string_view> known;
        for (const Key& key : kKeys) {
            if (key.table == table) {
                known.push_back(key.name);
            } else if (table.empty() && (known.empty() || known.back() != key.table)) {
                known.push_back(key.table);
            }
        }
        if (table.empty()) known.insert(known.end(), kForeignTables.begin(), kForeignTables.end());
        const auto nearest = nearest_word(name.str(), known);
        return mistake(fmt::format(
            "{}: {}: unknown key, {}", place(shown_, name.source()), full_name(table, name.str()),
            nearest ? fmt::format("did you mean {}?", *nearest) : fmt::format("expected {}", listed(known))));
    }

    // The array is pytest's alone: tach has keys for its own options, and after `--` pytest would take the
    // command line's options for paths.
    base::Result<void> check_args() const {
        if (!config_.args) return {};
        const std::string subject = fmt::format("{}: {}", config_.args->where, full_name("", "args"));
        for (const std::string& word : config_.args->value) {
            if (word == "--")
                return mistake(fmt::format("{}: holds \"--\", after which no option counts; take it out", subject));
        }
        const auto own = first_own_option(config_.args->value);
        if (!own) return mistake(fmt::format("{}: {}", subject, own.error().what));
        if (*own) {
            return mistake(fmt::format("{}: holds {}, an option of tach itself; use its key, or the command line",
                                       subject, **own));
        }
        return {};
    }

    const std::string& shown_;
    std::string prefix_;
    Config config_;
    std::vector<std::string> others_;  // keys of the other tool
    bool has_own_ = false;
};

// Without a file, but with its note, when all of it is the other tool's.
base::Result<Config> read_keys(const toml::table& table, const std::string& shown, std::string prefix) {
    TableReader reader(shown, std::move(prefix));
    auto config = reader.read_top(table);
    if (config && !reader.is_other_tools_file()) config->file = shown;
    return config;
}

base::Result<toml::table> parse(const std::string& text, const std::string& shown) {
    try {
        return toml::parse(text, std::string_view(shown));
    } catch (const toml::parse_error& error) {
        return mistake(fmt::format("{}: not TOML: {}", place(shown, error.source()), error.description()));
    }
}

base::Result<std::string> text_of(const fs::path& file, const std::string& shown) {
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream.is_open() || stream.bad()) return mistake(fmt::format("{}: cannot be read", shown));
    return text;
}

bool is_file(const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error);
}

// A Config when `file` may be one of tach's: always for a tach.toml. Its `file` is empty if it turns out not to be.
base::Result<std::optional<Config>> load(const fs::path& file, const std::string& shown) {
    const auto text = text_of(file, shown);
    if (!text) return base::fail(text.error());
    if (file.filename() == "pyproject.toml") {
        auto config = read_pyproject(*text, shown);
        if (config && *config && !(*config)->file.empty()) (*config)->file = file;
        return config;
    }
    auto config = read_tach_toml(*text, shown);
    if (!config) return base::fail(config.error());
    if (!config->file.empty()) config->file = file;
    return std::optional<Config>(std::move(*config));
}

base::Result<Config> load_named(const fs::path& cwd, const std::string& option) {
    const fs::path file = cwd / option;
    if (!is_file(file))
        return mistake(fmt::format("--config {}: no such file; name a tach.toml or a pyproject.toml", option));
    auto config = load(file, option);
    if (!config) return base::fail(config.error());
    if (!*config) return mistake(fmt::format("--config {}: it has no table [tool.tach]", option));
    if ((*config)->file.empty()) {
        return mistake(
            fmt::format("--config {}: it is the file of another tool of that name; name one of ours", option));
    }
    return std::move(**config);
}

}  // namespace

std::vector<std::string> config_keys() {
    std::vector<std::string> names;
    names.reserve(kKeys.size());
    for (const Key& key : kKeys) {
        names.push_back(key.table.empty() ? std::string(key.name) : fmt::format("{}.{}", key.table, key.name));
    }
    return names;
}

base::Result<Config> read_tach_toml(const std::string& text, const std::string& shown) {
    const auto table = parse(text, shown);
    if (!table) return base::fail(table.error());
    return read_keys(*table, shown, "");
}

base::Result<std::optional<Config>> read_pyproject(const std::string& text, const std::string& shown) {
    if (text.find("tach") == std::string::npos) return std::nullopt;  // spares most projects the parsing
    const auto table = parse(text, shown);
    if (!table) return base::fail(table.error());
    const auto ours = (*table)["tool"]["tach"];
    if (!ours) return std::nullopt;
    if (!ours.is_table()) {
        return mistake(fmt::format("{}: tool.tach: is {}, expected a table, [tool.tach]",
                                   place(shown, ours.node()->source()), what_is_there(*ours.node())));
    }
    auto config = read_keys(*ours.as_table(), shown, "tool.tach.");
    if (!config) return base::fail(config.error());
    return std::optional<Config>(std::move(*config));
}

base::Result<Config> load_config(const fs::path& cwd, const std::optional<std::string>& option) {
    if (option) return load_named(cwd, *option);
    std::string note;
    for (const fs::path& directory : project_directories(cwd)) {
        for (const char* name : {"tach.toml", "pyproject.toml"}) {
            const fs::path file = directory / name;
            if (!is_file(file)) continue;
            auto config = load(file, file.lexically_relative(cwd).string());
            if (!config) return base::fail(config.error());
            if (!*config) continue;
            if (!(*config)->file.empty()) return std::move(**config);
            if (note.empty()) note = (*config)->note;
        }
    }
    Config none;
    none.note = std::move(note);
    return none;
}

}  // namespace tach::supervisor
