#include "supervisor/manual.h"

#include "supervisor/config.h"
#include "supervisor/options.h"
#include "tests/catch.h"

using namespace tach::supervisor;

namespace {

std::string roff_name(std::string_view name) {
    std::string escaped = "\\-\\-";
    for (const char letter : name) escaped += letter == '-' ? std::string("\\-") : std::string(1, letter);
    return escaped;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the man page describes every option, key and exit code, and what tach reads") {
    const std::string page = man_page();
    for (const Option& option : own_options()) {
        INFO(option.name);
        CHECK(has(page, roff_name(option.name)));
    }
    for (const std::string& key : config_keys()) {
        INFO(key);
        CHECK(has(page, key));
    }
    for (const char* code : {"0", "1", "2", "3", "4", "5"}) CHECK(has(page, std::string(".B ") + code + "\n"));
    for (const char* name : {"VIRTUAL_ENV", "NO_COLOR", "PYTEST_ADDOPTS", "tach.toml", "pyproject.toml"}) {
        INFO(name);
        CHECK(has(page, name));
    }
    CHECK_FALSE(has(page, "{"));  // a gap that was not filled
}

TEST_CASE("the completions offer every option that help shows, with its choices") {
    const std::string bash = bash_completion();
    const std::string zsh = zsh_completion();
    for (const Option& option : own_options()) {
        const bool shown = option.section != Section::kHidden;
        const std::string name = "--" + std::string(option.name);
        INFO(name);
        CHECK(has(bash, name) == shown);
        CHECK(has(zsh, "'" + name + "[") == shown);
    }
    CHECK(has(bash, "--mode) COMPREPLY=($(compgen -W 'isolated fork shared'"));
    CHECK(has(zsh, ":MODE:(isolated fork shared)"));
}
