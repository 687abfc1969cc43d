#include "compiler/wanted.h"

#include <cerrno>

#include "tests/catch.h"

using namespace tach::compiler;
using namespace std::string_literals;
using tach::shm::bytecode::Kind;

TEST_CASE("modules of an analysis are compiled as what they are to pytest") {
    tach::shm::analysis::Analysis analysis;
    analysis.modules = {
        {.path = "src/lib.py", .name = "lib"},
        {.path = "tests/conftest.py", .is_conftest = true},
        {.path = "tests/test_a.py", .name = "test_a", .is_test = true},
        {.path = "docs/guide.txt", .is_test = true, .is_text = true},
        {.path = "../outside/x.py"},
        {.path = "tool"},
    };
    std::vector<Wanted> wanted;
    add_modules(analysis, "/project", wanted);
    REQUIRE(wanted.size() == 4);
    CHECK((wanted[0].path == "/project/src/lib.py" && wanted[0].kind == Kind::kPlain && wanted[0].name == "lib"));
    CHECK((wanted[1].path == "/project/tests/conftest.py" && wanted[1].kind == Kind::kRewritten));
    CHECK((wanted[2].path == "/project/tests/test_a.py" && wanted[2].kind == Kind::kRewritten));
    CHECK((wanted[3].path == "/outside/x.py" && wanted[3].kind == Kind::kPlain));
}

TEST_CASE("a list of imports is kinds, paths and names") {
    std::vector<Wanted> wanted;
    REQUIRE(add_imports("tach imports 1\np\0/a\n.py\0a\0r\0/pkg/__init__.py\0\0"s, wanted));
    REQUIRE(wanted.size() == 2);
    CHECK((wanted[0].path == "/a\n.py" && wanted[0].name == "a" && wanted[0].kind == Kind::kPlain));
    CHECK((wanted[1].kind == Kind::kRewritten && wanted[1].is_package() && wanted[1].name.empty()));
    CHECK_FALSE(wanted[0].is_package());
    REQUIRE(add_imports("tach imports 1\n", wanted));
    CHECK(wanted.size() == 2);
}

TEST_CASE("a list that is damaged adds nothing") {
    for (const std::string& bytes :
         {""s, "tach imports 2\n"s, "tach imports 1"s, "tach imports 1\np"s, "tach imports 1\np\0/a\0"s,
          "tach imports 1\np\0/a\0a"s, "tach imports 1\np\0a\0a\0"s, "tach imports 1\nq\0/a\0a\0"s,
          "tach imports 1\np\0/a\0a\0\n"s}) {
        std::vector<Wanted> wanted;
        const auto added = add_imports(bytes, wanted);
        REQUIRE_FALSE(added);
        CHECK(added.error().code == EPROTO);
        CHECK(wanted.empty());
    }
}

TEST_CASE("each module is there once, by kind and path") {
    std::vector<Wanted> wanted{{Kind::kRewritten, "/a.py", "a"}, {Kind::kPlain, "/b.py", ""},
                               {Kind::kPlain, "/a.py", "a"},     {Kind::kPlain, "/b.py", "b"},
                               {Kind::kPlain, "/b.py", "c"},     {Kind::kRewritten, "/a.py", "other"}};
    sort_out(wanted);
    REQUIRE(wanted.size() == 3);
    CHECK((wanted[0].kind == Kind::kPlain && wanted[0].path == "/a.py"));
    CHECK((wanted[1].path == "/b.py" && wanted[1].name == "b"));
    CHECK((wanted[2].kind == Kind::kRewritten && wanted[2].name == "a"));
}
