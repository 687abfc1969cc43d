#include "compiler/manual.h"

#include "base/roff.h"
#include "compiler/cli.h"
#include "tests/catch.h"

using namespace tach::compiler;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the man page describes every option with its value, every exit code and what is written") {
    const std::string page = man_page();
    const auto options = option_texts();
    REQUIRE(options.size() > 10);
    for (const OptionText& option : options) {
        INFO(option.name);
        std::string heading = "\\fB\\-\\-" + tach::base::roff(option.name) + "\\fR";
        if (option.letter != '\0') heading.insert(0, std::string("\\fB\\-") + option.letter + "\\fR, ");
        if (!option.argument.empty()) heading += " \\fI" + option.argument + "\\fR";
        CHECK(has(page, ".TP\n" + heading + "\n" + tach::base::roff(option.help) + ".\n"));
    }
    CHECK(has(page, "130"));
    for (const char* code : {"0", "1", "2"}) CHECK(has(page, std::string(".B ") + code + "\n"));
    for (const char* name : {".tach/cache/cpython-311.bytecode", "VIRTUAL_ENV", "PYTHONOPTIMIZE"})
        CHECK(has(page, name));
    CHECK_FALSE(has(page, "{"));  // a gap that was not filled
}
