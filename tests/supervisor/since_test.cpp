#include "supervisor/since.h"

#include <string>
#include <vector>

#include "tests/catch.h"

using namespace tach::supervisor;

namespace {

using Lines = std::vector<std::string>;

Since two_of_three() {
    Since since;
    since.affected = {{"tests/test_a.py", {"tests/test_a.py:1: import: a.py", "a.py has changed"}},
                      {"tests/test_b.py", {"tests/test_b.py has changed"}}};
    since.unaffected = {"/p/tests/test_c.py"};
    return since;
}

}  // namespace

TEST_CASE("the answer of tach-analyzer is read, its paths from the root on") {
    const auto since = read_since(R"({"root": "/p", "everything": false, "because": "", "ignored": ["README.md"],
        "affected": [{"file": "t/a.py", "why": ["t/a.py has changed"]}], "unaffected": ["t/b.py", "/elsewhere/c.py"]})");
    REQUIRE(since);
    CHECK(since->because.empty());
    REQUIRE(since->affected.size() == 1);
    CHECK(since->affected[0].path == "t/a.py");
    CHECK(since->affected[0].why == Lines{"t/a.py has changed"});
    CHECK(since->unaffected == Lines{"/p/t/b.py", "/elsewhere/c.py"});
}

TEST_CASE("an answer that is none is an error") {
    const auto* text = GENERATE("", "[]", "{}", "{\"root\": 3}", "{\"root\": \"/\", \"everything\": 1}");
    const auto since = read_since(text);
    REQUIRE_FALSE(since);
    CHECK(since.error().what == "what tach-analyzer answers cannot be read; reinstall tach");
}

TEST_CASE("how many files are affected is one line, why is one more for each") {
    CHECK(describe(two_of_three(), "main", false) == Lines{"2 of 3 test files can reach what has changed since main"});
    CHECK(describe(two_of_three(), "main", true) ==
          Lines{"2 of 3 test files can reach what has changed since main",
                "tests/test_a.py: tests/test_a.py:1: import: a.py; a.py has changed",
                "tests/test_b.py: tests/test_b.py has changed"});
}

TEST_CASE("nothing and everything are told with one line") {
    Since none;
    none.unaffected = {"/p/a.py", "/p/b.py"};
    CHECK(describe(none, "HEAD", true) == Lines{"no test file of 2 can reach what has changed since HEAD"});
    Since all = two_of_three();
    all.because = "tox.ini";
    CHECK(describe(all, "HEAD", true) == Lines{"all tests are run: tox.ini has changed since HEAD"});
}

TEST_CASE("an analyzer that is not there is one line") {
    const auto since =
        ask_since({.zygote = {}, .native = {}, .harness = {}, .analyzer = "/nowhere/tach-analyzer"}, "/", {});
    REQUIRE_FALSE(since);
    CHECK(since.error().what == "--since: /nowhere/tach-analyzer: not installed; reinstall tach");
}
