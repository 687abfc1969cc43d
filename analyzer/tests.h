#pragma once

// The tests of a project, as pytest would collect them, found without importing anything.
//
// The law: a test without reasons (is_known) has exactly the node id that pytest gives it. Whatever might be a test but
// is not certain is there too, with its reasons, named as closely as can be told: the item, the function whose items
// are not known, the class or file that may have more tests than are listed. Nothing is lost silently. What a plugin
// outside of the project does to collection cannot be seen here and is not part of the promise.
//
// Tests come file by file in the order of the project's files, and within a file in pytest's order where `order_known`
// says so. _pytest/python.py (PyCollector.collect, _genfunctions) and _pytest/unittest.py of pytest 7 to 9.

#include <memory>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/dynamic.h"
#include "analyzer/fixtures.h"
#include "analyzer/lineage.h"
#include "analyzer/project.h"

namespace tach::analyzer {

// What the id of a test names.
enum class Reach : std::uint8_t {
    kItem,       // one item
    kFunction,   // a function, whose items are `id` or `id[...]`
    kClass,      // a class that may have tests besides those listed
    kFile,       // a file, likewise
    kDirectory,  // a directory, likewise
};

struct Test {
    Text id;
    Index definition = -1;  // file of the function or class; -1: none
    Index function = -1;    // into its functions
    Index node = -1;        // the class around it, into Tests::classes
    Index closure = -1;     // into Tests::closures
    std::uint32_t line = 0;
    std::uint32_t first_mark = 0;  // into Tests::marks, in the order of pytest's iter_markers
    std::uint32_t mark_count = 0;
    Dynamic reasons = Dynamic::kNothing;
    Reach reach = Reach::kItem;
    bool is_unittest = false;

    [[nodiscard]] bool is_known() const { return reasons == Dynamic::kNothing; }
};

// A class as pytest collects it: the same class may be there several times, imported or inherited.
struct ClassNode {
    Text id;
    Text name;  // in the namespace around it
    ClassRef definition;
    Index parent = -1;  // into Tests::classes
};

struct MarkUse {
    Index file = -1;  // in whose Facts the parameters of the mark are
    const Mark* mark = nullptr;
};

struct FileTests {
    Index file = -1;
    std::uint32_t first = 0;  // into Tests::tests
    std::uint32_t count = 0;
    std::uint32_t first_fixture = 0;  // into Tests::fixtures: those that nobody but its own tests can see
    std::uint32_t fixture_count = 0;
    std::uint32_t first_told = 0;  // into Tests::diagnostics: what was told when it was looked at
    std::uint32_t told_count = 0;
    bool order_known = true;
    // What is found in it, or told of others because of it, depends on which files are looked at before it, by more
    // than FileDiagnostic::about.
    bool depends_on_order = false;
};

struct Tests {
    std::vector<FileTests> files;  // that may have tests
    std::vector<Test> tests;
    std::vector<ClassNode> classes;
    std::vector<MarkUse> marks;
    std::vector<FixtureInfo> fixtures;
    std::uint32_t shared_fixtures = 0;  // so many of these, the first, are of nobody's own
    std::vector<Closure> closures;
    std::vector<FileDiagnostic> diagnostics;
    bool has_circles = false;      // of inheritance: then everything depends on that order
    std::unique_ptr<Arena> arena;  // holds ids and messages; names are views into the facts
};

// The project must outlive what is returned.
[[nodiscard]] Tests find_tests(const Project& project, const ModuleLookup& modules, const TestOptions& options = {});

}  // namespace tach::analyzer
