#include "analyzer/bound_names.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <unordered_set>

namespace tach::analyzer {
namespace {

using Words = std::unordered_set<Text>;

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kMaxChain = 32;  // of names that a value flows into at once; beyond, it is taken for changed

const Words& mutators() {
    static const Words kWords{"append",
                              "extend",
                              "insert",
                              "remove",
                              "pop",
                              "clear",
                              "sort",
                              "reverse",
                              "update",
                              "add",
                              "discard",
                              "setdefault",
                              "popitem",
                              "appendleft",
                              "extendleft",
                              "popleft",
                              "rotate",
                              "difference_update",
                              "__setitem__",
                              "__delitem__",
                              "__iadd__",
                              "intersection_update",
                              "symmetric_difference_update"};
    return kWords;
}

// Methods that change neither their object nor their arguments.
const Words& harmless_methods() {
    static const Words kWords{
        "items",        "keys",     "values",     "get",          "copy",      "index",    "count",    "format",
        "join",         "upper",    "lower",      "split",        "rsplit",    "replace",  "strip",    "lstrip",
        "rstrip",       "title",    "capitalize", "startswith",   "endswith",  "encode",   "decode",   "splitlines",
        "zfill",        "ljust",    "rjust",      "center",       "partition", "find",     "rfind",    "union",
        "difference",   "isdigit",  "isalpha",    "isupper",      "islower",   "casefold", "swapcase", "rpartition",
        "intersection", "issubset", "issuperset", "from_iterable"};
    return kWords;
}

// Builtins that give back something new, with at most the items of what they got.
const Words& harmless_builtins() {
    static const Words kWords{"len",        "list",       "tuple",    "set",   "frozenset", "dict", "sorted",
                              "enumerate",  "zip",        "range",    "str",   "repr",      "min",  "max",
                              "sum",        "any",        "all",      "print", "bool",      "int",  "float",
                              "isinstance", "issubclass", "reversed", "iter",  "next",      "type", "hash",
                              "id",         "format",     "abs",      "ascii", "callable"};
    return kWords;
}

constexpr std::array<Text, 5> kHarmlessModules{"pytest.", "itertools.", "operator.", "math.", "re."};

// Where a value that an expression gives goes to.
struct Flow {
    enum class To : std::uint8_t { kNowhere, kNames, kUnknown, kMutation, kAttributes, kBinding };
    To to = To::kNowhere;
    bool is_items = false;          // it is items of what is named, or it is a container of its own
    std::uint32_t targets = kNone;  // of kNames: a chain
};

struct Target {
    Text name;
    bool is_items = false;
    std::uint32_t next = kNone;
    std::uint32_t length = 1;
};

struct Edge {
    Text from;
    bool is_items = false;
};

struct Frame {
    Node node;
    Kind kind = Kind::kOther;
    Flow flow;
    Flow inner;                   // of an assignment, a loop, a call: of what is assigned, gone through, passed
    Node class_definition;        // null: the module's namespace
    bool is_function = false;     // no namespace that can be named
    bool is_late = false;         // in a test or a fixture
    bool is_conditional = false;  // may run never, or many times
    bool is_callee = false;
    bool is_decorated = false;
};

}  // namespace

class NameScan {
  public:
    NameScan(BoundNames& names, Text source, const Canonical& canonical)
        : names_(names), source_(source), canonical_(canonical) {}

    void run(Node root) {
        Cursor cursor(root);
        frames_.push_back({.node = root, .kind = root.kind()});
        std::size_t depth = 1;
        bool is_below = cursor.to_first_child();
        while (is_below) {
            frames_.resize(depth);
            const Node node = cursor.node();
            if (node.is_named() && enter(cursor, node) && cursor.to_first_child()) {
                ++depth;
                continue;
            }
            while (!cursor.to_next_sibling()) {
                cursor.to_parent();
                if (--depth == 0) {
                    finish();
                    return;
                }
            }
        }
        finish();
    }

  private:
    // Leaves a frame for the node's children; false: they are of no interest.
    bool enter(const Cursor& cursor, Node node) {
        const Frame& parent = frames_.back();
        const Kind kind = node.kind();
        if (kind == Kind::kComment) return false;
        Frame frame{.node = node,
                    .kind = kind,
                    .flow = flow_of_child(parent, cursor, node, kind),
                    .class_definition = parent.class_definition,
                    .is_function = parent.is_function,
                    .is_late = parent.is_late,
                    .is_conditional = parent.is_conditional || is_condition(kind),
                    .is_callee = parent.kind == Kind::kCall && cursor.is_field(Field::kFunction),
                    .is_decorated = parent.kind == Kind::kDecoratedDefinition};
        switch (kind) {
            case Kind::kIdentifier:
                use(parent, frame);
                return false;
            case Kind::kImportStatement:
            case Kind::kImportFromStatement:
                bind_imports(frame);
                return false;
            case Kind::kFutureImportStatement:
                return false;
            case Kind::kGlobalStatement:
                bind_globals(node);
                return false;
            case Kind::kFunctionDefinition:
            case Kind::kClassDefinition:
                define(parent, frame);
                break;
            default:
                prepare(frame);
                break;
        }
        if (is_body(parent, cursor)) enter_body(parent, frame);
        frames_.push_back(frame);
        return true;
    }

    static bool is_condition(Kind kind) {
        return kind == Kind::kIfStatement || kind == Kind::kForStatement || kind == Kind::kWhileStatement ||
               kind == Kind::kTryStatement || kind == Kind::kWithStatement || kind == Kind::kMatchStatement;
    }

    static bool is_body(const Frame& parent, const Cursor& cursor) {
        return (parent.kind == Kind::kFunctionDefinition || parent.kind == Kind::kClassDefinition ||
                parent.kind == Kind::kLambda) &&
               cursor.is_field(Field::kBody);
    }

    void enter_body(const Frame& parent, Frame& frame) {
        frame.is_conditional = false;
        if (parent.kind == Kind::kClassDefinition) {
            frame.class_definition = parent.node;
            if (!frame.is_function) names_.classes_[parent.node.begin()];
            return;
        }
        frame.is_function = true;
        if (parent.kind == Kind::kLambda) return;
        const Text name = parent.node.field(Field::kName).text(source_);
        frame.is_late = frame.is_late || name.starts_with("test") || is_fixture(parent);
    }

    bool is_fixture(const Frame& function) const {
        if (!function.is_decorated) return false;
        const Node around = frames_[frames_.size() - 2].node;
        if (!around.is(Kind::kDecoratedDefinition)) return false;
        return source_.substr(around.begin(), function.node.begin() - around.begin()).find("fixture") != Text::npos;
    }

    // --- flows ------------------------------------------------------------------------------------------------------

    static Flow nowhere() { return {}; }
    static Flow to(Flow::To place) { return {.to = place}; }
    static Flow items_of(Flow flow) {
        flow.is_items = true;
        return flow;
    }
    static Flow wrapped(Flow flow) {
        flow.is_items = false;
        return flow;
    }

    Flow flow_of_child(const Frame& parent, const Cursor& cursor, Node node, Kind kind) const {
        switch (parent.kind) {
            case Kind::kAssignment:
                if (cursor.is_field(Field::kLeft)) {
                    return parent.node.field(Field::kRight).is_null() ? nowhere() : to(Flow::To::kBinding);
                }
                return cursor.is_field(Field::kRight) ? parent.inner : nowhere();
            case Kind::kAugmentedAssignment:
            case Kind::kForStatement:
                if (cursor.is_field(Field::kLeft)) return to(Flow::To::kBinding);
                return cursor.is_field(Field::kRight) ? parent.inner : nowhere();
            case Kind::kForInClause:
                return cursor.is_field(Field::kRight) ? parent.inner : nowhere();
            case Kind::kNamedExpression:
                return cursor.is_field(Field::kName) ? to(Flow::To::kBinding) : parent.inner;
            case Kind::kDefaultParameter:
            case Kind::kTypedDefaultParameter:
                return cursor.is_field(Field::kValue) ? parent.inner : nowhere();
            case Kind::kTypeAliasStatement:
            case Kind::kDeleteStatement:
                return to(Flow::To::kBinding);
            case Kind::kReturnStatement:
            case Kind::kYield:
            case Kind::kAwait:
                return to(Flow::To::kUnknown);
            case Kind::kLambda:
                return cursor.is_field(Field::kBody) ? to(Flow::To::kUnknown) : nowhere();
            case Kind::kAsPattern:
                return kind == Kind::kOther ? to(Flow::To::kBinding) : to(Flow::To::kUnknown);
            case Kind::kCaseClause:
                return kind == Kind::kBlock || kind == Kind::kIfClause ? nowhere() : to(Flow::To::kBinding);
            default:
                return flow_in_expression(parent, cursor, node);
        }
    }

    Flow flow_in_expression(const Frame& parent, const Cursor& cursor, Node node) const {
        switch (parent.kind) {
            case Kind::kCall:
                return cursor.is_field(Field::kFunction) ? wrapped(parent.flow) : parent.inner;
            case Kind::kKeywordArgument:
                return cursor.is_field(Field::kName) ? nowhere() : parent.flow;
            case Kind::kAttribute:
                return cursor.is_field(Field::kObject) ? flow_of_object(parent) : nowhere();
            case Kind::kSubscript:
                if (!cursor.is_field(Field::kValue)) return nowhere();
                if (parent.flow.to == Flow::To::kBinding) return to(Flow::To::kMutation);
                return items_of(parent.flow);
            case Kind::kBinaryOperator:
                return items_of(parent.flow);
            case Kind::kTuple:
            case Kind::kList:
            case Kind::kSet:
            case Kind::kDictionary:
            case Kind::kListComprehension:
            case Kind::kSetComprehension:
            case Kind::kDictionaryComprehension:
            case Kind::kGeneratorExpression:
                return wrapped(parent.flow);
            case Kind::kListSplat:
            case Kind::kDictionarySplat:
                return items_of(parent.flow);
            case Kind::kArgumentList:
            case Kind::kListSplatPattern:
            case Kind::kPair:
            case Kind::kParenthesizedExpression:
            case Kind::kConditionalExpression:
            case Kind::kBooleanOperator:
            case Kind::kExpressionList:
            case Kind::kPatternList:
            case Kind::kTuplePattern:
            case Kind::kListPattern:
            case Kind::kDottedName:
            case Kind::kOther:
                return parent.flow;
            case Kind::kWithStatement:
                return node.is(Kind::kBlock) ? nowhere() : to(Flow::To::kUnknown);
            default:
                return nowhere();
        }
    }

    Flow flow_of_object(const Frame& attribute) const {
        if (attribute.flow.to == Flow::To::kBinding || attribute.flow.to == Flow::To::kAttributes) {
            return to(Flow::To::kAttributes);
        }
        if (!attribute.is_callee)
            return attribute.flow.to == Flow::To::kMutation ? attribute.flow : to(Flow::To::kUnknown);
        const Text method = attribute.node.field(Field::kAttribute).text(source_);
        if (mutators().contains(method)) return to(Flow::To::kMutation);
        return harmless_methods().contains(method) ? items_of(attribute.flow) : to(Flow::To::kUnknown);
    }

    // What a frame's children need to know that takes a look at more than one of them.
    void prepare(Frame& frame) {
        switch (frame.kind) {
            case Kind::kAssignment:
            case Kind::kAugmentedAssignment:
                frame.inner = into(frame.node.field(Field::kLeft), frame.flow, false);
                break;
            case Kind::kForStatement:
            case Kind::kForInClause:
                frame.inner = into(frame.node.field(Field::kLeft), nowhere(), true);
                break;
            case Kind::kNamedExpression:
            case Kind::kDefaultParameter:
            case Kind::kTypedDefaultParameter:
                frame.inner = into(frame.node.field(Field::kName), frame.flow, false);
                break;
            case Kind::kCall:
                frame.inner = flow_of_arguments(frame);
                break;
            default:
                break;
        }
    }

    Flow flow_of_arguments(const Frame& call) const {
        const Node function = call.node.field(Field::kFunction);
        if (function.is(Kind::kIdentifier) && harmless_builtins().contains(function.text(source_))) {
            return items_of(call.flow);
        }
        if (!function.is(Kind::kIdentifier) && !function.is(Kind::kAttribute)) return to(Flow::To::kUnknown);
        const Text name = canonical_(function);
        if (name == "pytest.param") return wrapped(call.flow);
        for (const Text module : kHarmlessModules) {
            if (name.starts_with(module)) return items_of(call.flow);
        }
        if (function.is(Kind::kAttribute) &&
            harmless_methods().contains(function.field(Field::kAttribute).text(source_))) {
            return wrapped(call.flow);
        }
        return call.flow.to == Flow::To::kMutation ? call.flow : to(Flow::To::kUnknown);
    }

    // Into the names of an assignment's left side, and to where the assignment itself goes: `a = b = []`.
    Flow into(Node left, Flow outer, bool is_items) {
        if (outer.to != Flow::To::kNowhere && outer.to != Flow::To::kNames) return outer;
        std::uint32_t chain = outer.to == Flow::To::kNames ? outer.targets : kNone;
        std::vector<Node> rest{left};
        while (!rest.empty()) {
            const Node node = rest.back();
            rest.pop_back();
            if (node.is(Kind::kIdentifier)) {
                const std::uint32_t length = (chain == kNone ? 0 : targets_[chain].length) + 1;
                if (length > kMaxChain) return to(Flow::To::kMutation);
                targets_.push_back({node.text(source_), is_items, chain, length});
                chain = static_cast<std::uint32_t>(targets_.size() - 1);
            } else if (node.is(Kind::kPatternList) || node.is(Kind::kTuplePattern) || node.is(Kind::kListPattern) ||
                       node.is(Kind::kListSplatPattern)) {
                is_items = true;
                for_each_child(node, [&](Node child) { rest.push_back(child); });
            } else {
                return to(Flow::To::kUnknown);
            }
        }
        return {.to = Flow::To::kNames, .targets = chain};
    }

    // --- names ------------------------------------------------------------------------------------------------------

    void use(const Frame& parent, const Frame& frame) {
        const Text name = frame.node.text(source_);
        if (name == "globals" || name == "exec") names_.is_wild_ = true;
        if ((name == "locals" || name == "vars") && !frame.is_function) names_.is_wild_ = true;
        switch (frame.flow.to) {
            case Flow::To::kNowhere:
                break;
            case Flow::To::kBinding:
                bind_assigned(parent, frame, name);
                break;
            case Flow::To::kMutation:
                change(name, frame.flow.is_items);
                break;
            case Flow::To::kAttributes:
                names_.changes_[name].attributes = true;
                break;
            case Flow::To::kUnknown:
                if (!frame.is_late) change(name, frame.flow.is_items);
                break;
            case Flow::To::kNames:
                for (std::uint32_t i = frame.flow.targets; i != kNone; i = targets_[i].next) {
                    edges_[targets_[i].name].push_back({name, frame.flow.is_items || targets_[i].is_items});
                }
                break;
        }
    }

    void change(Text name, bool is_items) {
        Changes& changes = names_.changes_[name];
        (is_items ? changes.items : changes.itself) = true;
    }

    void bind_assigned(const Frame& parent, const Frame& frame, Text name) {
        const bool is_plain = parent.kind == Kind::kAssignment && frames_.size() >= 2 &&
                              frames_[frames_.size() - 2].kind == Kind::kExpressionStatement;
        if (parent.kind == Kind::kAugmentedAssignment) change(name, false);
        if (is_plain) {
            bind(frame, name, BoundName::By::kValue, parent.node.field(Field::kRight));
        } else {
            bind(frame, name, BoundName::By::kOther, frame.node);
        }
    }

    void define(const Frame& parent, Frame& frame) {
        const bool is_class = frame.kind == Kind::kClassDefinition;
        const Text name = frame.node.field(Field::kName).text(source_);
        Frame bound = frame;
        const bool is_decorated = parent.kind == Kind::kDecoratedDefinition;
        bound.is_conditional |= is_decorated && !(is_class && keeps_its_name(parent.node));
        bind(bound, name, is_class ? BoundName::By::kClass : BoundName::By::kFunction, frame.node);
    }

    // Decorators of classes that give back the class, or another one of the same name.
    bool keeps_its_name(Node decorated) const {
        static constexpr std::array<Text, 16> kKnown{"attr.attrs",
                                                     "attr.attributes",
                                                     "attr.define",
                                                     "attr.frozen",
                                                     "attr.mutable",
                                                     "attr.s",
                                                     "attrs.define",
                                                     "attrs.frozen",
                                                     "attrs.mutable",
                                                     "dataclasses.dataclass",
                                                     "enum.unique",
                                                     "functools.total_ordering",
                                                     "typing.final",
                                                     "typing.runtime_checkable",
                                                     "typing_extensions.final",
                                                     "typing_extensions.runtime_checkable"};
        bool all = true;
        for_each_child(decorated, [&](Node child) {
            if (!child.is(Kind::kDecorator)) return;
            const Node expression = child.named_child(0);
            const Text name = canonical_(expression.is(Kind::kCall) ? expression.field(Field::kFunction) : expression);
            all &= std::find(kKnown.begin(), kKnown.end(), name) != kKnown.end();
        });
        return all;
    }

    void bind(const Frame& frame, Text name, BoundName::By by, Node node) {
        if (frame.is_function) return;
        BoundNames::Table& table =
            frame.class_definition.is_null() ? names_.module_ : names_.classes_[frame.class_definition.begin()];
        const auto [place, is_new] = table.try_emplace(name, BoundName{by, node, !frame.is_conditional});
        if (is_new) return;
        // `import os` and `import os.path`, or the same twice, bind the same.
        BoundName& bound = place->second;
        const bool is_same = by == BoundName::By::kImport && bound.by == by && node.is(Kind::kImportStatement) &&
                             bound.node.is(Kind::kImportStatement) && is_plain_import(node) &&
                             is_plain_import(bound.node);
        if (!is_same) bound = {BoundName::By::kOther, node, false};
    }

    bool is_plain_import(Node statement) const { return statement.text(source_).find(" as ") == Text::npos; }

    void bind_imports(Frame& frame) {
        // An import below an `if` binds the same as one above, or nothing.
        frame.is_conditional = false;
        const Node module = frame.node.field(Field::kModuleName);
        for_each_child(frame.node, [&](Node child) {
            if (!module.is_null() && child.begin() == module.begin()) return;
            if (child.is(Kind::kWildcardImport)) {
                if (!frame.is_function) names_.star_import_end_ = frame.node.end();
                return;
            }
            Node name = child.is(Kind::kAliasedImport) ? child.field(Field::kAlias) : child;
            if (name.is(Kind::kDottedName)) name = name.named_child(0);
            bind(frame, name.text(source_), BoundName::By::kImport, frame.node);
        });
    }

    void bind_globals(Node statement) {
        for_each_child(statement, [&](Node name) {
            names_.module_[name.text(source_)] = {BoundName::By::kOther, name, false};
            globals_.push_back(name.text(source_));
        });
    }

    void finish() {
        for (const Text name : globals_) names_.module_[name].is_certain = false;
        for (const Text name : globals_) names_.module_[name].by = BoundName::By::kOther;
        for (const Text name : harmless_builtins()) {
            if (names_.module_.contains(name)) names_.is_wild_ = true;
        }
        std::vector<Text> rest;
        for (const auto& [name, changes] : names_.changes_) {
            if (changes.itself || changes.items) rest.push_back(name);
        }
        while (!rest.empty()) {
            const Text name = rest.back();
            rest.pop_back();
            const auto found = edges_.find(name);
            if (found == edges_.end()) continue;
            for (const Edge& edge : found->second) {
                Changes& changes = names_.changes_[edge.from];
                bool& changed = edge.is_items ? changes.items : changes.itself;
                if (changed) continue;
                changed = true;
                rest.push_back(edge.from);
            }
        }
    }

    BoundNames& names_;
    Text source_;
    const Canonical& canonical_;
    std::vector<Frame> frames_;
    std::vector<Target> targets_;
    std::unordered_map<Text, std::vector<Edge>> edges_;  // from a name to those whose values flow into it
    std::vector<Text> globals_;
};

BoundNames::BoundNames(Node root, Text source, const Canonical& canonical) {
    NameScan(*this, source, canonical).run(root);
}

const BoundName* BoundNames::in_module(Text name) const {
    const auto found = module_.find(name);
    return found == module_.end() ? nullptr : &found->second;
}

const BoundName* BoundNames::in_class(Node class_definition, Text name) const {
    const auto table = classes_.find(class_definition.begin());
    if (table == classes_.end()) return nullptr;
    const auto found = table->second.find(name);
    return found == table->second.end() ? nullptr : &found->second;
}

Changes BoundNames::changes(Text name) const {
    const auto found = changes_.find(name);
    return found == changes_.end() ? Changes{} : found->second;
}

}  // namespace tach::analyzer
