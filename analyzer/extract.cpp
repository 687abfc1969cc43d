#include "analyzer/extract.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "analyzer/bodies.h"
#include "analyzer/literals.h"
#include "analyzer/local_names.h"
#include "analyzer/marks.h"
#include "analyzer/walk_tree.h"

namespace tach::analyzer {
namespace {

// Python itself refuses more than 100 levels of indentation (MAXINDENT in Parser/lexer/state.h).
constexpr int kDeepestBlock = 110;
constexpr std::size_t kMostSyntaxErrors = 5;
constexpr std::size_t kMostOfValue = 64;  // of a literal: enough to be told from others

// Neither a function nor a class comes of it.
bool is_data(Kind kind) {
    switch (kind) {
        case Kind::kTrue:
        case Kind::kFalse:
        case Kind::kNone:
        case Kind::kInteger:
        case Kind::kFloat:
        case Kind::kString:
        case Kind::kConcatenatedString:
        case Kind::kList:
        case Kind::kTuple:
        case Kind::kDictionary:
        case Kind::kSet:
        case Kind::kListComprehension:
        case Kind::kDictionaryComprehension:
        case Kind::kSetComprehension:
        case Kind::kGeneratorExpression:
        case Kind::kComparisonOperator:
        case Kind::kNotOperator:
            return true;
        default:
            return false;
    }
}

// Where a statement stands that runs at import.
struct Place {
    Index parent = -1;  // the class around it
    bool is_conditional = false;
    bool never_runs = false;
    bool is_guarded = false;
    int depth = 0;

    [[nodiscard]] Surroundings surroundings() const {
        return {.is_conditional = is_conditional, .never_runs = never_runs, .is_guarded = is_guarded};
    }
};

class ModuleReader {
  public:
    ModuleReader(Text source, Arena& arena, Facts& facts)
        : source_(source),
          arena_(&arena),
          facts_(&facts),
          names_(source, arena),
          conditions_(source, names_),
          bodies_(source, arena, names_, conditions_, facts),
          marks_(source, arena, names_, facts) {}

    void read(Node module);

  private:
    void statements(Node block, const Place& place);
    [[nodiscard]] bool statement(Node node, const Place& place);
    void compound(Node node, const Place& place);
    void branches(Node node, const Place& place);
    void try_statement(Node node, const Place& place);
    void note_ignored(Node statement);
    void import(Node node, const Place& place);
    void expression(Node node, const Place& place);
    void assignment(Node node, const Place& place);
    void assign_name(Text name, Node value, Node at, const Place& place);
    void assign_special(Text name, Node value, const Place& place);
    void bind_pattern(Node pattern, const Place& place);
    void definition(Node node, const Place& place);
    void function(Node node, Node decorated, const Place& place);
    void klass(Node node, Node decorated, const Place& place);
    void read_bases(Node arguments, Class& into);
    void decorators(Node decorated, const Place& place);
    void read_parameters(Node parameters, bool is_method, Function& into) const;
    void bind(Binding binding);
    void note_syntax_errors(Node module);

    struct Namespace {
        Index parent;
        Text name;
        friend bool operator==(const Namespace&, const Namespace&) = default;
    };
    struct HashNamespace {
        std::size_t operator()(const Namespace& key) const {
            return std::hash<Text>()(key.name) * 31 + static_cast<std::size_t>(key.parent + 1);
        }
    };

    Text source_;
    Arena* arena_;
    Facts* facts_;
    LocalNames names_;
    Conditions conditions_;
    BodyReader bodies_;
    MarkReader marks_;
    std::unordered_map<Namespace, std::size_t, HashNamespace> bound_;  // -> facts.bindings
    [[nodiscard]] Node node_of(Index klass) const {
        return klass < 0 ? Node() : class_nodes_[static_cast<std::size_t>(klass)];
    }

    std::vector<Node> class_nodes_;                       // of facts.classes
    std::vector<std::pair<Node, Index>> bodies_to_read_;  // when all names of the module are known
};

void ModuleReader::read(Node module) {
    note_syntax_errors(module);
    statements(module, {});
    for (const auto& [node, index] : bodies_to_read_) bodies_.read_body(node, index);
    marks_.read_parameters(module);
    if (bodies_.found_python2()) {
        facts_->is_complete = false;
        facts_->diagnostics.push_back({.at = {}, .message = "a statement of Python 2"});
    }
    facts_->has_doctests = source_.find(">>>") != Text::npos;
}

void ModuleReader::note_syntax_errors(Node module) {
    if (!module.has_error()) return;
    facts_->is_complete = false;
    std::size_t found = 0;
    Node nearest = module;  // around what is missing, if that is a bracket or the like, which has no name
    walk_tree(module, [&](Node node) {
        if (found == kMostSyntaxErrors || !node.has_error()) return Step::kOver;
        nearest = node;
        if (!node.is(Kind::kError) && !node.is_missing()) return Step::kInto;
        ++found;
        facts_->diagnostics.push_back({.at = node.at(), .message = "invalid syntax"});
        return Step::kOver;
    });
    if (found == 0) facts_->diagnostics.push_back({.at = nearest.at(), .message = "invalid syntax"});
}

// --- statements -----------------------------------------------------------------------------------------------------

void ModuleReader::statements(Node block, const Place& place) {
    if (block.is_null()) return;
    if (place.depth > kDeepestBlock) {
        facts_->is_complete = false;
        facts_->diagnostics.push_back({.at = block.at(), .message = "too many levels of indentation"});
        return;
    }
    bool goes_on = true;
    for_each_child(block, [&](Node child) { goes_on = goes_on && statement(child, place); });
}

// Whether what follows it in its block may run.
bool ModuleReader::statement(Node node, const Place& place) {
    switch (node.kind()) {
        case Kind::kExpressionStatement:
            for_each_child(node, [&](Node child) { expression(child, place); });
            break;
        case Kind::kImportStatement:
        case Kind::kImportFromStatement:
        case Kind::kFutureImportStatement:
            import(node, place);
            break;
        case Kind::kFunctionDefinition:
        case Kind::kClassDefinition:
        case Kind::kDecoratedDefinition:
            definition(node, place);
            break;
        case Kind::kDeleteStatement:
            walk_tree(node, [&](Node child) {
                if (child.is(Kind::kIdentifier)) {
                    bind({.name = child.text(source_),
                          .kind = BindingKind::kDeleted,
                          .parent = place.parent,
                          .at = child.at(),
                          .is_conditional = place.is_conditional});
                }
                return child.is(Kind::kAttribute) || child.is(Kind::kSubscript) ? Step::kOver : Step::kInto;
            });
            break;
        case Kind::kRaiseStatement:
            bodies_.read_at_import(node, place.surroundings());
            if (!place.never_runs) facts_->may_skip = true;
            return place.depth == 0;  // what follows is still worth to be known
        default:
            compound(node, place);
    }
    return true;
}

void ModuleReader::compound(Node node, const Place& place) {
    switch (node.kind()) {
        case Kind::kIfStatement:
            return branches(node, place);
        case Kind::kTryStatement:
            return try_statement(node, place);
        case Kind::kForStatement:
        case Kind::kWhileStatement:
        case Kind::kWithStatement:
        case Kind::kMatchStatement:
            break;
        default:
            return bodies_.read_at_import(node, place.surroundings());
    }
    Place inside = place;
    inside.is_conditional = true;
    ++inside.depth;
    if (node.is(Kind::kForStatement)) bind_pattern(node.field(Field::kLeft), inside);
    if (node.is(Kind::kWhileStatement)) {
        inside.never_runs |= conditions_.truth_of(node.field(Field::kCondition)) == Truth::kNever;
    }
    for_each_child(node, [&](Node child) {
        if (child.is(Kind::kBlock)) return statements(child, inside);
        if (child.is(Kind::kElseClause)) {
            Place after = inside;
            after.never_runs = place.never_runs;
            return statements(child.field(Field::kBody), after);
        }
        if (child.is(Kind::kCaseClause)) return statements(child.field(Field::kConsequence), inside);
        bodies_.read_at_import(child, place.surroundings());
    });
}

void ModuleReader::branches(Node node, const Place& place) {
    Place rest = place;
    ++rest.depth;
    const auto branch = [&](Node condition, Node body) {
        bodies_.read_at_import(condition, rest.surroundings());
        const Truth truth = rest.never_runs ? Truth::kNever : conditions_.truth_of(condition);
        Place inside = rest;
        inside.never_runs |= truth == Truth::kNever;
        inside.is_conditional |= truth == Truth::kUnknown;
        statements(body, inside);
        rest.never_runs |= truth == Truth::kAlways;
        rest.is_conditional |= truth == Truth::kUnknown;
    };
    branch(node.field(Field::kCondition), node.field(Field::kConsequence));
    for_each_child(node, [&](Node child) {
        if (child.is(Kind::kElifClause)) branch(child.field(Field::kCondition), child.field(Field::kConsequence));
        if (child.is(Kind::kElseClause)) statements(child.field(Field::kBody), rest);
    });
}

namespace {

bool catches_import_errors(Node node, Text source) {
    bool catches = false;
    for_each_child(node, [&](Node child) {
        if (!child.is(Kind::kExceptClause) && !child.is(Kind::kExceptGroupClause)) return;
        const Node what = child.named_child(0);
        const Text text = what.is_null() ? Text{} : what.text(source);
        catches |= what.is(Kind::kBlock) || text.find("ImportError") != Text::npos ||
                   text.find("ModuleNotFoundError") != Text::npos || text.find("Exception") != Text::npos;
    });
    return catches;
}

}  // namespace

void ModuleReader::try_statement(Node node, const Place& place) {
    Place body = place;
    ++body.depth;
    body.is_conditional = true;
    body.is_guarded |= catches_import_errors(node, source_);
    Place handler = body;
    handler.is_guarded = place.is_guarded;
    for_each_child(node, [&](Node child) {
        if (child.is(Kind::kBlock)) return statements(child, body);
        for_each_child(child, [&](Node part) {
            if (part.is(Kind::kBlock)) {
                statements(part, handler);
            } else {
                bodies_.read_at_import(part, place.surroundings());
            }
        });
    });
}

void ModuleReader::import(Node node, const Place& place) {
    const std::size_t before = facts_->imports.size();
    bodies_.read_import(node, place.surroundings());
    for (std::size_t i = before; i < facts_->imports.size(); ++i) {
        const Import& import = facts_->imports[i];
        if (import.local.empty() || import.never_runs) continue;
        bind({.name = import.local,
              .kind = BindingKind::kImport,
              .index = static_cast<Index>(i),
              .parent = place.parent,
              .at = import.at,
              .is_conditional = place.is_conditional});
    }
}

// `collect_ignore = [...]`, `collect_ignore += [...]` and `collect_ignore.append(...)`, under whatever condition.
void ModuleReader::note_ignored(Node statement) {
    const bool is_call = statement.is(Kind::kCall);
    Node target = statement.field(is_call ? Field::kFunction : Field::kLeft);
    if (is_call) target = target.field(Field::kObject);
    if (!target.is(Kind::kIdentifier) || target.text(source_) != "collect_ignore") return;
    walk_tree(statement.field(is_call ? Field::kArguments : Field::kRight), [&](Node node) {
        const bool is_list = node.is(Kind::kList) || node.is(Kind::kTuple) || node.is(Kind::kArgumentList);
        if (is_list || node.is(Kind::kComment)) return Step::kInto;
        const auto literal = string_literal(node, source_, *arena_);
        if (literal) facts_->ignored.push_back(*literal);
        facts_->ignored_known &= literal.has_value();
        return Step::kOver;
    });
}

void ModuleReader::expression(Node node, const Place& place) {
    if (place.parent < 0) note_ignored(node);
    if (node.is(Kind::kAssignment)) {
        assignment(node, place);
    } else if (node.is(Kind::kAugmentedAssignment)) {
        const Node left = node.field(Field::kLeft);
        if (left.is(Kind::kIdentifier)) {
            const Text name = left.text(source_);
            if (name == "__all__") facts_->exports_known = false;
            if (name == "pytestmark") facts_->marks_known = false;
            if (name == "pytest_plugins") facts_->plugins_known = false;
        }
    }
    bodies_.read_at_import(node, place.surroundings());
}

// --- assignments ----------------------------------------------------------------------------------------------------

void ModuleReader::assignment(Node node, const Place& place) {
    if (place.never_runs) return;
    const Node left = node.field(Field::kLeft);
    Node value = node.field(Field::kRight);
    if (value.is_null()) return;  // `x: int` binds nothing
    if (left.is(Kind::kIdentifier)) {
        while (value.is(Kind::kAssignment)) {  // `a = b = 1`
            bind_pattern(value.field(Field::kLeft), place);
            value = value.field(Field::kRight);
        }
        return assign_name(left.text(source_), value, left, place);
    }
    if (left.is(Kind::kAttribute)) {
        // `test_it.__test__ = False` and the like.
        const Node object = left.field(Field::kObject);
        const auto bound = bound_.find({place.parent, object.text(source_)});
        if (bound == bound_.end()) return;
        const Binding& binding = facts_->bindings[bound->second];
        const auto index = static_cast<std::size_t>(binding.index);
        if (binding.kind == BindingKind::kFunction) facts_->functions[index].is_known = false;
        if (binding.kind == BindingKind::kClass) facts_->classes[index].is_known = false;
        return;
    }
    bind_pattern(left, place);
}

void ModuleReader::bind_pattern(Node pattern, const Place& place) {
    if (pattern.is_null()) return;
    walk_tree(pattern, [&](Node node) {
        if (node.is(Kind::kIdentifier)) {
            const Text name = node.text(source_);
            if (place.parent < 0) names_.bind(name, name);
            bind({.name = name, .parent = place.parent, .at = node.at(), .is_conditional = place.is_conditional});
        }
        return node.is(Kind::kAttribute) || node.is(Kind::kSubscript) ? Step::kOver : Step::kInto;
    });
}

void ModuleReader::assign_name(Text name, Node value, Node at, const Place& place) {
    assign_special(name, value, place);
    Binding binding{.name = name, .parent = place.parent, .at = at.at(), .is_conditional = place.is_conditional};
    const Text canonical = names_.canonical(value);
    const Node function = value.is(Kind::kCall) ? value.field(Field::kFunction) : Node();
    if (!canonical.empty()) {
        binding.value = canonical;
    } else if (!function.is_null()) {
        const Text callee = names_.canonical(function);
        if (!callee.empty()) binding.value = arena_->join({callee, "()"});
    } else if (is_data(value.kind())) {
        binding.value = value.text(source_).substr(0, kMostOfValue);
        binding.is_data = true;
    }
    if (place.parent < 0) {
        // An alias of something that is not this file's own; everything else goes by the name it has here.
        const bool alias = !canonical.empty() && canonical != value.text(source_) && !place.is_conditional;
        names_.bind(name, alias ? canonical : name);
        marks_.define(name, value);
        conditions_.assign(name, place.is_conditional ? Truth::kUnknown : conditions_.truth_of(value));
    }
    bind(binding);
}

void ModuleReader::assign_special(Text name, Node value, const Place& place) {
    if (name == "pytestmark") {
        const bool of_module = place.parent < 0;
        std::vector<Mark>& marks =
            of_module ? facts_->marks : facts_->classes[static_cast<std::size_t>(place.parent)].marks;
        const bool known = marks_.read(value, marks) && !place.is_conditional;
        if (of_module) {
            facts_->marks_known &= known;
        } else {
            facts_->classes[static_cast<std::size_t>(place.parent)].is_known &= known;
        }
        return;
    }
    if (place.parent >= 0) return;
    const bool is_exports = name == "__all__";
    if (!is_exports && name != "pytest_plugins") return;
    std::vector<Text>& texts = is_exports ? facts_->exports : facts_->plugins;
    auto literal = string_list_literal(value, source_, *arena_);
    const bool known = literal.has_value() && !place.is_conditional;
    if (literal) texts.insert(texts.end(), literal->begin(), literal->end());
    facts_->has_exports |= is_exports;
    (is_exports ? facts_->exports_known : facts_->plugins_known) &= known;
}

// The first binding of a name tells its place, the last one what it is.
void ModuleReader::bind(Binding binding) {
    const auto [found, is_new] = bound_.try_emplace({binding.parent, binding.name}, facts_->bindings.size());
    if (is_new) {
        facts_->bindings.push_back(binding);
        return;
    }
    Binding& earlier = facts_->bindings[found->second];
    // Overloads and properties are bound again and again as functions; the last one wins without any doubt.
    const bool doubtful = earlier.is_conditional || binding.is_conditional;
    const Position at = earlier.at;
    earlier = binding;
    earlier.at = at;
    earlier.is_conditional = doubtful;
}

// --- definitions ----------------------------------------------------------------------------------------------------

void ModuleReader::definition(Node node, const Place& place) {
    Node inner = node;
    if (node.is(Kind::kDecoratedDefinition)) {
        decorators(node, place);
        inner = node.field(Field::kDefinition);
    }
    if (place.never_runs) return;
    if (inner.is(Kind::kFunctionDefinition)) function(inner, node, place);
    if (inner.is(Kind::kClassDefinition)) klass(inner, node, place);
}

void ModuleReader::decorators(Node decorated, const Place& place) {
    for_each_child(decorated, [&](Node child) {
        if (!child.is(Kind::kDecorator)) return;
        const Node expression = child.named_child(0);
        bodies_.read_at_import(expression, place.surroundings());
        if (!expression.is(Kind::kCall) && !place.never_runs) {
            bodies_.note_call(names_.canonical(expression), expression, -1);
        }
    });
}

void ModuleReader::read_parameters(Node parameters, bool is_method, Function& into) const {
    if (parameters.is_null()) return;
    bool first = true;
    for_each_child(parameters, [&](Node parameter) {
        const bool skip = std::exchange(first, false) && is_method;
        switch (parameter.kind()) {
            case Kind::kIdentifier:
                if (!skip) into.requests.push_back(parameter.text(source_));
                break;
            case Kind::kTypedParameter:
                if (!skip && parameter.named_child(0).is(Kind::kIdentifier)) {
                    into.requests.push_back(parameter.named_child(0).text(source_));
                }
                break;
            case Kind::kPositionalSeparator:  // what is before it cannot be given by name
                into.requests.clear();
                break;
            default:
                break;
        }
    });
}

void ModuleReader::function(Node node, Node decorated, const Place& place) {
    const auto index = static_cast<Index>(facts_->functions.size());
    const Node name = node.field(Field::kName);
    Function function{.name = name.text(source_),
                      .at = name.at(),
                      .first = decorated.at(),
                      .parent = place.parent,
                      .is_async = node.text(source_).starts_with("async"),
                      .is_conditional = place.is_conditional};
    bool is_static = false;
    if (!(decorated.begin() == node.begin())) {
        for_each_child(decorated, [&](Node child) {
            is_static |= child.is(Kind::kDecorator) && child.named_child(0).text(source_) == "staticmethod";
        });
    }
    read_parameters(node.field(Field::kParameters), place.parent >= 0 && !is_static, function);
    const Node parameters = node.field(Field::kParameters);
    bodies_.read_at_import(parameters, place.surroundings());
    facts_->functions.push_back(std::move(function));
    Function decorated_function = std::move(facts_->functions.back());
    if (decorated.is(Kind::kDecoratedDefinition))
        marks_.decorate(decorated, node_of(place.parent), index, decorated_function);
    facts_->functions.back() = std::move(decorated_function);
    if (place.parent < 0) names_.bind(name.text(source_), name.text(source_));
    bind({.name = name.text(source_),
          .kind = BindingKind::kFunction,
          .index = index,
          .parent = place.parent,
          .at = name.at(),
          .is_conditional = place.is_conditional});
    bodies_to_read_.emplace_back(node, index);
    const Text called = name.text(source_);
    if (place.parent >= 0 && (called == "__init__" || called == "__new__")) {
        facts_->classes[static_cast<std::size_t>(place.parent)].has_init = true;
    }
}

void ModuleReader::read_bases(Node arguments, Class& into) {
    if (arguments.is_null()) return;
    for_each_child(arguments, [&](Node argument) {
        if (argument.is(Kind::kKeywordArgument)) {
            into.has_keywords = true;
            return;
        }
        // Generic[T] is Generic
        const Node base = argument.is(Kind::kSubscript) ? argument.field(Field::kValue) : argument;
        into.bases.push_back(names_.canonical(base));
    });
}

void ModuleReader::klass(Node node, Node decorated, const Place& place) {
    const auto index = static_cast<Index>(facts_->classes.size());
    const Node name = node.field(Field::kName);
    Class made{.name = name.text(source_),
               .at = name.at(),
               .first = decorated.at(),
               .parent = place.parent,
               .is_conditional = place.is_conditional};
    const Node bases = node.field(Field::kSuperclasses);
    read_bases(bases, made);
    bodies_.read_at_import(bases, place.surroundings());
    if (decorated.is(Kind::kDecoratedDefinition)) marks_.decorate(decorated, made);
    facts_->classes.push_back(std::move(made));
    class_nodes_.push_back(node);
    if (place.parent < 0) names_.bind(name.text(source_), name.text(source_));
    bind({.name = name.text(source_),
          .kind = BindingKind::kClass,
          .index = index,
          .parent = place.parent,
          .at = name.at(),
          .is_conditional = place.is_conditional});
    // A class that may not exist makes its members no more doubtful than it is itself.
    statements(node.field(Field::kBody), {.parent = index, .is_guarded = place.is_guarded, .depth = place.depth + 1});
}

}  // namespace

Facts extract(Text source, Parser& parser, Arena& arena) {
    Facts facts;
    const auto tree = parser.parse(source);
    if (!tree) {
        facts.is_complete = false;
        facts.diagnostics.push_back({.at = {}, .message = "too long to be parsed"});
        return facts;
    }
    ModuleReader(source, arena, facts).read(tree->root());
    return facts;
}

}  // namespace tach::analyzer
