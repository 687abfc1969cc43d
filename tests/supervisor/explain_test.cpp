// What --explain says, by what decides.

#include "supervisor/explain.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace tach::supervisor;

namespace {

struct Case {
    Settings settings{};
    Explained told{
        .item = 0, .fixtures = {{"tmp_path", "function", "_pytest.tmpdir", false}}, .why_solo = {}, .why_shared = {}};
    Explanation::Inputs inputs{.settings = settings, .told = told, .nodeid = "a.py::test_it", .is_last = true};

    Case() { settings.engine.value = Engine::kWpAsync; }
    Case(const Case&) = delete;
    Case& operator=(const Case&) = delete;
    [[nodiscard]] std::string text() const { return Explanation(inputs).text(); }
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string line(const std::string& subject, const std::string& finding) {
    return "\n  " + subject + std::string(9 - subject.size(), ' ') + finding;
}

}  // namespace

TEST_CASE("a test that nothing is known of is rewound") {
    Case plain;
    plain.inputs.is_last = false;
    CHECK(plain.text() ==
          "a.py::test_it\n"
          "  mode     snapshot\n"
          "  path     full: pytest's own protocol, with every hook and plugin\n"
          "  engine   wp-async (the first that works here)\n"
          "  because  nothing is known against rewinding it; the guard looks at what it leaves\n"
          "  fixture  tmp_path: function, _pytest.tmpdir\n");
}

TEST_CASE("the first reason that applies decides") {
    Case one;
    one.inputs.forked = Forked{Forked::By::kSources, "importing a.py: thread"};
    one.inputs.suspicion = Suspicion{.reasons = {"importing a.py: thread"}};
    CHECK(has(one.text(), line("mode", "fork, after the others\n")));
    CHECK(has(one.text(), line("because", "the sources: importing a.py: thread\n")));
    one.inputs.is_last = false;
    CHECK(has(one.text(), line("mode", "fork\n")));

    one.inputs.forked.reset();  // the guard has found nothing
    CHECK(has(one.text(), line("mode", "snapshot\n")));
    CHECK(has(one.text(), "but the guard found nothing in the way before"));

    one.settings.engine = {Engine::kFork, Source::kFile, "tach.toml:1:1"};
    CHECK(has(one.text(), line("mode", "fork\n")));
    CHECK(has(one.text(), line("engine", "fork (tach.toml:1:1)\n")));

    one.told.why_shared = "it asks for server while it runs";
    CHECK(has(one.text(), line("because", "it asks for server while it runs\n")));
    one.inputs.dependents = {{"a.py::test_other", {.needs = {"a.py::test_it"}, .alone = "failed", .key = {}}}};
    CHECK(has(one.text(), "a.py::test_other failed alone and passed after a.py::test_it"));
    one.told.why_solo = "importing the tests started a thread";
    CHECK(has(one.text(), "runs in one process: importing the tests started a thread"));
    one.settings.mode = {Mode::kShared, Source::kCommandLine, "command line"};
    CHECK(has(one.text(), line("because", "mode is shared (command line)\n")));
    CHECK(has(one.text(), line("engine", "none: nothing is brought back to a clean state\n")));
}

TEST_CASE("wide fixtures make a condition, and sources that cannot be looked at are told") {
    Case wide;
    wide.told.fixtures.push_back({"server", "module", "a.py:2", true});
    wide.inputs.sources_unknown = "tach.toml:1:1: toxicity: no";
    CHECK(has(wide.text(), line("or", "shared, if setting up its wide fixtures leaves")));
    CHECK(has(wide.text(), "could not be looked at: tach.toml:1:1: toxicity: no"));

    const auto json = nlohmann::json::parse(Explanation(wide.inputs).json());
    CHECK(json["mode"] == "snapshot");
    CHECK(json["last"] == true);
    CHECK(json["fixtures"][1] == nlohmann::json{{"name", "server"}, {"scope", "module"}, {"place", "a.py:2"}});
    CHECK(json["because"].size() == 2);
}

TEST_CASE("an id that is none has a suggestion") {
    const std::vector<std::string> ids{"a.py::test_one", "a.py::test_two[x]", "a.py::test_two[y]"};
    CHECK(no_such_test("a.py::test_oen", ids).value().what ==
          "--explain a.py::test_oen: no such test is selected; did you mean a.py::test_one?");
    CHECK(no_such_test("a.py::test_two", ids).value().what ==
          "--explain a.py::test_two: no such test is selected; did you mean a.py::test_two[x]?");
    CHECK(no_such_test("elsewhere", ids).value().what ==
          "--explain elsewhere: no such test is selected; --list prints their ids");
}

TEST_CASE("what the interpreter tells is read, short or not") {
    tach::shm::Message message;
    message.head.item = 3;
    message.strings = {std::string_view("db\nsession\nconftest.py:2\nwide\0tmp\nfunction", 42), "", "it asks"};
    const Explained told = Explained::parse(message);
    CHECK(told.item == 3);
    REQUIRE(told.fixtures.size() == 2);
    CHECK(told.fixtures[0].place == "conftest.py:2");
    CHECK(told.fixtures[0].is_wide);
    CHECK(told.fixtures[1].name == "tmp");
    CHECK(told.fixtures[1].place.empty());
    CHECK(told.why_shared == "it asks");
    CHECK(Explained::parse(tach::shm::Message{}).fixtures.empty());
}
