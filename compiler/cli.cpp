#include "compiler/cli.h"

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

namespace tach::compiler {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

po::options_description options() {
    po::options_description all("options", 100, 60);
    const auto add = [&](const char* name, const char* text) { all.add_options()(name, text); };
    const auto add_value = [&](const char* name, const char* what, const char* text) {
        all.add_options()(name, po::value<std::string>()->value_name(what), text);
    };
    add_value("analysis", "FILE", "compile the modules of this analysis, which tach-analyzer has written");
    all.add_options()("imports", po::value<Words>()->value_name("FILE")->composing(),
                      "compile the modules that this file lists; may be repeated");
    add_value("root", "DIR", "what the analysis's paths are relative to (default: the working directory)");
    add_value("output,o", "IMAGE",
              "write the bytecode there; runs look for .tach/cache/TAG.bytecode, with sys.implementation.cache_tag");
    add_value("python", "EXE",
              "the interpreter (default: that of $VIRTUAL_ENV, of .venv in the root, or python3 on PATH)");
    add_value("jobs,j", "N", "how many interpreters compile at once (default: one per processor)");
    add_value("depfile", "FILE", "write the inputs there, as make and ninja read them");
    add_value("depfile-target", "FILE", "what the depfile says the inputs are of (default: the output)");
    add("paranoid", "compare contents even where size, times and inode are as before");
    add("idle", "use only what processor time others leave");
    add_value("parent", "PID", "end as soon as this process, which has started it, ends");
    add_value("format", "json|table", "print what is in the image");
    add("verbose,v", "say what was done, and what cannot be compiled");
    add("version", "print the version");
    add("help,h", "print this text");
    return all;
}

tl::unexpected<base::Error> mistake(std::string text) {
    return base::fail(base::Error{EINVAL, std::move(text)});
}

base::Result<std::size_t> jobs_of(const std::string& text) {
    std::size_t jobs = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), jobs);
    if (error != std::errc{} || end != text.data() + text.size() || jobs == 0 || jobs > 256) {
        return mistake(fmt::format("--jobs={}: give a number from 1 to 256", text));
    }
    return jobs;
}

base::Result<pid_t> process_of(const std::string& text) {
    pid_t process = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), process);
    if (error != std::errc{} || end != text.data() + text.size() || process <= 0) {
        return mistake(fmt::format("--parent={}: give the number of a process", text));
    }
    return process;
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
    line.idle = given.count("idle") != 0;
    line.analysis = text("analysis");
    if (given.count("imports") != 0) line.imports = given["imports"].as<Words>();
    line.root = text("root");
    line.output = text("output");
    line.python = text("python");
    line.depfile = text("depfile");
    line.depfile_target = text("depfile-target");
    if (line.depfile_target && !line.depfile) return mistake("--depfile-target: needs --depfile");
    if (const auto format = text("format")) {
        if (*format != "json" && *format != "table") {
            return mistake(fmt::format("--format={}: give json or table", *format));
        }
        line.format = *format == "json" ? OutputFormat::kJson : OutputFormat::kTable;
    }
    if (const auto jobs = text("jobs")) {
        const auto number = jobs_of(*jobs);
        if (!number) return base::fail(number.error());
        line.jobs = *number;
    }
    if (const auto parent = text("parent")) {
        const auto number = process_of(*parent);
        if (!number) return base::fail(number.error());
        line.parent = *number;
    }
    if (!line.help && !line.version && !line.analysis && line.imports.empty()) {
        return mistake("there is nothing to compile: give --analysis or --imports; --help says more");
    }
    if (!line.help && !line.version && !line.output) {
        return mistake("there is nowhere to write to: give -o IMAGE; --help says more");
    }
    return line;
}

}  // namespace

base::Result<CommandLine> parse_command_line(std::span<const std::string> words) {
    const po::options_description all = options();
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    try {
        po::variables_map given;
        po::store(po::command_line_parser(Words(words.begin(), words.end()))
                      .options(all)
                      .positional(po::positional_options_description())
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
    text << "usage: tach-compiler [OPTIONS] --analysis FILE -o IMAGE\n\n"
            "Compiles the modules of a project, and those that its tests have imported, with the interpreter that\n"
            "runs the tests, into one file that all its processes map. Only what has changed is compiled again.\n\n"
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

}  // namespace tach::compiler
