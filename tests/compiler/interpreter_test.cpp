#include "compiler/interpreter.h"

#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tach::compiler;

namespace {

std::string found(const InterpreterSearch& search) {
    const auto interpreter = find_interpreter(search);
    return interpreter ? *interpreter : "error: " + interpreter.error().what;
}

bool is_refused(const InterpreterSearch& search, const std::string& word) {
    const std::string text = found(search);
    return text.starts_with("error: ") && text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("the interpreter is what was asked for, of an environment, or on PATH") {
    const tach::test::TempDir directory;
    const std::string root = directory.path().string();
    const std::string named = directory.executable("named/python").string();
    const std::string active = directory.executable("active/bin/python").string();
    const std::string on_path = directory.executable("path/python3").string();
    const std::string other = directory.executable("path/python3.12").string();
    InterpreterSearch search{.path = root + "/nowhere:" + root + "/path", .root = root};
    CHECK(found(search) == on_path);
    const std::string of_root = directory.executable(".venv/bin/python").string();
    CHECK(found(search) == of_root);
    search.virtual_env = root + "/active";
    CHECK(found(search) == active);
    search.python = named;
    CHECK(found(search) == named);
    search.python = "python3.12";
    CHECK(found(search) == other);
}

TEST_CASE("what was asked for and is not there is not skipped") {
    const tach::test::TempDir directory;
    const std::string root = directory.path().string();
    directory.executable("path/python3");
    const InterpreterSearch search{.path = root + "/path", .root = root};
    InterpreterSearch wrong = search;
    wrong.python = root + "/nowhere";
    CHECK(is_refused(wrong, root + "/nowhere"));
    wrong.python = directory.file("text", "").string();
    CHECK(is_refused(wrong, "text"));
    wrong.python = "python9";
    CHECK(is_refused(wrong, "python9: no such command on PATH"));
    wrong = search;
    wrong.virtual_env = root + "/gone";
    CHECK(is_refused(wrong, "VIRTUAL_ENV="));
    std::filesystem::create_directories(directory.path() / ".venv/bin");
    std::filesystem::create_symlink("/nowhere/python", directory.path() / ".venv/bin/python");
    CHECK(is_refused(search, ".venv"));
}
