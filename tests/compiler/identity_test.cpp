#include "compiler/identity.h"

#include <fcntl.h>

#include <map>

#include "base/clock.h"
#include "base/file_status.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tach::compiler;
namespace base = tach::base;

namespace {

struct Machine {
    tach::test::TempDir directory;
    std::map<std::string, std::string> variables;
    Identity identity{.interpreter = directory
                                         .file("python",
                                               "\x7f"
                                               "ELF")
                                         .string(),
                      .ini_file = directory.file("pytest.ini", "[pytest]\n").string(),
                      .files = {directory.file("rewrite.py", "x\n").string(), (directory.path() / "none").string()}};

    // As if that much later.
    [[nodiscard]] std::optional<std::string> text(std::int64_t later_ns = base::kNsPerSecond) const {
        const auto environment = [&](const char* name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            if (found == variables.end()) return std::nullopt;
            return found->second;
        };
        return identity_text(identity, environment, base::realtime_ns() + later_ns);
    }
};

}  // namespace

TEST_CASE("nothing has changed: the text is the same") {
    const Machine machine;
    const auto text = machine.text();
    REQUIRE(text);
    CHECK(machine.text() == text);
    CHECK(identity_files(*text) == machine.identity.files);
}

TEST_CASE("whatever makes a difference to code makes another text") {
    Machine machine;
    const std::string before = machine.text().value();
    SECTION("a file") {
        machine.directory.file("rewrite.py", "xy\n");
    }
    SECTION("a file that was not there") {
        machine.directory.file("none", "");
    }
    SECTION("a file that is gone") {
        std::filesystem::remove(machine.identity.files[0]);
    }
    SECTION("the ini file") {
        machine.directory.file("pytest.ini", "[pytest]\nx=1\n");
    }
    SECTION("another ini file") {
        machine.identity.ini_file.clear();
    }
    SECTION("the interpreter") {
        machine.directory.file("python",
                               "\x7f"
                               "ELF 2");
    }
    SECTION("another interpreter") {
        machine.identity.interpreter = machine.directory.file("py", "").string();
    }
    SECTION("optimisation") {
        machine.variables["PYTHONOPTIMIZE"] = "1";
    }
    SECTION("an empty variable") {
        machine.variables["PYTHONNODEBUGRANGES"] = "";
    }
    SECTION("where packages are") {
        machine.variables["PYTHONPATH"] = "/a";
    }
    CHECK(machine.text().value() != before);
}

TEST_CASE("a variable that makes none does not count") {
    Machine machine;
    const auto before = machine.text();
    machine.variables["PYTHONDONTWRITEBYTECODE"] = "1";
    machine.variables["TERM"] = "xterm";
    CHECK(machine.text() == before);
}

TEST_CASE("there is no text while a file may be changing, and none of a script") {
    Machine machine;
    CHECK_FALSE(machine.text(0));
    machine.identity.interpreter = machine.directory.file("shim", "#!/bin/sh\n").string();
    CHECK_FALSE(machine.text());
}

TEST_CASE("line breaks and backslashes in names come back") {
    Machine machine;
    machine.identity.files = {"/a\nfile - /b", "/c\\n", "/d e\\"};
    const auto text = machine.text();
    REQUIRE(text);
    CHECK(identity_files(*text) == machine.identity.files);
}

TEST_CASE("any text has files, or none") {
    CHECK(identity_files("").empty());
    CHECK(identity_files("file").empty());
    CHECK(identity_files("file x\nfile \nfile\n").empty());
}
