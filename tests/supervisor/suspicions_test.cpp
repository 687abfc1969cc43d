// What the sources say against rewinding a test, by node id.

#include "supervisor/suspicions.h"

#include "tests/catch.h"

using namespace tach;
using namespace tach::shm::analysis;
using supervisor::Suspicion;
using supervisor::Suspicions;

namespace {

Reason thread_at(Index module, std::uint32_t line) {
    return {.reason = "thread",
            .pattern = "threading.Thread",
            .because = "stays",
            .by_user = false,
            .at = {.module = module, .line = line, .column = 1},
            .path = {}};
}

// a.py has a toxic session fixture that its second test uses, b.py imports toxic lib.py, c.py has a toxic setup_class.
Analysis project() {
    Analysis made;
    made.modules.resize(4);
    made.modules[0].path = "a.py";
    made.modules[1].path = "b.py";
    made.modules[2].path = "lib.py";
    made.modules[3].path = "c.py";
    made.modules[1].level = made.modules[2].level = Level::kToxic;
    made.modules[1].reasons = {thread_at(2, 7)};
    made.modules[1].reasons[0].path = {1, 2};
    made.modules[2].reasons = {thread_at(2, 7)};

    Fixture server{.name = "server", .at = {.module = 0, .line = 3, .column = 1}, .origin = "project"};
    server.scope = Scope::kSession;
    server.level = Level::kToxic;
    server.reasons = {thread_at(0, 4)};
    Fixture narrow = server;
    narrow.name = "narrow";
    narrow.scope = Scope::kFunction;
    Fixture setup{.name = "setup_class", .at = {.module = 3, .line = 2, .column = 1}, .origin = "project"};
    setup.scope = Scope::kClass;
    setup.is_autouse = true;
    setup.level = Level::kToxic;
    setup.reasons = {thread_at(3, 3)};
    made.fixtures = {server, narrow, setup};
    made.fixture_lists = {{}, {0}, {1}};

    const auto add = [&made](Text id, Index module, Index fixtures) {
        made.tests.push_back(
            {.id = id, .at = {.module = module, .line = 1, .column = 0}, .module = module, .fixtures = fixtures});
    };
    add("a.py::test_plain", 0, 0);
    add("a.py::test_wide[1]", 0, 1);
    add("a.py::test_narrow", 0, 2);
    add("b.py::test_b", 1, 0);
    add("c.py::TestC::test_in", 3, 0);
    add("c.py::test_out", 3, -1);
    return made;
}

}  // namespace

TEST_CASE("a test is suspected for what its file imports and for wide fixtures that it uses") {
    const Analysis analysis = project();
    const Suspicions suspicions(analysis);
    CHECK_FALSE(suspicions.empty());
    CHECK(suspicions.of("a.py::test_plain") == nullptr);
    CHECK(suspicions.of("a.py::test_narrow") == nullptr);
    CHECK(suspicions.of("c.py::test_out") == nullptr);
    CHECK(suspicions.of("unknown.py::test_it") == nullptr);

    const Suspicion* wide = suspicions.of("a.py::test_wide[2]");
    REQUIRE(wide != nullptr);
    CHECK(wide->reasons ==
          std::vector<std::string>{"fixture server (session, a.py:3): thread: threading.Thread at a.py:4, stays"});
    CHECK_FALSE(wide->by_user);
    const Suspicion* imported = suspicions.of("b.py::TestNew::test_of_which_nothing_is_known");
    REQUIRE(imported != nullptr);
    CHECK(imported->reasons ==
          std::vector<std::string>{
              "importing b.py: thread: threading.Thread at lib.py:7, stays; by way of b.py -> lib.py"});
    REQUIRE(suspicions.of("c.py::TestC::test_in") != nullptr);
    CHECK(suspicions.of("c.py::TestC::test_in")->reasons ==
          std::vector<std::string>{"fixture setup_class (class, c.py:2): thread: threading.Thread at c.py:3, stays"});
}

TEST_CASE("a suspicion has all reasons, and is the user's if one of them is") {
    Analysis analysis = project();
    analysis.modules[0].level = Level::kToxic;
    analysis.modules[0].reasons = {thread_at(0, 1)};
    analysis.modules[0].reasons[0].by_user = true;
    const Suspicions suspicions(analysis);
    REQUIRE(suspicions.of("a.py::test_wide[1]") != nullptr);
    CHECK(suspicions.of("a.py::test_wide[1]")->reasons.size() == 2);
    CHECK(suspicions.of("a.py::test_wide[1]")->by_user);
    REQUIRE(suspicions.of("a.py::test_plain") != nullptr);
    CHECK(suspicions.of("a.py::test_plain")->by_user);
}

TEST_CASE("indices that lead nowhere are no suspicion, and what is no analysis is an error") {
    Analysis analysis = project();
    for (Test& test : analysis.tests) test.fixtures = test.module = 1000;
    analysis.fixture_lists[1] = {-5, 1000};
    analysis.modules[1].reasons[0].path = {77};
    const Suspicions suspicions(analysis);
    CHECK(suspicions.of("a.py::test_wide[1]") == nullptr);
    REQUIRE(suspicions.of("b.py::test_b") != nullptr);
    CHECK(suspicions.of("b.py::test_b")->reasons[0].ends_with("by way of ?"));

    CHECK_FALSE(Suspicions::read("tach analysis"));
    const auto read = Suspicions::read(encode(analysis));
    REQUIRE(read);
    CHECK(read->of("b.py::test_b") != nullptr);
    CHECK(Suspicions().empty());
}

TEST_CASE("a file's key is of the contents of all that it reaches") {
    Analysis analysis = project();
    analysis.modules[1].imports = {{.to = 2, .kind = "import", .line = 1}, {.to = 1, .kind = "import", .line = 2}};
    const std::string a = Suspicions(analysis).contents_key("a.py");
    const std::string b = Suspicions(analysis).contents_key("b.py");
    CHECK(a.size() == 32);
    CHECK(a != b);
    CHECK(Suspicions(analysis).contents_key("missing.py").empty());
    analysis.modules[2].hash_low = 1;
    CHECK(Suspicions(analysis).contents_key("a.py") == a);
    CHECK(Suspicions(analysis).contents_key("b.py") != b);
    analysis.modules[1].imports[0].to = 99;
    CHECK(Suspicions(analysis).contents_key("b.py").size() == 32);
}

TEST_CASE("a bracket in a file's name is no parameter") {
    Analysis analysis = project();
    analysis.modules[0].path = "a[1].py";
    analysis.tests[1].id = "a[1].py::test_wide[1]";
    analysis.tests[0].id = "a[1].py::test_plain";
    const Suspicions suspicions(analysis);
    CHECK(suspicions.of("a[1].py::test_wide[3]") != nullptr);
    CHECK(suspicions.of("a[1].py::test_plain") == nullptr);
}
