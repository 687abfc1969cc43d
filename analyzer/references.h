#pragma once

// What a name of one file stands for, wherever in the project that is defined: through imports, re-exports of packages,
// star imports and assignments of one name to another.
//
// It follows what is written, not what runs: a name that is bound in several ways stands for all of them. What it
// cannot follow it says: the result of a call, say, is a value of that file. No recursion; a search ends after a number
// of steps that no code comes near unless its imports go in a circle.

#include <string>
#include <vector>

#include "analyzer/modules.h"
#include "analyzer/project.h"

namespace tach::analyzer {

struct Referent {
    enum class Kind : std::uint8_t {
        kFunction,  // `index` into the file's functions
        kClass,     // `index` into its classes
        kMember,    // `name` of the class `index`, which does not define it itself: of a base of it, or of an instance
        kValue,     // something of the file that is neither; `name`: the attribute that is asked for, may be empty
        kModule,    // the file
        kExternal,  // of no file of the project; `name` is canonical and absolute
    };
    Kind kind = Kind::kExternal;
    Index file = -1;
    Index index = -1;
    std::string name;
    bool is_as_written = false;  // of kExternal: no import led to it, so that it may be a local variable's
};

class References {
  public:
    References(const Project& project, const Modules& modules);

    // What a canonical name stands for, as read in `file`.
    [[nodiscard]] std::vector<Referent> resolve(Index file, Text canonical);

    // The same for what a function calls: `self` and `cls` are of its class.
    [[nodiscard]] std::vector<Referent> resolve_call(Index file, Index caller, Text callee);

    // A class with all that it derives from, itself first; what is not of the project by its name.
    struct Lineage {
        struct Class {
            Index file;
            Index index;
        };
        std::vector<Class> classes;
        std::vector<std::string> externals;
    };
    [[nodiscard]] Lineage lineage(Index file, Index index);

    // The function of that name in the body of a class; -1: none.
    [[nodiscard]] Index method(Index file, Index index, Text name);

  private:
    // One thing to look up: in the namespace of the file, or, if `is_canonical`, a name that an import gave.
    struct Step {
        Index file;
        std::string name;
        bool is_canonical;
        bool is_first = false;
    };
    // Of one file, made when it is first asked for: sorted by name, in the order of the source for equal names.
    struct Names {
        bool is_made = false;
        std::vector<Index> bindings;  // of the module
        std::vector<Index> imports;   // at import, by the local name
        std::vector<Index> stars;
        std::vector<Index> functions;  // of classes
    };

    [[nodiscard]] const Names& names_of(Index file);
    [[nodiscard]] std::vector<Referent> run(Step first);
    void follow(const Step& step);
    void look_in(Index file, Text name);
    void look_in_class(Index file, Index index, Text name);
    void follow_import(Index file, const Import& import, Text rest);
    void found(Referent target);

    const Project& project_;
    const Modules& modules_;
    std::vector<Names> names_;
    std::vector<Step> steps_;
    std::vector<Referent> targets_;
};

}  // namespace tach::analyzer
