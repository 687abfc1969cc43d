#include "analyzer/test_ids.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/ids.h"
#include "tests/analyzer/folding.h"
#include "tests/catch.h"

using tach::analyzer::Arena;
using tach::analyzer::Diagnostic;
using tach::analyzer::Field;
using tach::analyzer::IdList;
using tach::analyzer::Kind;
using tach::analyzer::Module;
using tach::analyzer::Node;
using tach::analyzer::Parameters;
using tach::analyzer::Text;

namespace {

using Ids = std::vector<std::string>;

const std::optional<Ids> kUnknown;

// What a reference stands for; empty: nobody knows.
using Resolve = std::function<Text(Text)>;

Text nobody(Text /*canonical*/) {
    return {};
}

// Of a test that has all of these parametrizations, as every version of pytest writes them.
std::optional<Ids> ids_of_all(const std::vector<const Parameters*>& all, const Resolve& resolve, Arena& arena) {
    std::vector<IdList> lists;
    for (const Parameters* const one : all) {
        lists.push_back(ids_of(*one, resolve, 0, arena));
        if (!lists.back().is_known) return std::nullopt;
    }
    std::vector<const IdList*> pointers;
    for (const IdList& list : lists) pointers.push_back(&list);
    Ids found;
    join_ids(pointers, [&](Text id) { found.emplace_back(id); });
    return found;
}

// A test with one decorator, which is the last statement of its module.
struct Decorated {
    explicit Decorated(const std::string& arguments, const std::string& before = "")
        : module("import pytest\n" + before + "\n@pytest.mark.parametrize(" + arguments + ")\ndef test_it(): pass\n") {
        parameters = parametrize(module.evaluator(), Module::arguments(module.last()), Node(), diagnostics);
    }

    std::optional<Ids> ids(const Resolve& resolve = nobody) {
        return ids_of_all({&parameters}, resolve, module.arena());
    }

    Module module;
    std::vector<Diagnostic> diagnostics;
    Parameters parameters;
};

std::optional<Ids> ids(const std::string& arguments, const std::string& before = "") {
    return Decorated(arguments, before).ids();
}

}  // namespace

TEST_CASE("texts are escaped to ASCII") {
    CHECK(ids(R"('x', ['a\tb', 'é', '\u1234', '\U0001f600', '\x00\x7f', 'a\\b', ''])") ==
          Ids{R"(a\tb)", R"(\xe9)", R"(\u1234)", R"(\U0001f600)", R"(\x00\x7f)", R"(a\\b)", ""});
}

TEST_CASE("bytes keep their backslashes") {
    CHECK(ids(R"('x', [b'\xff\n', rb'\x', b'a'])") == Ids{R"(\xff\n)", R"(\x)", "a"});
}

TEST_CASE("scalars are written as str() does") {
    CHECK(ids("'x', [None, True, 1.5, -3, 12345678901234567890]") ==
          Ids{"None", "True", "1.5", "-3", "12345678901234567890"});
}

TEST_CASE("what has no id of its own is the argument's name and the index") {
    CHECK(ids("'x', [[1], (2,), {}, range(2), ..., zip()]") == Ids{"x0", "x1", "x2", "x3", "x4", "x5"});
}

TEST_CASE("functions, classes, patterns and generators") {
    CHECK(ids("'x', [f, int, lambda: 1, re.compile('a+'), (y for y in z)]", "import re\ndef f(): pass") ==
          Ids{"f", "int", "<lambda>", "a+", "<genexpr>"});
}

TEST_CASE("names of arguments, in all forms") {
    CHECK(ids("'a, b ,', [(1, 2), [3, 4], 'xy']") == Ids{"1-2", "3-4", "x-y"});
    CHECK(ids("('a', 'b'), [(1, 2)]") == Ids{"1-2"});
    CHECK(ids("['a'], [(1,), (2,)]") == Ids{"1", "2"});
    CHECK(ids("argvalues=[1], argnames='a'") == Ids{"1"});
    CHECK(ids("'a,', [(1,)]") == kUnknown);
    CHECK(Decorated("'a,b', [(1, 2)]").parameters.names == std::vector<Text>{"a", "b"});
}

TEST_CASE("pytest.param") {
    CHECK(ids("'a,b', [pytest.param(1, 2, id='one'), pytest.param(3, 4, marks=pytest.mark.skip)]") ==
          Ids{"one", "3-4"});
    CHECK(ids(R"('a', [pytest.param(1, id='é')])") == kUnknown);
    CHECK(ids(R"('a', [pytest.param(1, id='a\\b')])") == kUnknown);
    CHECK(ids("'a', [pytest.param(1, id=some())]") == kUnknown);
}

TEST_CASE("ids as a list") {
    CHECK(ids("'a', [1, 2, [3]], ids=[None, 'two', None]") == Ids{"1", "two", "a2"});
    CHECK(ids("'a,b', [(1, 2)], ids=[1.5]") == Ids{"1.5"});
    CHECK(ids("'a', [1, 2], ids=[]") == Ids{"1", "2"});
    CHECK(ids("'a', [7, 8, 9], ids=(f'g{i}' for i in 'xy')") == Ids{"gx", "gy", "9"});
    CHECK(ids("'a', [1, 2], ids=some()") == kUnknown);
}

TEST_CASE("ids as a function") {
    CHECK(ids("'a', [1, 'b', None, ['c']], ids=repr") == Ids{"1", "'b'", "None", "['c']"});
    CHECK(ids("'a', [1, (2,)], ids=str") == Ids{"1", "(2,)"});
    CHECK(ids("'a,b', [(1, 'x')], ids=lambda v: f'<{v}>'") == Ids{"<1>-<x>"});
    CHECK(ids("'a,b', [(1, 'x')], ids=name", "def name(v):\n    return None if v == 1 else v * 2") == Ids{"1-xx"});
    CHECK(ids("'a', [1], ids=name", "def name(v):\n    print(v)\n    return v") == kUnknown);
}

TEST_CASE("duplicates are numbered, unless the versions of pytest differ in how") {
    CHECK(ids("'x', ['a', 'a', 'b', 'a']") == Ids{"a0", "a1", "b", "a2"});
    CHECK(ids("'x', [1, 1]") == kUnknown);
    CHECK(ids("'x', ['a', 'a', 'a0']") == kUnknown);
}

TEST_CASE("long texts have no id that all versions of pytest agree on") {
    CHECK(ids("'x', ['a' * 100]") == Ids{std::string(100, 'a')});
    CHECK(ids("'x', ['a' * 101]") == kUnknown);
    CHECK(ids("'x', [1], ids=['a' * 101]") == Ids{std::string(101, 'a')});
}

TEST_CASE("no values, a wrong number of them, or of ids") {
    CHECK_FALSE(Decorated("'x', []").parameters.known);
    CHECK_FALSE(Decorated("'x', *y").parameters.known);
    Decorated row("'a,b', [(1, 2, 3)]");
    CHECK_FALSE(row.parameters.known);
    CHECK(row.diagnostics.size() == 1);
    Decorated list("'a', [1, 2], ids=['x']");
    CHECK_FALSE(list.parameters.known);
    CHECK(list.diagnostics.size() == 1);
}

TEST_CASE("one value that is unknown leaves the number of sets known") {
    Decorated some("'x', [1, unheard_of, 3]");
    CHECK(some.parameters.known);
    CHECK(some.parameters.sets.size() == 3);
    CHECK(some.ids() == kUnknown);
}

TEST_CASE("a reference is as good as what it resolves to") {
    Decorated imported("'x, y', [(thing, 1), (thing, 1)]", "from lib import thing");
    CHECK(imported.ids() == kUnknown);
    CHECK(imported.ids([](Text name) { return name == "lib.thing" ? Text("Thing") : Text(); }) ==
          kUnknown);  // two of Thing-1, which ends with a digit
    Decorated other("'x', [thing, 'thing']", "from lib import thing");
    CHECK(other.ids([](Text) { return Text("thing"); }) == Ids{"thing0", "thing1"});
}

TEST_CASE("values of an iterator are for one test only") {
    CHECK(Decorated("'x', (i for i in 'ab')").parameters.is_spent);
    CHECK_FALSE(Decorated("'x', list(i for i in 'ab')").parameters.is_spent);
}

TEST_CASE("indirect may be a list") {
    CHECK(Decorated("'x', [1], indirect=['x']").parameters.indirect);
    CHECK(Decorated("'x', [1], indirect=True").parameters.indirect);
    CHECK_FALSE(Decorated("'x', [1], indirect=False").parameters.indirect);
    CHECK(ids("'x', [1], True") == kUnknown);
}

TEST_CASE("the parameters of a fixture take its name") {
    Module module("import pytest\n([1, [2], pytest.param(3, id='three')], ['P', None, 'Q'])\n");
    std::vector<Diagnostic> diagnostics;
    const Node params = module.last().named_child(0);
    const Parameters plain = fixture_parameters(module.evaluator(), "disk", params, Node(), Node(), diagnostics);
    const Parameters named =
        fixture_parameters(module.evaluator(), "disk", params, module.last().named_child(1), Node(), diagnostics);
    CHECK(ids_of_all({&plain}, nobody, module.arena()) == Ids{"1", "disk1", "three"});
    CHECK(ids_of_all({&named}, nobody, module.arena()) == Ids{"P", "disk1", "three"});
    CHECK(plain.names.empty());
}

TEST_CASE("several parameters multiply, the first slowest") {
    Decorated one("'x', [1, 2]");
    Decorated two("'y', ['a', 'b']");
    CHECK(ids_of_all({&one.parameters, &two.parameters}, nobody, one.module.arena()) ==
          Ids{"1-a", "1-b", "2-a", "2-b"});
}

TEST_CASE("thirty thousand values are no matter") {
    Decorated many("'x', ['a'] * 30000");
    const auto found = many.ids();
    REQUIRE(found);
    CHECK(found->size() == 30'000);
    CHECK(found->back() == "a29999");
}
