#pragma once

// Which fixtures a test gets, as pytest's fixture manager decides it without running anything.
//
// Fixtures are visible in *places*, each below another one: what pytest brings, plugins of the project, the conftest.py
// of each directory, a module, a class. A place exists only where there are fixtures, so most tests of a directory
// share one, and with it their closures: a closure is made once for each (place, names asked for, names given by
// parametrize), and thousands of plain tests cost one look each.
//
// The order of a closure is that of FixtureManager.getfixtureclosure: autouse fixtures from the outermost place in,
// usefixtures, the function's arguments, what these ask for, then by scope, the widest first. pytest 9 walks depth
// first and through fixtures that are overridden, earlier versions breadth first and not; with an unknown version the
// newest is followed, and where the ids of tests depend on it, they are not known.
//
// ProjectNames that nobody here defines may come from a plugin: they are noted, never called missing, unless the caller
// knows all plugins' fixtures.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/dynamic.h"
#include "analyzer/ids.h"
#include "analyzer/lineage.h"
#include "analyzer/project.h"
#include "analyzer/project_names.h"

namespace tach::analyzer {

struct TestOptions {
    PytestVersion pytest = 0;
    bool plugins_are_known = false;            // a name in neither of project, pytest and plugin_fixtures is missing
    std::vector<std::string> plugin_fixtures;  // not parametrized, not autouse
};

enum class FixtureOrigin : std::uint8_t { kProject, kPytest, kPlugin };

struct FixtureInfo {
    Text name;
    Text attribute;       // the name that it is bound to, by which pytest sorts
    Index file = -1;      // of the definition; -1: not in the project
    Index fixture = -1;   // into that file's fixtures
    Index function = -1;  // into that file's functions
    Index place = -1;     // where it is visible; the same definition may be in several
    Index closure = -1;   // of the fixture by itself, without autouse
    Index bit = -1;       // internal
    FixtureOrigin origin = FixtureOrigin::kProject;
    Scope scope = Scope::kFunction;
    bool is_conditional = false;
};

enum class NeedKind : std::uint8_t { kFixture, kParameter, kUnknown };

struct Need {
    Text name;
    NeedKind kind = NeedKind::kFixture;
    Index fixture = -1;  // the nearest of that name
};

struct Closure {
    std::vector<Need> needs;
    std::vector<Index> overridden;  // fixtures further out that are used as well, since an overriding one asks for them
    std::vector<Index> parametrized;      // fixtures that multiply tests, in the order of their ids
    Dynamic reasons = Dynamic::kNothing;  // kFixture, kParameters
    bool asks_later = false;              // one of its functions calls request.getfixturevalue
};

struct Request {
    Index place = 0;
    std::span<const Text> names;  // usefixtures and arguments, in this order
    std::span<const Text> given;  // by parametrize, not indirect
    Index file = -1;              // who asks, for diagnostics
    Position at;
    Text asker;
};

class Fixtures {
  public:
    Fixtures(const Project& project, ProjectNames& names, Arena& arena, const TestOptions& options);

    [[nodiscard]] Index place_of_module(Index file);  // made by the first call
    [[nodiscard]] Index place_of_class(Index around, const Lineage& lineage);
    [[nodiscard]] bool is_uncertain(Index place) const { return places_[static_cast<std::size_t>(place)].is_uncertain; }

    [[nodiscard]] Index closure(const Request& request);
    // Of each fixture of the project by itself; call it when all places are there.
    void close_fixtures();

    // Modules of the project that are plugins for all tests, by pytest_plugins or -p.
    [[nodiscard]] const std::vector<Index>& plugins() const { return plugin_files_; }
    [[nodiscard]] const Parameters* parameters_of(const FixtureInfo& fixture) const;
    [[nodiscard]] std::span<const Text> requests_of(const FixtureInfo& fixture) const;

    std::vector<FixtureInfo> fixtures;
    std::vector<Closure> closures;
    std::vector<FileDiagnostic> diagnostics;

  private:
    struct Place {
        Index parent = -1;
        bool is_uncertain = false;    // names or autouse of fixtures are computed, here or further out
        std::vector<Index> fixtures;  // sorted by name, then by attribute
        std::vector<Text> autouse;    // with those further out
        Index plain = -1;             // closure of tests that ask for nothing
    };
    struct Key {
        Index place = -1;
        Index closure = -1;
        std::vector<Text> names;  // asked for, then given
        std::size_t asked = 0;
    };
    class Walk;

    void add_builtins();
    void add_plugins();
    void add_plugin(Index file, Place& place, std::unordered_set<Index>& seen);
    void add_conftests();
    [[nodiscard]] Index place_of_directory(Text directory);
    void add_module(Index file, Place& place);
    void add_class(const Lineage& lineage, Place& place);
    void add_target(Text attribute, const Target& target, bool is_doubtful, Place& place);
    Index finish(Place place);  // its index; the parent's if it would be empty
    void chain(Index place, Text name, std::vector<Index>& nearest_first) const;
    [[nodiscard]] Index make_closure(const Request& request, bool with_autouse);

    const Project& project_;
    ProjectNames& names_;
    Arena& arena_;
    const TestOptions& options_;
    std::vector<Place> places_;
    std::vector<Index> module_places_;
    std::unordered_map<Text, Index> directories_;
    std::unordered_map<std::size_t, std::vector<Key>> keys_;
    std::vector<Index> plugin_files_;
    std::unordered_set<std::uint64_t> told_;
    std::unordered_set<Text> told_names_;
    std::vector<Visible> visible_;
    Text last_directory_;
    Index last_place_ = -1;
};

}  // namespace tach::analyzer
