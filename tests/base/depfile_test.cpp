#include "base/depfile.h"

#include "tests/catch.h"

using namespace tach::base;

TEST_CASE("paths are escaped as gcc does it") {
    CHECK(escaped_for_make("/a/b.py") == "/a/b.py");
    CHECK(escaped_for_make("a b\tc") == "a\\ b\\\tc");
    CHECK(escaped_for_make("a#b:c$d") == "a\\#b\\:c$$d");
    CHECK(escaped_for_make("a\\ b\\c") == "a\\\\\\ b\\c");
}

TEST_CASE("a depfile is a rule, and an empty one for each input") {
    CHECK(depfile("out", {"/a", "/b c"}) == "out: \\\n  /a \\\n  /b\\ c\n\n/a:\n\n/b\\ c:\n");
    CHECK(depfile("out", {}) == "out:\n");
    CHECK(depfile("out", {"/a\nb"}) == "out:\n");
}
