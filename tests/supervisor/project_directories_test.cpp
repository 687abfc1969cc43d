#include "supervisor/project_directories.h"

#include <sys/stat.h>

#include <cstdlib>

#include "tests/catch.h"
#include "tests/temp_dir.h"

namespace fs = std::filesystem;
using tach::supervisor::kept_root;
using tach::supervisor::project_directories;
using tach::test::TempDir;

TEST_CASE("from the working directory up to the working copy's root") {
    const TempDir dir;
    fs::create_directories(dir.path() / "copy/.git");
    fs::create_directories(dir.path() / "copy/a/b");
    const fs::path copy = dir.path() / "copy";
    CHECK(project_directories(copy / "a/b") == std::vector<fs::path>{copy / "a/b", copy / "a", copy});
    CHECK(project_directories(copy) == std::vector<fs::path>{copy});
}

TEST_CASE("a directory that anybody may write to ends the project") {
    const TempDir dir;
    fs::create_directories(dir.path() / "open/a/b");
    REQUIRE(::chmod((dir.path() / "open").c_str(), 0777) == 0);
    const fs::path a = dir.path() / "open/a";
    CHECK(project_directories(a / "b") == std::vector<fs::path>{a / "b", a});
    CHECK(project_directories(dir.path() / "open").front() == dir.path() / "open");  // started there on purpose
}

TEST_CASE("the home directory and the root are no project's, but for who starts there") {
    const TempDir dir;
    fs::create_directories(dir.path() / "work/a");
    const char* before = std::getenv("HOME");
    const std::string home = before != nullptr ? before : "";
    REQUIRE(::setenv("HOME", dir.path().c_str(), 1) == 0);
    const fs::path work = dir.path() / "work";
    CHECK(project_directories(work / "a") == std::vector<fs::path>{work / "a", work});
    CHECK(project_directories(dir.path()).front() == dir.path());
    CHECK(kept_root(dir.path(), work) == work);
    CHECK(kept_root("/", work) == work);
    CHECK(kept_root(work, work / "a") == work);
    if (before != nullptr) {
        ::setenv("HOME", home.c_str(), 1);
    } else {
        ::unsetenv("HOME");
    }
}
