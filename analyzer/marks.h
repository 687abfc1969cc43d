#pragma once

// Decorators and `pytestmark`: marks, fixtures, and what else may become of a definition.

#include <unordered_map>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/local_names.h"
#include "analyzer/syntax.h"

namespace tach::analyzer {

class MarkReader {
  public:
    MarkReader(Text source, Arena& arena, const LocalNames& names, Facts& facts)
        : source_(source), arena_(&arena), names_(&names), facts_(&facts) {}

    // `only_linux = pytest.mark.skipif(...)` in the module: a decorator from then on.
    void define(Text name, Node expression);

    // Of a mark, of a name that define() knows, or of a list of such; false: of something else as well.
    [[nodiscard]] bool read(Node expression, std::vector<Mark>& marks);

    // The decorators of a function or class, whose marks, fixture and doubts it gets. `around`: the definition of the
    // class in whose body it is, or null.
    void decorate(Node decorated, Node around, Index function, Function& into);
    void decorate(Node decorated, Class& into);

    // Fills in what parametrize and fixtures were given, once all names of the module are known.
    void read_parameters(Node module);

  private:
    // Of facts.parameters[index]: the arguments of parametrize, or the params and ids of a fixture.
    struct Pending {
        Index index;
        Node around;
        Node arguments;
        Node params;
        Node ids;
        Text fixture;
    };

    [[nodiscard]] bool is_mark(Node expression) const;
    void read_one(Node expression, std::vector<Mark>& marks);
    [[nodiscard]] Decorator read_decorator(Node expression) const;
    void read_fixture(Node expression, Index function, Function& into);
    void read_fixture_argument(Text name, Node value, Fixture& into) const;
    void read_fixture_parameters(Node arguments, Fixture& into);
    [[nodiscard]] int patched_arguments(Node expression, Text callee) const;
    [[nodiscard]] bool take_given(Node expression, std::vector<Text>& requests) const;

    Text source_;
    Arena* arena_;
    const LocalNames* names_;
    Facts* facts_;
    std::unordered_map<Text, std::vector<Mark>> defined_;
    std::vector<Pending> pending_;
    Node around_;  // of what is being decorated
};

}  // namespace tach::analyzer
