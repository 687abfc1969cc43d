#include "compiler/cli.h"

#include "tests/catch.h"

using namespace tach::compiler;

namespace {

tach::base::Result<CommandLine> parsed(std::vector<std::string> words) {
    return parse_command_line(words);
}

std::string mistake(std::vector<std::string> words) {
    const auto line = parsed(std::move(words));
    return line ? "" : line.error().what;
}

}  // namespace

TEST_CASE("a command line says what is to be compiled, with what and where to") {
    const auto line =
        parsed({"--analysis", "a", "--imports",        "b", "--imports=c", "-o", "d",      "--python",   "e", "-j", "3",
                "--depfile",  "f", "--depfile-target", "g", "--root",      "h",  "--idle", "--paranoid", "-v"});
    REQUIRE(line);
    CHECK(line->analysis == "a");
    CHECK(line->imports == std::vector<std::string>{"b", "c"});
    CHECK(line->output == "d");
    CHECK(line->python == "e");
    CHECK(line->jobs == 3);
    CHECK(line->depfile == "f");
    CHECK(line->depfile_target == "g");
    CHECK(line->root == "h");
    CHECK((line->idle && line->paranoid && line->verbose));
}

TEST_CASE("an analysis or a list of imports is enough, and a place for the image") {
    CHECK(parsed({"--analysis", "a", "-o", "b"}));
    CHECK(parsed({"--imports", "a", "-o", "b"}));
    CHECK(mistake({"--analysis", "a"}).find("-o IMAGE") != std::string::npos);
    CHECK(parsed({"--help"}));
    CHECK(parsed({"--version"}));
    CHECK(mistake({}).find("--analysis") != std::string::npos);
}

TEST_CASE("a mistake names the option") {
    for (const char* jobs : {"0", "257", "x", "-1", ""}) {
        CHECK(mistake({"--analysis", "a", std::string("--jobs=") + jobs}) != "");
    }
    CHECK(mistake({"--analysis", "a", "--format", "xml"}) == "--format=xml: give json or table");
    CHECK(mistake({"--analysis", "a", "--depfile-target", "x"}) == "--depfile-target: needs --depfile");
    CHECK(mistake({"--analysis", "a", "--anal"}).find("--anal") != std::string::npos);
    CHECK(mistake({"--analysis", "a", "more"}) != "");
}

TEST_CASE("help names every option") {
    const std::string help = help_text();
    for (const OptionText& option : option_texts()) {
        INFO(option.name);
        CHECK(help.find("--" + option.name) != std::string::npos);
    }
}
