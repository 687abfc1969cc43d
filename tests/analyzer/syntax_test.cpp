#include "analyzer/syntax.h"

#include <string>
#include <vector>

#include "tests/catch.h"

using tach::analyzer::for_each_child;
using tach::analyzer::Kind;
using tach::analyzer::Node;
using tach::analyzer::Parser;
using tach::analyzer::Position;
using tach::analyzer::Text;

TEST_CASE("a tree tells kinds, texts and positions") {
    constexpr Text kSource = "import os\n\n# why\ndef test_it(a, b=1):\n    pass\n";
    Parser parser;
    const auto tree = parser.parse(kSource);
    REQUIRE(tree);
    std::vector<Kind> kinds;
    Node last;
    for_each_child(tree->root(), [&](Node child) {
        kinds.push_back(child.kind());
        last = child;
    });
    CHECK(kinds == std::vector{Kind::kImportStatement, Kind::kFunctionDefinition});
    CHECK(last.field(tach::analyzer::Field::kName).text(kSource) == "test_it");
    CHECK(last.at() == Position{4, 1});
    CHECK_FALSE(tree->root().has_error());
}

TEST_CASE("what is no Python has an error in its tree, and a tree all the same") {
    Parser parser;
    const auto tree = parser.parse("def (:\n");
    REQUIRE(tree);
    CHECK(tree->root().has_error());
}
