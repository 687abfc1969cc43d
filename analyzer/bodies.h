#pragma once

// What code does when it runs: calls by name, imports, requests for fixtures by name. For expressions that run at
// import and for bodies of functions.

#include <cstdint>
#include <unordered_set>

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/local_names.h"
#include "analyzer/syntax.h"
#include "analyzer/truth.h"

namespace tach::analyzer {

// In what surroundings an import stands.
struct Surroundings {
    Index function = -1;
    bool is_conditional = false;
    bool never_runs = false;
    bool is_guarded = false;
};

class BodyReader {
  public:
    BodyReader(Text source, Arena& arena, LocalNames& names, const Conditions& conditions, Facts& facts)
        : source_(source), arena_(&arena), names_(&names), conditions_(&conditions), facts_(&facts) {}

    // What an expression or a simple statement does at import. Bodies of lambdas and functions do not run.
    void read_at_import(Node node, const Surroundings& surroundings);
    // The body of facts.functions[function]. Functions and classes in it count as part of it.
    void read_body(Node definition, Index function);
    // An import statement of any form; binds its names.
    void read_import(Node statement, const Surroundings& surroundings);
    // "@callee" or "@callee(...)" is a call.
    void note_call(Text callee, Node at, Index caller);
    // Statements that Python 3 refuses though the grammar knows them.
    [[nodiscard]] bool found_python2() const { return found_python2_; }

  private:
    enum class Where : std::uint8_t { kImport, kBody, kNested };  // kNested: in a function of a body

    void read(Node node, Where where, const Surroundings& surroundings, int depth);
    [[nodiscard]] bool read_condition(Node statement, Where where, const Surroundings& surroundings, int depth);
    void read_call(Node call, const Surroundings& surroundings);
    void read_literal_import(Node call, Text callee, const Surroundings& surroundings);
    void read_fixture_request(Node call, Index function);
    void bind_parameters(Node parameters, const Function& function);
    void bind_local(Node statement);
    void read_from_import(Node statement, Import import);
    void add_import(Import import);

    Text source_;
    Arena* arena_;
    LocalNames* names_;
    const Conditions* conditions_;
    Facts* facts_;
    std::unordered_set<Text> called_;  // by the function that is read
    std::unordered_set<Text> called_at_import_;
    bool found_python2_ = false;
};

}  // namespace tach::analyzer
