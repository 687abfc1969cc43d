#include "supervisor/interpreter.h"

#include <algorithm>

#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tach::supervisor;
using tach::test::TempDir;
namespace fs = std::filesystem;

namespace {

InterpreterSearch search_in(const fs::path& cwd) {
    return {.cwd = cwd, .config_dir = cwd, .path = ""};
}

Setting<std::optional<std::string>> option(const std::string& python) {
    return {python, Source::kCommandLine, "command line"};
}

Setting<std::optional<std::string>> key(const std::string& python) {
    return {python, Source::kFile, "tach.toml:1:10"};
}

Interpreter found(const InterpreterSearch& search) {
    auto interpreter = find_interpreter(search);
    if (!interpreter) FAIL(interpreter.error().what);
    return *interpreter;
}

std::string refused(const InterpreterSearch& search) {
    const auto interpreter = find_interpreter(search);
    if (interpreter) FAIL("found " << interpreter->executable);
    const std::string& what = interpreter.error().what;
    CHECK(std::count(what.begin(), what.end(), '\n') == 0);
    return what;
}

}  // namespace

TEST_CASE("the order is option, file, VIRTUAL_ENV, .venv, PATH") {
    const TempDir project;
    const fs::path own = project.executable("own/python");
    const fs::path named = project.executable("named/python");
    const fs::path active = project.executable("active/bin/python");
    const fs::path local = project.executable(".venv/bin/python");
    const fs::path system = project.executable("bin/python3");

    InterpreterSearch search = search_in(project.path());
    search.python = option("own/python");
    search.virtual_env = (project.path() / "active").string();
    search.path = (project.path() / "bin").string();
    CHECK(found(search).executable == own);
    CHECK(found(search).found_by == "--python");
    search.python = key("named/python");
    CHECK(found(search).executable == named);
    CHECK(found(search).found_by == "tach.toml:1:10");
    search.python = {};
    CHECK(found(search).executable == active);
    CHECK(found(search).found_by == "VIRTUAL_ENV");
    search.virtual_env.reset();
    CHECK(found(search).executable == local);
    CHECK(found(search).found_by == ".venv");
    fs::remove_all(project.path() / ".venv");
    CHECK(found(search).executable == system);
    CHECK(found(search).found_by == "PATH");
}

TEST_CASE("a path on the command line is relative to the current directory, one in tach.toml to the file") {
    const TempDir project;
    const fs::path inner = project.executable("tests/env/python");
    const fs::path outer = project.executable("env/python");
    InterpreterSearch search = search_in(project.path() / "tests");
    search.config_dir = project.path();
    search.python = option("env/python");
    CHECK(found(search).executable == inner);
    search.python = key("env/python");
    CHECK(found(search).executable == outer);
    search.python = option(outer.string());
    CHECK(found(search).executable == outer);
}

TEST_CASE("a name without a slash is looked up on PATH, never in the current directory") {
    const TempDir project;
    project.executable("python3.11");
    project.file("first/python3.11", "not executable");
    project.directory("second/python3.11");
    const fs::path third = project.executable("third/python3.11");
    InterpreterSearch search = search_in(project.path());
    search.python = option("python3.11");
    search.path = (project.path() / "first").string() + ":" + (project.path() / "second").string();
    CHECK(refused(search) == "--python python3.11: no such command on PATH; give the interpreter's path");
    search.path = *search.path + ":" + (project.path() / "third").string();
    CHECK(found(search).executable == third);
}

TEST_CASE(".venv is searched upwards to the directory of tach.toml and no further") {
    const TempDir home;
    const fs::path outside = home.executable(".venv/bin/python");
    const fs::path cwd = home.directory("project/tests/unit");
    InterpreterSearch search = search_in(cwd);
    search.config_dir = home.path() / "project";
    search.path = "/nonexistent";
    CHECK(refused(search).rfind("python3: not on PATH", 0) == 0);
    const fs::path inside = home.executable("project/.venv/bin/python");
    CHECK(found(search).executable == inside);
    fs::remove_all(home.path() / "project/.venv");
    search.config_dir.clear();
    CHECK(found(search).executable == outside);
}

TEST_CASE("a link is kept, because a virtual environment knows itself by it") {
    const TempDir project;
    const fs::path real = project.executable("real/python3.11");
    project.directory(".venv/bin");
    fs::create_symlink(real, project.path() / ".venv/bin/python");
    CHECK(found(search_in(project.path())).executable == project.path() / ".venv/bin/python");
}

TEST_CASE("an interpreter that was asked for and cannot be executed is refused with the reason") {
    const TempDir project;
    project.file("plain", "text");
    project.directory("folder");
    fs::create_symlink(project.path() / "gone", project.path() / "dangling");
    InterpreterSearch search = search_in(project.path());
    search.path = "/usr/bin:/bin";
    const auto reason = [&](const std::string& name) {
        search.python = option("./" + name);
        std::string what = refused(search);
        CHECK(what.rfind("--python ./" + name + ": ", 0) == 0);
        return what;
    };
    CHECK(reason("none").find("does not exist") != std::string::npos);
    CHECK(reason("plain").find("is not executable") != std::string::npos);
    CHECK(reason("folder").find("is a directory") != std::string::npos);
    CHECK(reason("dangling").find("is a link to a file that does not exist") != std::string::npos);
    search.python = key("./none");
    CHECK(refused(search).rfind("tach.toml:1:10: python: ./none: ", 0) == 0);
}

TEST_CASE("a virtual environment that is broken is not skipped for another interpreter") {
    const TempDir project;
    InterpreterSearch search = search_in(project.path());
    search.path = "/usr/bin:/bin";
    search.virtual_env = (project.path() / "deleted").string();
    CHECK(refused(search).rfind("VIRTUAL_ENV=" + *search.virtual_env + ": ", 0) == 0);
    search.virtual_env.reset();
    project.directory(".venv/bin");
    fs::create_symlink("/nonexistent/python3", project.path() / ".venv/bin/python");
    CHECK(refused(search).find(".venv/bin/python: is a link to a file that does not exist") != std::string::npos);
}

TEST_CASE("without any interpreter the line says what was looked for") {
    const TempDir project;
    CHECK(refused(search_in(project.path())) ==
          "python3: not on PATH, and there is neither VIRTUAL_ENV nor .venv; install Python, or use --python "
          "EXE");
}
