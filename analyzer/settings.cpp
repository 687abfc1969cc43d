#include "analyzer/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "analyzer/arguments.h"
#include "analyzer/collected_paths.h"
#include "analyzer/config_file.h"
#include "analyzer/glob.h"
#include "analyzer/paths.h"
#include "analyzer/words.h"

namespace tach::analyzer {
namespace {

// os.path.expandvars: $NAME and ${NAME}; what is not set stays as it is.
std::string expand_variables(const std::string& text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at + 1;
        const bool braced = text[at] == '$' && end < text.size() && text[end] == '{';
        if (braced) {
            end = text.find('}', end);
            end = end == std::string::npos ? at + 1 : end + 1;
        } else if (text[at] == '$') {
            while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
                ++end;
        }
        const std::string part = text.substr(at, end - at);
        const std::string name = end - at < 2 ? std::string()
                                 : braced     ? part.substr(2, part.size() - 3)
                                              : part.substr(1);
        const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
        result += value == nullptr ? part : value;
        at = end;
    }
    return result;
}

// The file part of an argument: "tests/test_a.py" of "tests/test_a.py::TestB".
std::string_view path_part(std::string_view argument) {
    return argument.substr(0, argument.find("::"));
}

// As resolve_collection_argument does: the first bracket begins the parameters, even where it is part of a path, which
// pytest then does not find.
CollectionArgument take_apart(std::string_view text) {
    CollectionArgument argument;
    const std::size_t bracket = text.find('[');
    if (bracket != std::string_view::npos) argument.parameters = text.substr(bracket);
    std::string_view base = text.substr(0, bracket);
    argument.path = path_part(base);
    base.remove_prefix(argument.path.size());
    while (base.starts_with("::")) {
        base.remove_prefix(2);
        argument.names.emplace_back(path_part(base));
        base.remove_prefix(argument.names.back().size());
    }
    return argument;
}

class SettingsReader {
  public:
    explicit SettingsReader(const Invocation& invocation)
        : invocation_(invocation),
          directory_(absolute_path("/", invocation.directory)),
          files_(invocation.pytest),
          words_(invocation.arguments) {}

    base::Result<Settings> read() {
        if (!invocation_.directory.starts_with('/') || !is_directory(directory_)) {
            return base::fail(base::errno_error(invocation_.directory, ENOTDIR));
        }
        settings_.directory = directory_;
        settings_.pytest = invocation_.pytest;
        prepend(invocation_.addopts, "PYTEST_ADDOPTS");
        const Arguments early = read_arguments(words_, Reading::kEarly);
        determine_setup(early);
        override(early.overrides);
        read_addopts();
        const Arguments arguments = read_arguments(words_, Reading::kFull);
        if (settings_.pytest >= 9) override(arguments.overrides);
        read_options();
        read_command_line(arguments);
        decide_paths(arguments);
        settings_.files_read = std::move(files_.files_read);
        std::move(files_.problems.begin(), files_.problems.end(), std::back_inserter(settings_.problems));
        return std::move(settings_);
    }

  private:
    void report(std::uint32_t line, std::string message) {
        settings_.problems.push_back({line == 0 ? std::string() : config_.path, line, std::move(message)});
    }

    void prepend(const std::string& text, std::string_view source) {
        auto words = split_words(text);
        if (!words) return report(0, fmt::format("{}: a quotation is not closed", source));
        words_.insert(words_.begin(), words->begin(), words->end());
    }

    // --- the root and the ini file: determine_setup -----------------------------------------------------------------

    void determine_setup(const Arguments& early) {
        std::vector<std::string> directories;
        for (const Argument& argument : early.positional) {
            const std::string path = absolute_path(directory_, path_part(argument.text));
            if (!exists(path)) continue;
            directories.push_back(is_directory(path) ? path : std::string(parent_path(path)));
        }
        std::string root;
        if (early.config_file) {
            root = take_named_file(absolute_path(directory_, *early.config_file), directories);
        } else {
            root = find_file(directories, early.rootdir.has_value());
        }
        if (early.rootdir && !early.rootdir->empty()) {
            root = absolute_path(directory_, expand_variables(*early.rootdir));
            settings_.is_anchored = true;
            if (!is_directory(root)) report(0, fmt::format("--rootdir: there is no directory {}", root));
        }
        settings_.root = root;
        settings_.ini_file = config_.path.empty() ? std::string() : relative_to(root, config_.path);
        settings_.is_anchored = root != "/" && (settings_.is_anchored || root == directory_);
    }

    std::string take_named_file(const std::string& path, const std::vector<std::string>& directories) {
        if (!exists(path) || is_directory(path)) {
            report(0, fmt::format("-c: there is no file {}", path));
        } else {
            config_ = files_.read(path);
        }
        // /dev/null asks for no file at all, and says nothing about the root.
        if (settings_.pytest < 9 || is_file(path)) return std::string(parent_path(path));
        settings_.is_anchored = false;
        const std::string common = common_ancestor(directories);
        return common == "/" ? directory_ : common;
    }

    std::string find_file(const std::vector<std::string>& directories, bool has_root) {
        const std::string ancestor = common_ancestor(directories);
        if (auto found = files_.find({ancestor})) return take(std::move(*found));
        if (has_root) return {};
        for (std::string_view above = ancestor;; above = parent_path(above)) {
            if (is_file(absolute_path(above, "setup.py"))) return std::string(above);
            if (above == "/") break;
        }
        if (directories != std::vector{ancestor}) {
            const auto starts = directories.empty() ? std::vector{directory_} : directories;
            if (auto found = files_.find(starts)) return take(std::move(*found));
        }
        settings_.is_anchored = false;
        std::string common = common_path(directory_, ancestor);
        return common == "/" ? ancestor : common;
    }

    std::string take(ConfigFile found) {
        config_ = std::move(found);
        return std::string(parent_path(config_.path));
    }

    [[nodiscard]] std::string common_ancestor(const std::vector<std::string>& directories) const {
        if (directories.empty()) return directory_;
        std::string common = directories.front();
        for (const std::string& directory : directories) common = common_path(common, directory);
        return common;
    }

    // --- the options of the file ------------------------------------------------------------------------------------

    void override(const std::vector<std::string>& overrides) {
        for (const std::string& text : overrides) {
            const std::size_t equals = text.find('=');
            if (equals == std::string::npos) {
                report(0, fmt::format("-o {}: is not NAME=VALUE", text));
            } else {
                config_.values[text.substr(0, equals)] = {.text = text.substr(equals + 1)};
            }
        }
    }

    [[nodiscard]] const OptionValue* find(std::string_view name) const {
        const auto place = config_.values.find(name);
        return place == config_.values.end() ? nullptr : &place->second;
    }

    // An option of pytest's type "args" or "paths". Nothing: the file does not have it, or has something else there.
    std::optional<std::vector<std::string>> words_of(std::string_view name) {
        const OptionValue* value = find(name);
        if (value == nullptr) return std::nullopt;
        if (value->type == OptionValue::Type::kList) return value->list;
        if (value->type != OptionValue::Type::kText || value->is_typed) {
            report(value->line, fmt::format("{}: expected a list of strings", name));
            return std::nullopt;
        }
        auto words = split_words(value->text);
        if (!words) report(value->line, fmt::format("{}: a quotation is not closed", name));
        return words;
    }

    void read_words(std::string_view name, std::vector<std::string>& words) {
        if (auto found = words_of(name)) words = std::move(*found);
    }

    void read_truth(std::string_view name, bool& truth) {
        constexpr auto kTrue = std::to_array<std::string_view>({"y", "yes", "t", "true", "on", "1"});
        constexpr auto kFalse = std::to_array<std::string_view>({"n", "no", "f", "false", "off", "0"});
        const OptionValue* value = find(name);
        if (value == nullptr) return;
        std::string text = value->text;
        std::transform(text.begin(), text.end(), text.begin(),
                       [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
        const auto is_one_of = [&text](const auto& list) {
            return std::find(list.begin(), list.end(), text) != list.end();
        };
        if (value->type == OptionValue::Type::kTruth) {
            truth = value->truth;
        } else if (value->type == OptionValue::Type::kText && !value->is_typed && is_one_of(kTrue)) {
            truth = true;
        } else if (value->type == OptionValue::Type::kText && !value->is_typed && is_one_of(kFalse)) {
            truth = false;
        } else {
            report(value->line, fmt::format("{}: expected a truth value", name));
        }
    }

    void read_addopts() {
        const auto words = words_of("addopts");
        if (words) words_.insert(words_.begin(), words->begin(), words->end());
    }

    void read_options() {
        read_words("python_files", settings_.python_files);
        read_words("python_classes", settings_.python_classes);
        read_words("python_functions", settings_.python_functions);
        read_words("norecursedirs", settings_.norecursedirs);
        read_words("usefixtures", settings_.usefixtures);
        read_truth("consider_namespace_packages", settings_.consider_namespace_packages);
        read_truth("collect_imported_tests", settings_.collect_imported_tests);
        read_truth("disable_test_id_escaping_and_forfeit_all_rights_to_community_support",
                   settings_.keeps_ids_unescaped);
        const std::string base = config_.path.empty() ? directory_ : std::string(parent_path(config_.path));
        for (const std::string& path : words_of("pythonpath").value_or(std::vector<std::string>())) {
            settings_.pythonpath.push_back(relative_to(settings_.root, absolute_path(base, path)));
        }
    }

    // --- the command line -------------------------------------------------------------------------------------------

    void read_command_line(const Arguments& arguments) {
        for (const std::string& path : arguments.ignore) {
            settings_.ignore.push_back(relative_to(settings_.root, absolute_path(directory_, path)));
        }
        for (const std::string& pattern : arguments.ignore_glob) {
            settings_.ignore_glob.push_back(absolute_path(directory_, pattern));
        }
        if (!arguments.doctest_glob.empty()) settings_.doctest_glob = arguments.doctest_glob;
        settings_.doctest_modules = arguments.doctest_modules;
        settings_.collect_in_virtualenv = arguments.collect_in_virtualenv;
        settings_.keep_duplicates = arguments.keep_duplicates;
        settings_.noconftest = arguments.noconftest;
        settings_.pyargs = arguments.pyargs;
        settings_.deselects = arguments.deselects || !arguments.keyword.empty() || !arguments.mark.empty();
        const std::string base = config_.path.empty() ? settings_.root : std::string(parent_path(config_.path));
        const std::string top = arguments.confcutdir ? absolute_path(directory_, *arguments.confcutdir) : base;
        settings_.confcutdir = relative_to(settings_.root, top);
        read_import_mode(arguments.import_mode.value_or("prepend"));
        read_plugins(arguments.plugins);
    }

    void read_import_mode(const std::string& mode) {
        if (mode == "append") {
            settings_.import_mode = ImportMode::kAppend;
        } else if (mode == "importlib") {
            settings_.import_mode = ImportMode::kImportlib;
        } else if (mode != "prepend") {
            report(0, fmt::format("--import-mode={}: is none of prepend, append, importlib", mode));
        }
    }

    void read_plugins(const std::vector<std::string>& plugins) {
        for (std::string plugin : plugins) {
            plugin.erase(0, plugin.find_first_not_of(' '));
            const bool is_taken_out = plugin.starts_with("no:");
            if (is_taken_out) plugin.erase(0, 3);
            std::erase(settings_.plugins, plugin);
            if (!is_taken_out) settings_.plugins.push_back(plugin);
            // Without this plugin no doctest is collected, not even from a file that is named.
            if (is_taken_out && plugin == "doctest") {
                settings_.doctest_glob.clear();
                settings_.doctest_modules = false;
            }
        }
    }

    // --- what is collected ------------------------------------------------------------------------------------------

    void decide_paths(const Arguments& arguments) {
        std::vector<CollectionArgument> collected;
        bool is_given = false;
        for (const Argument& argument : arguments.positional) {
            const auto resolved = resolve(argument.text);
            // What does not exist and may be some option's value is taken for that.
            if (!resolved && argument.may_be_value) continue;
            is_given = true;
            if (resolved) {
                collected.push_back(*resolved);
            } else {
                report(0, fmt::format("file or directory not found: {}", argument.text));
            }
        }
        if (!is_given) collected = from_testpaths();
        const std::string& root = settings_.root;
        for (const CollectionArgument& argument : collected) {
            const bool is_whole = std::any_of(collected.begin(), collected.end(), [&](const CollectionArgument& other) {
                return other.names.empty() && is_within(argument.path, other.path);
            });
            if (is_whole) continue;
            settings_.node_ids.push_back(fmt::format("{}::{}{}", relative_to(root, argument.path),
                                                     fmt::join(argument.names, "::"), argument.parameters));
        }
        settings_.deselects = settings_.deselects || !settings_.node_ids.empty();
        for (const std::string& path : collected_paths(collected, settings_.pytest, settings_.keep_duplicates)) {
            settings_.paths.push_back(relative_to(root, path));
        }
    }

    std::vector<CollectionArgument> from_testpaths() {
        const auto testpaths = words_of("testpaths").value_or(std::vector<std::string>());
        std::vector<CollectionArgument> collected;
        if (directory_ == settings_.root) {
            for (const std::string& pattern : testpaths) {
                const auto found = settings_.pyargs ? std::vector{pattern} : expand(directory_, pattern);
                for (const std::string& path : found) {
                    if (auto resolved = resolve(path)) collected.push_back(std::move(*resolved));
                }
            }
            if (collected.empty() && !testpaths.empty()) {
                report(find("testpaths")->line, "testpaths: no files were found, everything is collected");
            }
        }
        if (collected.empty()) collected.push_back({.path = directory_, .is_directory = true});
        return collected;
    }

    std::optional<CollectionArgument> resolve(const std::string& text) {
        CollectionArgument argument = take_apart(text);
        const auto module = settings_.pyargs ? find_module(argument.path) : std::nullopt;
        argument.path = module ? *module : absolute_path(directory_, argument.path);
        if (!exists(argument.path)) return std::nullopt;
        argument.is_directory = is_directory(argument.path);
        return argument;
    }

    // --pyargs: where Python would find the module, as far as the project's own directories tell.
    [[nodiscard]] std::optional<std::string> find_module(std::string name) const {
        if (name.empty() || name.find('/') != std::string::npos) return std::nullopt;
        std::replace(name.begin(), name.end(), '.', '/');
        std::vector<std::string> starts = settings_.pythonpath;
        starts.push_back(directory_);
        for (const std::string& start : starts) {
            const std::string base = absolute_path(absolute_path(settings_.root, start), name);
            if (is_file(base + "/__init__.py")) return base;
            if (is_file(base + ".py")) return base + ".py";
        }
        return std::nullopt;
    }

    const Invocation& invocation_;
    std::string directory_;
    ConfigFiles files_;
    std::vector<std::string> words_;
    ConfigFile config_;
    Settings settings_;
};

}  // namespace

base::Result<Settings> read_settings(const Invocation& invocation) {
    return SettingsReader(invocation).read();
}

base::Result<Settings> read_settings(const std::string& directory, const std::vector<std::string>& arguments) {
    return read_settings({.directory = directory, .arguments = arguments});
}

}  // namespace tach::analyzer
