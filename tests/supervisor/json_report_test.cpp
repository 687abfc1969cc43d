#include "supervisor/json_report.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/catch.h"

using namespace tach::supervisor;
namespace shm = tach::shm;
using Json = nlohmann::json;

namespace {

using Keys = std::set<std::string>;

Keys keys_of(const Json& object) {
    Keys keys;
    for (const auto& [key, value] : object.items()) keys.insert(key);
    return keys;
}

// That an object has the keys that the schema names for it, all of them and no others.
void check_keys(const Json& object, const Json& schema) {
    CHECK(keys_of(object) == keys_of(schema.at("properties")));
    CHECK(keys_of(object) == schema.at("required").get<Keys>());
    CHECK(schema.at("additionalProperties") == false);
}

Json schema() {
    std::ifstream in(TACH_SOURCE_DIR "/docs/report.schema.json");
    return Json::parse(in);
}

shm::Message report(shm::Phase phase, std::string_view category, std::string_view out) {
    shm::Message m;
    m.head.a = static_cast<std::uint32_t>(phase);
    m.head.t1 = 1'500'000'000;
    m.strings = {"pickle", category, "", "", out, ""};
    return m;
}

Results one_passed(std::string_view out = "hello") {
    Results results(1, {"t.py::test_a"});
    results.at(0).add_report(report(shm::Phase::kCall, "passed", out));
    return results;
}

Json parsed(const ReportInputs& inputs, const Results& results) {
    return Json::parse(json_report(inputs, results));
}

}  // namespace

TEST_CASE("the report has the keys that its schema names") {
    const Json rules = schema();
    const Json json = parsed({.metrics = {{"collect_s", 0.5}}}, one_passed());
    check_keys(json, rules);
    check_keys(json.at("python"), rules.at("properties").at("python"));
    check_keys(json.at("summary"), rules.at("properties").at("summary"));
    const Json& test = json.at("tests").at(0);
    const Json& test_rules = rules.at("$defs").at("test");
    check_keys(test, test_rules);
    check_keys(test.at("phases"), test_rules.at("properties").at("phases"));
    check_keys(test.at("phases").at("call"), rules.at("$defs").at("phase").at("oneOf").at(1));
}

TEST_CASE("every outcome that a test can have is in the schema") {
    const Json words = schema().at("$defs").at("test").at("properties").at("outcome").at("enum");
    std::set<std::string> names;
    for (std::size_t i = 0; i < kOutcomes; ++i) names.emplace(outcome_name(static_cast<Outcome>(i)));
    names.erase("none");
    CHECK(words.get<std::set<std::string>>() == names);
}

TEST_CASE("everything in the schema is described") {
    const Json rules = schema();
    auto check = [](const Json& object) {
        for (const auto& [name, property] : object.at("properties").items()) {
            INFO(name);
            CHECK((property.contains("description") || property.contains("$ref")));
        }
    };
    check(rules);
    check(rules.at("properties").at("summary"));
    check(rules.at("$defs").at("test"));
}

TEST_CASE("values are in the units that their names say") {
    Results results = one_passed();
    ItemResult& item = results.at(0);
    item.worker = 3;
    item.duration_ns = 2'000'000;
    item.reset_ns = 31'500;
    item.dirty_pages = 110;
    const Json json = parsed({.version = "0.1.0", .seed = ~0ULL, .workers = 4, .exit_code = 1}, results);
    CHECK(json.at("seed") == ~0ULL);
    CHECK(json.at("exit_code") == 1);
    const Json& test = json.at("tests").at(0);
    CHECK(test.at("nodeid") == "t.py::test_a");
    CHECK(test.at("outcome") == "passed");
    CHECK(test.at("phases").at("call") == Json{{"outcome", "passed"}, {"duration_s", 1.5}});
    CHECK(test.at("phases").at("setup").is_null());
    CHECK(test.at("duration_s") == 0.002);
    CHECK(test.at("reset_us") == 31.5);
    CHECK(test.at("worker") == 3);
    CHECK(test.at("stdout") == "hello");
    CHECK(json.at("summary").at("passed") == 1);
}

TEST_CASE("a test of a session in one process has no worker") {
    CHECK(parsed({}, one_passed()).at("tests").at(0).at("worker").is_null());
}

TEST_CASE("tests that never ran, or came after the cut, are left out") {
    Results results(4, {"a", "b", "c", "d"});
    for (std::size_t i : {0U, 2U, 3U}) {
        results.at(i).add_report(report(shm::Phase::kCall, "passed", ""));
    }
    results.cut(2);
    const Json json = parsed({}, results);
    REQUIRE(json.at("tests").size() == 2);
    CHECK(json.at("tests").at(0).at("nodeid") == "a");
    CHECK(json.at("tests").at(1).at("nodeid") == "c");
    CHECK(json.at("summary").at("passed") == 2);
}

TEST_CASE("bytes that are not UTF-8 are replaced") {
    const Json json = parsed({}, one_passed("a\xff\x00z"));
    CHECK(json.at("tests").at(0).at("stdout") == "a\xef\xbf\xbd");
}

TEST_CASE("a metric that is not finite is left out") {
    const Json json = parsed({.metrics = {{"bad", std::nan("")}, {"worse", INFINITY}, {"good", 1}}}, one_passed());
    CHECK(json.at("metrics") == Json{{"good", 1.0}});
}

TEST_CASE("a report without tests has empty lists") {
    const Json json = parsed({}, Results(0, {}));
    CHECK(json.at("tests") == Json::array());
    CHECK(json.at("metrics") == Json::object());
}

TEST_CASE("the report is one line") {
    const std::string text = json_report({}, one_passed("two\nlines\n"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    CHECK(text.back() == '\n');
}
