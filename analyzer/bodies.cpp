#include "analyzer/bodies.h"

#include <utility>

#include "analyzer/literals.h"
#include "analyzer/walk_tree.h"

namespace tach::analyzer {
namespace {

// Of `if False:` in `if False:`. Deeper ones count as code that may run.
constexpr int kDeepestCondition = 50;

// Whether nothing in it can call anything, so that it need not be walked. What consists of statements always is: they
// may bind names.
bool is_quiet(Node node, Text source) {
    switch (node.kind()) {
        case Kind::kBlock:
        case Kind::kModule:
        case Kind::kIfStatement:
        case Kind::kElifClause:
        case Kind::kElseClause:
        case Kind::kForStatement:
        case Kind::kWhileStatement:
        case Kind::kTryStatement:
        case Kind::kExceptClause:
        case Kind::kExceptGroupClause:
        case Kind::kFinallyClause:
        case Kind::kWithStatement:
        case Kind::kMatchStatement:
        case Kind::kCaseClause:
        case Kind::kDecoratedDefinition:
        case Kind::kError:
        case Kind::kExpressionStatement:  // an assignment in it binds a name
            return false;
        default:
            return node.text(source).find('(') == Text::npos;
    }
}

}  // namespace

void BodyReader::read_at_import(Node node, const Surroundings& surroundings) {
    read(node, Where::kImport, surroundings, 0);
}

void BodyReader::read_body(Node definition, Index function) {
    const LocalNames::FunctionScope scope(*names_);
    called_.clear();
    bind_parameters(definition.field(Field::kParameters), facts_->functions[static_cast<std::size_t>(function)]);
    read(definition.field(Field::kBody), Where::kBody, {.function = function}, 0);
}

// A parameter hides what the module calls by the same name. A method's first one is the instance or the class,
// whatever it is called.
void BodyReader::bind_parameters(Node parameters, const Function& function) {
    if (parameters.is_null()) return;
    bool is_instance = function.parent >= 0 && !function.is_static;
    for_each_child(parameters, [&](Node parameter) {
        if (parameter.is(Kind::kComment)) return;
        Node name = parameter;
        if (!parameter.is(Kind::kIdentifier)) {
            name = parameter.field(Field::kName);
            if (name.is_null()) name = parameter.named_child(0);
        }
        const Text stands_for = std::exchange(is_instance, false) ? "self" : "";
        if (name.is(Kind::kIdentifier)) names_->bind(name.text(source_), stands_for);
    });
}

// What a function assigns hides what the module calls by the same name.
void BodyReader::bind_local(Node statement) {
    const Node left = statement.field(Field::kLeft);
    if (!left.is(Kind::kIdentifier)) return;
    const Text alias = statement.is(Kind::kAssignment) ? names_->canonical(statement.field(Field::kRight)) : Text{};
    names_->bind(left.text(source_), alias);
}

void BodyReader::read(Node node, Where where, const Surroundings& surroundings, int depth) {
    if (node.is_null() || surroundings.never_runs) return;
    const bool yields = surroundings.function >= 0 && node.text(source_).find("yield") != Text::npos;
    walk_tree(node, [&](Node at) {
        switch (at.kind()) {
            case Kind::kCall:
                read_call(at, surroundings);
                return Step::kInto;
            case Kind::kString:
            case Kind::kConcatenatedString:
                return at.named_child_count() <= 2 ? Step::kOver : Step::kInto;  // interpolations have code
            case Kind::kComment:
            case Kind::kIdentifier:
                return Step::kOver;
            case Kind::kLambda:
            case Kind::kFunctionDefinition:
                if (where == Where::kImport) return at.begin() != node.begin() ? Step::kOver : Step::kInto;
                if (where == Where::kNested || depth == kDeepestCondition) return Step::kInto;
                for_each_child(at, [&](Node part) { read(part, Where::kNested, surroundings, depth + 1); });
                return Step::kOver;
            case Kind::kClassDefinition:
                return where == Where::kImport && at.begin() != node.begin() ? Step::kOver : Step::kInto;
            case Kind::kImportStatement:
            case Kind::kImportFromStatement:
            case Kind::kFutureImportStatement:
                read_import(at, surroundings);
                return Step::kOver;
            case Kind::kAssignment:
            case Kind::kForStatement:
                if (where != Where::kImport) bind_local(at);
                return !yields && is_quiet(at, source_) ? Step::kOver : Step::kInto;
            case Kind::kYield:
                if (where == Where::kBody && surroundings.function >= 0) {
                    facts_->functions[static_cast<std::size_t>(surroundings.function)].is_generator = true;
                }
                return Step::kInto;
            case Kind::kIfStatement:
            case Kind::kWhileStatement:
                return read_condition(at, where, surroundings, depth) ? Step::kOver : Step::kInto;
            case Kind::kReturnStatement:
            case Kind::kRaiseStatement:
            case Kind::kContinueStatement:
            case Kind::kBreakStatement:
                return Step::kIntoLast;
            case Kind::kPrintStatement:
            case Kind::kExecStatement:
                found_python2_ = true;
                return Step::kOver;
            default:
                return !yields && is_quiet(at, source_) ? Step::kOver : Step::kInto;
        }
    });
}

// Whether its truth is known, and what runs of it has been read.
bool BodyReader::read_condition(Node statement, Where where, const Surroundings& surroundings, int depth) {
    const Truth truth = conditions_->truth_of(statement.field(Field::kCondition));
    if (truth == Truth::kUnknown || depth == kDeepestCondition) return false;
    const bool is_loop = statement.is(Kind::kWhileStatement);
    if (truth == Truth::kAlways) {
        read(statement.field(is_loop ? Field::kBody : Field::kConsequence), where, surroundings, depth + 1);
        return true;
    }
    const Node body = statement.field(is_loop ? Field::kBody : Field::kConsequence);
    for_each_child(statement, [&](Node child) {
        if (child.begin() > body.begin()) read(child, where, surroundings, depth + 1);
    });
    return true;
}

void BodyReader::note_call(Text callee, Node at, Index caller) {
    if (callee.empty() || callee.starts_with("pytest.mark.") || callee == "pytest.fixture") return;
    if (!(caller < 0 ? called_at_import_ : called_).insert(callee).second) return;
    facts_->calls.push_back({.callee = callee, .caller = caller, .at = at.at()});
}

void BodyReader::read_call(Node call, const Surroundings& surroundings) {
    const Node function = call.field(Field::kFunction);
    Text callee = names_->canonical(function);
    if (function.is(Kind::kAttribute) && (callee.empty() || callee.starts_with("self."))) {
        const Text method = function.field(Field::kAttribute).text(source_);
        // `request.getfixturevalue(...)`, whose base is a parameter, or an attribute of the instance.
        if (surroundings.function >= 0 && method == "getfixturevalue") {
            return read_fixture_request(call, surroundings.function);
        }
        if (callee.empty()) callee = arena_->join({kOfUnknown, method});
    }
    if (callee.empty()) return;
    note_call(callee, call, surroundings.function);
    if (callee == "importlib.import_module" || callee == "__import__" || callee == "pytest.importorskip") {
        read_literal_import(call, callee, surroundings);
    }
    if (surroundings.function < 0 && (callee == "pytest.skip" || callee == "pytest.importorskip")) {
        facts_->may_skip = true;
    }
}

void BodyReader::read_literal_import(Node call, Text callee, const Surroundings& surroundings) {
    const Node first = call.field(Field::kArguments).named_child(0);
    const auto name = string_literal(first, source_, *arena_);
    if (!name) {
        if (!first.is_null()) facts_->dynamic_imports.push_back({.at = call.at(), .function = surroundings.function});
        return;
    }
    Import import{.module = *name,
                  .at = call.at(),
                  .function = surroundings.function,
                  .is_conditional = surroundings.is_conditional,
                  .is_guarded = surroundings.is_guarded || callee == "pytest.importorskip",
                  .is_call = true};
    while (!import.module.empty() && import.module.front() == '.') {
        import.module.remove_prefix(1);
        ++import.level;
    }
    facts_->imports.push_back(import);
}

void BodyReader::read_fixture_request(Node call, Index function) {
    Function& asking = facts_->functions[static_cast<std::size_t>(function)];
    const auto name = string_literal(call.field(Field::kArguments).named_child(0), source_, *arena_);
    if (name) {
        asking.literals.push_back(*name);
    } else {
        asking.asks_for_fixtures = true;
    }
}

// --- imports --------------------------------------------------------------------------------------------------------

void BodyReader::add_import(Import import) {
    if (!import.local.empty()) {
        Text canonical = import.is_whole || !import.member.empty() ? import.module : import.local;
        if (!import.member.empty()) {
            static constexpr Text kDots = "................";
            const Text dots = kDots.substr(0, std::min<std::size_t>(import.level, kDots.size()));
            canonical = arena_->join({dots, import.module, import.module.empty() ? "" : ".", import.member});
        }
        names_->bind(import.local, canonical);
    }
    facts_->imports.push_back(import);
}

void BodyReader::read_import(Node statement, const Surroundings& surroundings) {
    Import import{.at = statement.at(),
                  .function = surroundings.function,
                  .is_conditional = surroundings.is_conditional,
                  .never_runs = surroundings.never_runs,
                  .is_guarded = surroundings.is_guarded};
    if (statement.is(Kind::kFutureImportStatement)) return;
    if (statement.is(Kind::kImportFromStatement)) return read_from_import(statement, import);
    for_each_child(statement, [&](Node child) {
        Import one = import;
        const Node name = child.is(Kind::kAliasedImport) ? child.field(Field::kName) : child;
        one.module = name.text(source_);
        one.is_whole = child.is(Kind::kAliasedImport);
        one.local =
            one.is_whole ? child.field(Field::kAlias).text(source_) : one.module.substr(0, one.module.find('.'));
        add_import(one);
    });
}

void BodyReader::read_from_import(Node statement, Import import) {
    const Node module = statement.field(Field::kModuleName);
    import.module = module.text(source_);
    if (module.is(Kind::kRelativeImport)) {
        const std::size_t name = import.module.find_first_not_of(". \t");
        const Text prefix = import.module.substr(0, name);
        for (const char c : prefix) import.level += c == '.' ? 1 : 0;
        import.module = name == Text::npos ? Text{} : import.module.substr(name);
    }
    for_each_child(statement, [&](Node child) {
        if (child.begin() == module.begin()) return;
        Import one = import;
        if (child.is(Kind::kWildcardImport)) {
            one.member = "*";
            facts_->imports.push_back(one);
            return;
        }
        const bool aliased = child.is(Kind::kAliasedImport);
        one.member = (aliased ? child.field(Field::kName) : child).text(source_);
        one.local = aliased ? child.field(Field::kAlias).text(source_) : one.member;
        add_import(one);
    });
}

}  // namespace tach::analyzer
