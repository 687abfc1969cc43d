// Which tests are forked or shared from the start.

#include "supervisor/routing.h"

#include <vector>

#include "tests/catch.h"

using namespace tach::supervisor;
namespace analysis = tach::shm::analysis;

namespace {

const std::vector<std::string> kIds{"a.py::test_0", "a.py::test_1", "b.py::test_2", "b.py::test_3", "c.py::test_4"};

// All tests of b.py are suspected.
Suspicions suspect_b(bool by_user = false) {
    analysis::Analysis made;
    made.modules.resize(1);
    made.modules[0].path = "b.py";
    made.modules[0].level = analysis::Level::kToxic;
    made.modules[0].reasons = {{.reason = "thread",
                                .pattern = "x",
                                .because = {},
                                .by_user = by_user,
                                .at = {.module = 0, .line = 0, .column = 0},
                                .path = {}}};
    return Suspicions(made);
}

Memory memory_of(const std::vector<std::pair<std::string, std::string>>& judgements) {
    Memory memory("/nonexistent");
    for (const auto& [nodeid, why] : judgements) memory.learn_judgement(nodeid, why, "k");
    return memory;
}

FileKey key(const std::string& of_all) {
    return [of_all](std::string_view) { return of_all; };
}

std::vector<std::uint32_t> numbers(const std::map<std::uint32_t, Forked>& forked) {
    std::vector<std::uint32_t> items;
    for (const auto& [item, why] : forked) items.push_back(item);
    return items;
}

using Numbers = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("suspected tests are forked until the guard has seen that they need not be") {
    const Suspicions suspicions = suspect_b();
    const auto first = forked_tests(kIds, memory_of({}), key("k"), suspicions);
    REQUIRE(numbers(first) == Numbers{2, 3});
    CHECK(first.at(2).by == Forked::By::kSources);
    CHECK(first.at(2).note() ==
          "forked, since the sources are against rewinding it: importing b.py: thread: x at b.py");

    const Memory memory = memory_of({{kIds[2], ""}, {kIds[3], "it left a thread running"}});
    const auto second = forked_tests(kIds, memory, key("k"), suspicions);
    REQUIRE(numbers(second) == Numbers{3});
    CHECK(second.at(3) == Forked{Forked::By::kEarlierRun, "it left a thread running"});
    CHECK(second.at(3).note() == "forked, since it could not be rewound before: it left a thread running");

    CHECK(numbers(forked_tests(kIds, memory, key("another"), suspicions)) == Numbers{2, 3});
    CHECK(numbers(forked_tests(kIds, memory, key(""), suspicions)) == Numbers{2, 3});
}

TEST_CASE("what the user says of a test is not corrected by the guard") {
    const auto forked = forked_tests(kIds, memory_of({{kIds[2], ""}}), key("k"), suspect_b(true));
    CHECK(numbers(forked) == Numbers{2, 3});
}

TEST_CASE("what could not be rewound is forked, suspected or not") {
    const auto forked = forked_tests(kIds, memory_of({{kIds[0], "it left a child"}, {kIds[1], ""}}), key("k"), {});
    CHECK(numbers(forked) == Numbers{0});
}

TEST_CASE("an order-dependent test runs with what it needs, the rest of its file, and their units") {
    Memory memory("/nonexistent");
    memory.learn_opinion(
        kIds[2], {.verdict = Opinion::Verdict::kOrderDependent, .needs = {kIds[1]}, .alone = "failed", .key = "k"});
    const std::vector<Grouping> items{{0, 1}, {0, 1}, {1, 0}, {1, 0}, {2, 0}};
    const OrderDependents found = order_dependents(kIds, items, memory, "k");
    CHECK(found.together == std::set<std::uint32_t>{0, 1, 2, 3});
    REQUIRE(found.known.size() == 1);
    CHECK(found.known.at(2).alone == "failed");
    CHECK(order_dependents(kIds, items, memory, "another").together.empty());
}
