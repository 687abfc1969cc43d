#pragma once

// What one source file says, without a look at any other file. Made from its syntax tree (extract.h), kept between runs
// (cache.h), and the only thing that discovery, the import graph and toxicity see of a file.
//
// All texts are views: into the source and the arena of the extraction, or into the blob that the facts were decoded
// from. Who holds the facts holds that memory as well.
//
// Names are *canonical* where this says so: dotted, with the file's own imports resolved. After
// `from threading import Thread as T`, T is `threading.Thread`; after `import os.path as p`, p.join is `os.path.join`;
// after `from .helpers import run`, run is `.helpers.run`, with the dots of the import before it. A name that no import
// binds and that the file defines is as written; so is a builtin.

#include <cstdint>
#include <string_view>
#include <vector>

namespace tach::analyzer {

using Text = std::string_view;
using Index = std::int32_t;  // into a vector of the same Facts; -1: none

struct Position {
    std::uint32_t line = 0;    // from 1; 0: of the file as a whole
    std::uint32_t column = 0;  // from 1, in bytes of UTF-8
    friend bool operator==(const Position&, const Position&) = default;
};

enum class Severity : std::uint8_t { kNote, kWarning, kError };

struct Diagnostic {
    Severity severity = Severity::kError;
    Position at;
    Text message;
};

// --- values ---------------------------------------------------------------------------------------------------------

// One value's part of a test's id, as pytest's idmaker would write it.
enum class IdKind : std::uint8_t {
    kText,       // known
    kReference,  // the __name__ of what the canonical name `text` stands for, if that is a function or a class;
                 // `fallback` of the set otherwise cannot be known here
    kUnknown,
};

struct IdPart {
    IdKind kind = IdKind::kUnknown;
    Text text;
};

struct ParameterSet {
    std::vector<IdPart> id;  // to be joined by "-"; one part if the id was given
};

// An argument list of @pytest.mark.parametrize, or the params of a fixture (then `names` is empty and each set is one
// value).
struct Parameters {
    Position at;
    std::vector<Text> names;
    std::vector<ParameterSet> sets;
    bool known = false;     // names and number of the sets; if not, both may be empty
    bool indirect = false;  // some or all names are fixtures that get the value
    // The values come from an iterator: the first test that is parametrized gets them all, any further one none. Such
    // a mark on a class, on a module, or on a test that a second class inherits, is not to be known. pytest 9.1 warns
    // of it, which a project's filterwarnings may make an error.
    bool is_spent = false;
};

// --- marks ----------------------------------------------------------------------------------------------------------

struct Mark {
    Text name;                  // "skip", "usefixtures"
    Text arguments;             // as written, without the parentheses
    Position at;                // of the decorator, or in `pytestmark = ...`
    std::vector<Text> strings;  // of usefixtures: its arguments, if all are literals
    Index parameters = -1;      // of parametrize: into Facts::parameters
    bool known = true;          // false: the mark is the result of an expression that cannot be folded
};

// --- definitions ----------------------------------------------------------------------------------------------------

enum class Scope : std::uint8_t { kFunction, kClass, kModule, kPackage, kSession, kDynamic };

struct Decorator {
    Text name;  // canonical; empty: an expression of another form
    Position at;
    bool called = false;
};

struct Function {
    Text name;
    Position at;        // of the name
    Position first;     // of the first decorator, or of `def`
    Index parent = -1;  // into classes
    // Names that pytest takes for fixtures: without a default, without self or cls, without what mock.patch fills in.
    std::vector<Text> requests;
    std::vector<Text> literals;  // literal names given to request.getfixturevalue in its body
    std::vector<Decorator> decorators;
    std::vector<Mark> marks;
    Index fixture = -1;
    bool is_async = false;
    bool is_generator = false;
    bool is_static = false;
    bool is_conditional = false;     // below an `if`, `try`, `with`, loop: may not exist
    bool is_known = true;            // false: a decorator may have made anything of it
    bool asks_for_fixtures = false;  // request.getfixturevalue of what is no literal
};

struct Fixture {
    Text name;  // of the fixture, which may differ from the function's
    Position at;
    Index function = -1;
    Scope scope = Scope::kFunction;
    bool autouse = false;
    bool known = true;      // false: name, autouse or params are computed
    Index parameters = -1;  // none: not parametrized
};

struct Class {
    Text name;
    Position at;
    Position first;           // of the first decorator, or of `class`
    Index parent = -1;        // the class around it
    std::vector<Text> bases;  // canonical; empty text: an expression
    std::vector<Decorator> decorators;
    std::vector<Mark> marks;    // decorators and pytestmark
    bool has_init = false;      // __init__ or __new__ of its own: pytest does not collect it
    bool has_keywords = false;  // metaclass and the like
    bool is_conditional = false;
    bool is_known = true;  // false: a decorator may have made anything of it, or pytestmark is computed
};

// What binds a name in the namespace of the module or of a class, in the order of the first binding.
enum class BindingKind : std::uint8_t { kFunction, kClass, kImport, kValue, kDeleted };

struct Binding {
    Text name;
    BindingKind kind = BindingKind::kValue;
    Index index = -1;   // into functions, classes or imports
    Index parent = -1;  // -1: the module's namespace; else a class'
    Text value;         // of kValue: the literal or canonical name, if it is one ("False", "helpers.make"); else empty
    Position at;
    bool is_conditional = false;  // or bound more than once in ways that do not tell which one wins
    bool is_data = false;         // of kValue: a display, comprehension, number or text: neither function nor class
};

// --- imports --------------------------------------------------------------------------------------------------------

struct Import {
    // `from ..a.b import c as d`: level 2, module "a.b", member "c", local "d". `import a.b`: level 0, module "a.b", no
    // member, local "a". A star import has the member "*" and no local name.
    std::uint32_t level = 0;
    Text module;
    Text member;
    Text local;
    Position at;
    Index function = -1;          // in whose body
    bool is_conditional = false;  // below an `if`, a loop, `except`
    bool never_runs = false;      // below `if TYPE_CHECKING`, `if False`, `if __name__ == "__main__"`
    bool is_guarded = false;      // below a `try` that catches ImportError
    bool is_call = false;         // importlib.import_module, __import__, pytest.importorskip of a literal
    bool is_whole = false;        // `import a.b as c`: the local name is a.b, not a
};

// importlib.import_module or __import__ of what is no literal: it may import anything.
struct DynamicImport {
    Position at;
    Index function = -1;  // in whose body
};

// --- calls ----------------------------------------------------------------------------------------------------------

// A call of something that has a name, decorators included. Once for each caller and callee. Code that never runs, as
// of an import, has none.
// In a method, what its first parameter is called is `self`. A method of what has no name (`make().start()`, or
// `server.start()` of a function's own `server`) is `?.start`; a variable of the module goes by its name.
constexpr Text kOfUnknown = "?.";

struct Call {
    Text callee;        // canonical
    Index caller = -1;  // into functions; -1: what runs at import
    Position at;
};

// --- the whole ------------------------------------------------------------------------------------------------------

struct Facts {
    std::vector<Diagnostic> diagnostics;
    std::vector<Import> imports;
    std::vector<DynamicImport> dynamic_imports;
    std::vector<Function> functions;  // of the module and its classes, at any depth of classes, in order of the source
    std::vector<Class> classes;
    std::vector<Fixture> fixtures;
    std::vector<Parameters> parameters;
    std::vector<Binding> bindings;
    std::vector<Call> calls;
    std::vector<Mark> marks;    // pytestmark of the module
    std::vector<Text> exports;  // __all__
    std::vector<Text> plugins;  // pytest_plugins
    std::vector<Text> ignored;  // what a conftest.py may put into collect_ignore
    bool has_exports = false;   // there is an __all__
    bool exports_known = true;
    bool ignored_known = true;
    bool plugins_known = true;
    bool marks_known = true;    // false: pytestmark is computed
    bool may_skip = false;      // pytest.skip or importorskip at import
    bool is_complete = true;    // false: not read to its end, or not by Python's grammar, see diagnostics
    bool has_doctests = false;  // ">>>" somewhere in it
};

}  // namespace tach::analyzer
