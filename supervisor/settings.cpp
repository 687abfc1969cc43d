#include "supervisor/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace tach::supervisor {
namespace {

constexpr std::string_view kCommandLine = "command line";

template <class T, class Value>
void from_file(Setting<T>& setting, const Given<Value>& given) {
    if (given) setting = {given->value, Source::kFile, given->where};
}

template <class T, class Value>
void from_line(Setting<T>& setting, const std::optional<Value>& given) {
    if (given) setting = {*given, Source::kCommandLine, std::string(kCommandLine)};
}

std::string shown(bool value) {
    return value ? "true" : "false";
}
std::string shown(double value) {
    return fmt::format("{}", value);
}
std::string shown(std::uint64_t value) {
    return std::to_string(value);
}
std::string shown(Mode value) {
    return std::string(word(value));
}
std::string shown(Engine value) {
    return std::string(word(value));
}
std::string shown(Format value) {
    return std::string(word(value));
}
std::string shown(Color value) {
    return std::string(word(value));
}
std::string shown(const std::optional<std::string>& value) {
    return value.value_or("");
}
std::string shown(const std::optional<std::uint64_t>& value) {
    return value ? std::to_string(*value) : "";
}
std::string shown(const std::vector<std::string>& value) {
    return fmt::format("{}", fmt::join(value, ", "));
}

std::string shown(const Workers& value) {
    if (value.kind == Workers::Kind::kCount) return std::to_string(value.count);
    return value.kind == Workers::Kind::kAuto ? "auto" : "logical";
}

template <class T>
void add_line(std::vector<std::string>& lines, std::string_view name, const Setting<T>& setting) {
    if (setting.source == Source::kDefault) return;
    lines.push_back(fmt::format("{}: {} ({})", name, shown(setting.value), setting.where));
}

void apply_file(Settings& settings, const Config& config) {
    settings.config_file = config.file;
    from_file(settings.python, config.python);
    from_file(settings.workers, config.workers);
    from_file(settings.mode, config.mode);
    from_file(settings.engine, config.engine);
    from_file(settings.seed, config.seed);
    from_file(settings.strict_isolation, config.strict_isolation);
    from_file(settings.second_opinion, config.second_opinion);
    from_file(settings.second_opinion_budget_s, config.second_opinion_budget_s);
    from_file(settings.max_resets, config.max_resets);
    from_file(settings.max_growth, config.max_growth);
    from_file(settings.split_wide, config.split_wide);
    from_file(settings.loader, config.loader);
    from_file(settings.loader_paranoid, config.loader_paranoid);
    from_file(settings.rewindable, config.rewindable);
    if (config.args) settings.pytest_args = config.args->value;
}

void apply_line(Settings& settings, const CommandLine& line) {
    from_line(settings.python, line.python);
    from_line(settings.workers, line.workers);
    from_line(settings.mode, line.mode);
    from_line(settings.engine, line.engine);
    from_line(settings.seed, line.seed);
    from_line(settings.format, line.format);
    from_line(settings.color, line.color);
    settings.verify_snapshots = line.verify_snapshots;
    if (line.strict_isolation) from_line(settings.strict_isolation, std::optional(true));
    if (line.no_second_opinion) from_line(settings.second_opinion, std::optional(false));
    if (line.no_loader) from_line(settings.loader, std::optional(false));
    settings.list = line.list;
    settings.explain = line.explain;
    settings.since = line.since;
    settings.pytest_args.insert(settings.pytest_args.end(), line.pytest_args.begin(), line.pytest_args.end());
}

}  // namespace

Settings settle(const CommandLine& line, const Config& config) {
    Settings settings;
    apply_file(settings, config);
    apply_line(settings, line);
    if (settings.strict_isolation.value) {
        settings.second_opinion = settings.strict_isolation;
        settings.second_opinion.value = false;
    }
    return settings;
}

std::vector<std::string> describe(const Settings& settings) {
    std::vector<std::string> lines;
    add_line(lines, "python", settings.python);
    add_line(lines, "workers", settings.workers);
    add_line(lines, "mode", settings.mode);
    add_line(lines, "engine", settings.engine);
    add_line(lines, "seed", settings.seed);
    add_line(lines, "strict_isolation", settings.strict_isolation);
    add_line(lines, "second_opinion.enabled", settings.second_opinion);
    add_line(lines, "second_opinion.budget_s", settings.second_opinion_budget_s);
    add_line(lines, "snapshot.max_resets", settings.max_resets);
    add_line(lines, "snapshot.max_growth", settings.max_growth);
    add_line(lines, "parallel.split_wide", settings.split_wide);
    add_line(lines, "loader.enabled", settings.loader);
    add_line(lines, "loader.paranoid", settings.loader_paranoid);
    add_line(lines, "plugins.rewindable", settings.rewindable);
    add_line(lines, "format", settings.format);
    add_line(lines, "color", settings.color);
    return lines;
}

}  // namespace tach::supervisor
