#pragma once

// The classes that a class inherits from, in Python's method resolution order, as far as they are in the project, and
// what pytest asks of a class as a whole: is it a unittest.TestCase, has it a constructor, is it abstract.
//
// Bases that are known to have no tests (object, typing.Generic, abc.ABC, ...) leave no trace. Any other base outside
// of the project makes the lineage *open*: there may be tests, a constructor or __test__ in it.

#include <deque>
#include <vector>

#include "analyzer/dynamic.h"
#include "analyzer/project_names.h"

namespace tach::analyzer {

struct ClassRef {
    Index file = -1;
    Index index = -1;
    friend bool operator==(const ClassRef&, const ClassRef&) = default;
};

// Of __test__.
enum class Wish : std::uint8_t { kNone, kNever, kAlways, kUnknown };

struct Lineage {
    std::vector<ClassRef> order;  // itself first
    bool is_open = false;
    bool may_be_test_case = false;  // open, and the base might be one
    bool is_test_case = false;
    bool has_constructor = false;
    bool is_abstract = false;
    bool is_abstract_base = false;    // abc.ABC is among the bases
    bool has_generator_hook = false;  // pytest_generate_tests
    bool has_fixtures = false;
    Wish wish = Wish::kNone;
    Dynamic reasons = Dynamic::kNothing;  // that hold for all tests of it
};

class Lineages {
  public:
    explicit Lineages(ProjectNames& names) : names_(names) {}

    // Stays valid as long as this does.
    [[nodiscard]] const Lineage& of(ClassRef ref);
    // Whether a class that was asked for inherits from itself. Of such classes each has what the one has that was asked
    // for first.
    [[nodiscard]] bool has_circles() const { return has_circles_; }

  private:
    void compute(ClassRef ref, Lineage& lineage);
    void add_base(ClassRef ref, Text base, Lineage& lineage, std::vector<const Lineage*>& bases);
    void add_outside(const Target& target, Lineage& lineage);
    void look_at_members(ClassRef ref, Lineage& lineage);
    [[nodiscard]] bool is_abstract(const Lineage& lineage);

    ProjectNames& names_;
    std::vector<std::vector<Index>> known_;  // by file and class: into lineages_
    std::deque<Lineage> lineages_;
    bool has_circles_ = false;
};

// Is the dotted name, or the builtin, a type that cannot be a unittest.TestCase?

[[nodiscard]] bool is_builtin_type(Text name);

}  // namespace tach::analyzer
