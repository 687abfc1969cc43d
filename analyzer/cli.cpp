#include "analyzer/cli.h"

#include <fmt/format.h>

#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <boost/program_options/variables_map.hpp>
#include <cerrno>
#include <charconv>
#include <sstream>

namespace tach::analyzer {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

po::options_description options() {
    po::options_description all("options", 100, 60);
    const auto add = [&](const char* name, const char* text) { all.add_options()(name, text); };
    const auto add_value = [&](const char* name, const char* what, const char* text) {
        all.add_options()(name, po::value<std::string>()->value_name(what), text);
    };
    add_value("root", "DIR", "the project (default: the working directory)");
    add_value("output,o", "FILE", "write the analysis there (default, unless something is printed: .tach/analysis)");
    add_value("depfile", "FILE", "write the inputs there, as make and ninja read them");
    add_value("depfile-target", "FILE", "what the depfile says the inputs are of (default: the output)");
    add_value("format", "json|table",
              "print the analysis; with --since or --affected-by, json prints test files, and why");
    all.add_options()("affected-by", po::value<Words>()->value_name("FILE")->composing(),
                      "print the tests that can reach a file; may be repeated");
    add_value("since", "REV", "print the tests that can reach what changed since a git revision");
    add("paranoid", "compare contents even where size, times and inode are as before");
    add_value("config", "FILE", "read [toxicity] there (default: tach.toml, then pyproject.toml, in pytest's rootdir)");
    add("rules", "print the rules of toxicity");
    add_value("pytest", "X.Y", "the version of pytest whose ids are wanted (default: what all versions agree on)");
    add_value("jobs,j", "N", "how many files to parse at once (default: one per processor)");
    add("verbose,v", "say what was done");
    add("version", "print the version");
    add("help,h", "print this text");
    return all;
}

tl::unexpected<base::Error> mistake(std::string text) {
    return base::fail(base::Error{EINVAL, std::move(text)});
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// "8.4" is 804.
std::optional<std::uint32_t> version_number(std::string_view text) {
    const std::size_t dot = text.find('.');
    const auto major = number(text.substr(0, dot));
    if (!major || *major == 0 || *major > 99) return std::nullopt;
    if (dot == std::string_view::npos) return *major * 100;
    const std::string_view rest = text.substr(dot + 1);
    const auto minor = number(rest.substr(0, rest.find('.')));
    if (!minor || *minor > 99) return std::nullopt;
    return *major * 100 + *minor;
}

base::Result<void> read_numbers(const po::variables_map& given, CommandLine& line) {
    if (given.count("jobs") != 0) {
        const auto& text = given["jobs"].as<std::string>();
        const auto jobs = number(text);
        if (!jobs || *jobs == 0 || *jobs > 256) {
            return mistake(fmt::format("--jobs={}: give a number from 1 to 256", text));
        }
        line.jobs = *jobs;
    }
    if (given.count("pytest") != 0) {
        const auto& text = given["pytest"].as<std::string>();
        const auto version = version_number(text);
        if (!version) return mistake(fmt::format("--pytest={}: give a version, such as 8.4", text));
        line.pytest = *version;
    }
    return {};
}

base::Result<CommandLine> settle(const po::variables_map& given) {
    CommandLine line;
    const auto text = [&](const char* name) -> std::optional<std::string> {
        if (given.count(name) == 0) return std::nullopt;
        return given[name].as<std::string>();
    };
    line.help = given.count("help") != 0;
    line.version = given.count("version") != 0;
    line.verbose = given.count("verbose") != 0;
    line.paranoid = given.count("paranoid") != 0;
    line.rules = given.count("rules") != 0;
    line.root = text("root");
    line.output = text("output");
    line.config = text("config");
    line.depfile = text("depfile");
    line.depfile_target = text("depfile-target");
    if (line.depfile_target && !line.depfile) return mistake("--depfile-target: needs --depfile");
    line.since = text("since");
    if (const auto format = text("format")) {
        if (*format != "json" && *format != "table") {
            return mistake(fmt::format("--format={}: give json or table", *format));
        }
        line.format = *format == "json" ? OutputFormat::kJson : OutputFormat::kTable;
    }
    if (given.count("affected-by") != 0) line.affected_by = given["affected-by"].as<Words>();
    if (given.count("path") != 0) line.paths = given["path"].as<Words>();
    if (auto read = read_numbers(given, line); !read) return base::fail(read.error());
    return line;
}

}  // namespace

base::Result<CommandLine> parse_command_line(std::span<const std::string> words) {
    po::options_description all = options();
    all.add_options()("path", po::value<Words>());
    po::positional_options_description positional;
    positional.add("path", -1);
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    try {
        po::variables_map given;
        po::store(po::command_line_parser(Words(words.begin(), words.end()))
                      .options(all)
                      .positional(positional)
                      .style(style)
                      .run(),
                  given);
        return settle(given);
    } catch (const po::unknown_option& error) {
        return mistake(fmt::format("{}: no such option; --help lists them", error.get_option_name()));
    } catch (const po::error& error) {
        return mistake(fmt::format("{}; --help says more", error.what()));
    }
}

std::string help_text() {
    std::ostringstream text;
    text << "usage: tach-analyzer [OPTIONS] [PATH...]\n\n"
            "Reads the Python sources of a project, without running them, and writes down its tests and\n"
            "fixtures, what imports what, and what cannot be rewound. PATHs are those that pytest is given.\n\n"
         << options();
    return text.str();
}

std::vector<OptionText> option_texts() {
    const po::options_description all = options();
    std::vector<OptionText> texts;
    for (const auto& option : all.options()) {
        OptionText text{.name = option->long_name(), .argument = {}, .help = option->description()};
        const std::string shown = option->canonical_display_name(po::command_line_style::allow_dash_for_short);
        if (shown.size() == 2 && shown[0] == '-') text.letter = shown[1];
        if (option->semantic()->max_tokens() > 0) text.argument = option->semantic()->name();
        texts.push_back(std::move(text));
    }
    return texts;
}

}  // namespace tach::analyzer
