#pragma once

// Folds expressions of one file: what they come to when the module is imported, told from its syntax alone.
//
// A value is known only if nothing in the file can have made it another one: a name counts if it is bound once, by a
// plain assignment, and never changed (bound_names.h). What comes from other files is a Reference at best. Whatever is
// not understood is unknown, and so is everything made of it; there are no wrong values, only missing ones.
//
// Bounded for hostile sources: a budget of steps for each file, a limit to nesting and one to the size of texts. When
// the budget is spent, everything from then on is unknown.

#include <memory_resource>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/bound_names.h"
#include "analyzer/syntax.h"
#include "analyzer/value.h"

namespace tach::analyzer {

class Evaluator {
  public:
    // All must outlive it; values live as long as it, and their texts as long as source and arena.
    Evaluator(Node root, Text source, Arena& arena, Canonical canonical);

    // With the names of a class body around it, if there is one.
    [[nodiscard]] Value evaluate(Node expression, Node class_definition = Node());

    // What a call of a lambda, of a function that is one return statement, or of a builtin comes to. `callable` is an
    // expression.
    [[nodiscard]] Value apply(Node callable, const Value& argument, Node class_definition = Node());

    // Going through it: its items, the characters of a text, the keys of a dict. Nothing: not known.
    [[nodiscard]] std::optional<std::vector<Value>> iterate(const Value& value);

    [[nodiscard]] Text source() const { return source_; }
    [[nodiscard]] Arena& arena() { return arena_; }
    [[nodiscard]] bool is_exhausted() const { return steps_ >= kMaxSteps; }
    [[nodiscard]] Text canonical(Node node) const { return canonical_(node); }

    // --- for the functions of Python that are folded (calls.h) -------------------------------------------------------
    struct Arguments {
        Node call;
        std::vector<Value> positional;
        std::vector<std::pair<Text, Value>> keywords;
    };
    [[nodiscard]] bool spend(std::size_t steps);  // false: not to be done
    [[nodiscard]] Value make(ValueKind kind, const std::vector<Value>& items);
    [[nodiscard]] Value make(const std::optional<std::string>& text);
    // The builtin that an identifier is, where it stands; empty: it is none.
    [[nodiscard]] Text builtin(Node identifier);
    // str, repr and key_of, within the budget.
    [[nodiscard]] std::optional<std::string> str(const Value& value);
    [[nodiscard]] std::optional<std::string> repr(const Value& value);
    [[nodiscard]] std::optional<std::string> key(const Value& value);

  private:
    static constexpr std::size_t kMaxSteps = 2'000'000;  // of each file; a second at worst, a guess
    static constexpr int kMaxDepth = 120;                // of expressions; some kilobytes of stack each

    struct Scope {
        Node class_definition;
        bool sees_class = false;
    };
    struct Clauses;

    Value at(Node node);
    Value simple(Node node, Kind kind);
    Value compound(Node node, Kind kind);

    Value name(Node identifier);
    Value bound(const BoundName& name, Node identifier, Text text, bool in_class);
    Value bound_value(const BoundName& name, Text text, bool in_class);
    bool has_plain_bases(Node class_definition);
    Value imported(Text canonical) const;
    Value attribute(Node node);
    Value string(Node node);
    Value formatted(Node node, Text literal);
    bool append_interpolation(Node node, std::string& to);
    Value concatenated(Node node);
    Value sequence(Node node, ValueKind kind);
    Value dictionary(Node node);
    Value comprehension(Node node, Kind kind);
    bool run_clauses(const Clauses& clauses, std::size_t place, std::vector<Value>& results);
    bool run_for(const Clauses& clauses, std::size_t place, std::vector<Value>& results);
    bool bind(Node target, const Value& value);
    Value subscript(Node node);
    Value slice(const Value& of, Node node);
    Value unary(Node node);
    Value binary(Node node);
    Value boolean(Node node);
    Value comparison(Node node);
    Value conditional(Node node);
    Value call(Node node);
    bool arguments_of(Node call, Arguments& arguments);
    bool argument(Node node, Arguments& arguments);
    Value call_parameter_set(Node node);
    Value instance_of(const BoundName& name, Text text);
    Value apply_definition(Node parameters, Node body, const Value& argument);
    // The name that a callee is known by: of a builtin that nothing has rebound, or canonical. Empty: neither.
    struct Callee {
        Text name;
        bool is_builtin = false;
    };
    Callee callee(Node function);
    const BoundName* find(Text name, bool& in_class) const;
    [[nodiscard]] bool is_imported(Node expression) const;
    [[nodiscard]] bool is_builtin(Text name) const;

    Text source_;
    Arena& arena_;
    Canonical canonical_;
    BoundNames names_;
    std::pmr::monotonic_buffer_resource memory_;
    std::vector<std::pair<Text, Value>> locals_;
    Scope scope_;
    std::unordered_map<std::uint32_t, Value> cache_;  // of bound names, by where their expression begins
    std::size_t steps_ = 0;
    int depth_ = 0;
};

}  // namespace tach::analyzer
