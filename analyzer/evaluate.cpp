#include "analyzer/evaluate.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "analyzer/calls.h"
#include "analyzer/literals.h"

namespace tach::analyzer {
namespace {

constexpr std::size_t kMaxText = std::size_t{64} * 1024;  // of one computed text; nothing that becomes an id is as long

// Restores a variable at the end of a scope.
template <class T>
class Restore {
  public:
    explicit Restore(T& variable) : variable_(variable), before_(variable) {}
    ~Restore() { variable_ = std::move(before_); }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

  private:
    T& variable_;
    T before_;
};

// A name that is an iterator gives its items to the first that asks; an item of a container may be asked twice as well.
Value once_only(const Value& value) {
    return has_iterator(value) ? Value() : value;
}

// An iterator in a container keeps what it is called, and loses what it gives.
Value as_item(const Value& value) {
    if (value.is(ValueKind::kGenerator)) return Value::text(ValueKind::kNamed, "<genexpr>");
    return value.is(ValueKind::kIterator) ? Value::instance() : value;
}

std::int64_t floor_divided(std::int64_t left, std::int64_t right) {
    const std::int64_t quotient = left / right;
    return (left % right != 0 && (left < 0) != (right < 0)) ? quotient - 1 : quotient;
}

Value power(std::int64_t base, std::int64_t exponent) {
    if (exponent < 0) return {};
    std::int64_t result = 1;
    for (std::int64_t i = 0; i < exponent; ++i) {
        if (base == 0 || base == 1) return Value::integer(base);
        if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
        if (__builtin_mul_overflow(result, base, &result)) return {};
    }
    return Value::integer(result);
}

Value divided(const Value& left, const Value& right) {
    constexpr std::int64_t kExact = std::int64_t{1} << 53;
    for (const Value& value : {left, right}) {
        if (value.is_integer() && (value.integer() > kExact || value.integer() < -kExact)) return {};
    }
    return right.real() == 0.0 ? Value() : Value::real(left.real() / right.real());
}

Value of_integers(Text sign, std::int64_t left, std::int64_t right) {
    std::int64_t result = 0;
    if (sign == "+") return __builtin_add_overflow(left, right, &result) ? Value() : Value::integer(result);
    if (sign == "-") return __builtin_sub_overflow(left, right, &result) ? Value() : Value::integer(result);
    if (sign == "*") return __builtin_mul_overflow(left, right, &result) ? Value() : Value::integer(result);
    if (sign == "**") return power(left, right);
    if (sign == "<<" && right >= 0 && right < 62 && left >= 0 && left < (std::int64_t{1} << (62 - right))) {
        return Value::integer(left << right);
    }
    if (right == 0 || right == -1) return {};
    const std::int64_t quotient = floor_divided(left, right);
    if (sign == "//") return Value::integer(quotient);
    return sign == "%" ? Value::integer(left - quotient * right) : Value();
}

Value of_numbers(Text sign, const Value& left, const Value& right) {
    if (sign == "/") return divided(left, right);
    if (left.is_integer() && right.is_integer()) return of_integers(sign, left.integer(), right.integer());
    if (sign == "+") return Value::real(left.real() + right.real());
    if (sign == "-") return Value::real(left.real() - right.real());
    return sign == "*" ? Value::real(left.real() * right.real()) : Value();
}

std::optional<bool> contains(Evaluator& evaluator, const Value& item, const Value& in) {
    if (in.is(ValueKind::kText)) {
        if (!item.is(ValueKind::kText)) return std::nullopt;
        return in.text().find(item.text()) != Text::npos;
    }
    if (in.is(ValueKind::kBytes) || in.is(ValueKind::kIterator) || in.is(ValueKind::kGenerator)) return std::nullopt;
    if (in.is(ValueKind::kSet) || in.is(ValueKind::kDict)) {
        if (!evaluator.key(item)) return std::nullopt;
    } else if (!in.has_order()) {
        return std::nullopt;
    }
    const std::size_t stride = in.is(ValueKind::kDict) ? 2 : 1;
    if (!evaluator.spend(in.weight())) return std::nullopt;
    for (std::size_t i = 0; i < in.items().size(); i += stride) {
        const auto same = equal(item, in.items()[i]);
        if (!same || *same) return same;
    }
    return false;
}

std::optional<bool> compared(Evaluator& evaluator, const Value& left, Text sign, const Value& right) {
    if (!evaluator.spend(std::min(left.weight(), right.weight()))) return std::nullopt;
    const auto negated = [](std::optional<bool> value) { return value ? std::optional(!*value) : value; };
    if (sign == "==") return equal(left, right);
    if (sign == "!=") return negated(equal(left, right));
    if (sign == "<") return less(left, right);
    if (sign == ">") return less(right, left);
    if (sign == "<=") return negated(less(right, left));
    if (sign == ">=") return negated(less(left, right));
    if (sign == "in") return contains(evaluator, left, right);
    if (sign.starts_with("not")) return negated(contains(evaluator, left, right));
    if (!right.is(ValueKind::kNone) || left.is_unknown() || left.is(ValueKind::kReference)) return std::nullopt;
    return left.is(ValueKind::kNone) == (sign == "is");
}

}  // namespace

struct Evaluator::Clauses {
    ValueKind kind = ValueKind::kList;
    Node body;
    std::vector<Node> rest;    // for and if, in order
    std::vector<Value> first;  // what the first for goes through
};

Evaluator::Evaluator(Node root, Text source, Arena& arena, Canonical canonical)
    : source_(source), arena_(arena), canonical_(std::move(canonical)), names_(root, source, canonical_) {}

bool Evaluator::spend(std::size_t steps) {
    if (steps >= kMaxSteps - std::min(steps_, kMaxSteps)) {
        steps_ = kMaxSteps;
        return false;
    }
    steps_ += steps;
    return true;
}

Value Evaluator::make(ValueKind kind, const std::vector<Value>& items) {
    if (!spend(items.size() + 1)) return {};
    if (items.empty()) return Value::items(kind, {});
    auto* const place = static_cast<Value*>(memory_.allocate(items.size() * sizeof(Value), alignof(Value)));
    std::transform(items.begin(), items.end(), place, as_item);
    return Value::items(kind, {place, items.size()});
}

Value Evaluator::make(const std::optional<std::string>& text) {
    if (!text || text->size() > kMaxText || !spend(text->size() / 16 + 1)) return {};
    return Value::text(arena_.keep(*text));
}

std::optional<std::string> Evaluator::str(const Value& value) {
    return spend(value.weight()) ? analyzer::str(value) : std::nullopt;
}

std::optional<std::string> Evaluator::repr(const Value& value) {
    return spend(value.weight()) ? analyzer::repr(value) : std::nullopt;
}

std::optional<std::string> Evaluator::key(const Value& value) {
    return spend(value.weight()) ? key_of(value) : std::nullopt;
}

Value Evaluator::evaluate(Node expression, Node class_definition) {
    if (expression.is_null()) return {};
    const Restore locals(locals_);
    const Restore scope(scope_);
    locals_.clear();
    scope_ = {class_definition, !class_definition.is_null()};
    return at(expression);
}

Value Evaluator::at(Node node) {
    const Restore depth(depth_);
    if (++depth_ > kMaxDepth || !spend(1) || node.has_error() || node.is_missing()) return {};
    const Kind kind = node.kind();
    const Value value = simple(node, kind);
    return value.is_unknown() ? compound(node, kind) : value;
}

Value Evaluator::simple(Node node, Kind kind) {
    switch (kind) {
        case Kind::kNone:
            return Value::none();
        case Kind::kTrue:
            return Value::boolean(true);
        case Kind::kFalse:
            return Value::boolean(false);
        case Kind::kEllipsis:
            return Value::instance();
        case Kind::kInteger:
            return integer_value(node.text(source_), arena_);
        case Kind::kFloat:
            return float_value(node.text(source_));
        case Kind::kString:
            return string(node);
        case Kind::kIdentifier:
            return name(node);
        case Kind::kAttribute:
            return attribute(node);
        case Kind::kLambda:
            return Value::text(ValueKind::kNamed, "<lambda>");
        default:
            return {};
    }
}

Value Evaluator::compound(Node node, Kind kind) {
    switch (kind) {
        case Kind::kParenthesizedExpression: {
            Node inner;
            for_each_child(node, [&](Node child) { inner = child; });
            return inner.is_null() ? Value() : at(inner);
        }
        case Kind::kConcatenatedString:
            return concatenated(node);
        case Kind::kTuple:
        case Kind::kExpressionList:
            return sequence(node, ValueKind::kTuple);
        case Kind::kList:
            return sequence(node, ValueKind::kList);
        case Kind::kSet:
            return sequence(node, ValueKind::kSet);
        case Kind::kDictionary:
            return dictionary(node);
        case Kind::kListComprehension:
        case Kind::kSetComprehension:
        case Kind::kDictionaryComprehension:
        case Kind::kGeneratorExpression:
            return comprehension(node, kind);
        case Kind::kSubscript:
            return subscript(node);
        case Kind::kUnaryOperator:
        case Kind::kNotOperator:
            return unary(node);
        case Kind::kBinaryOperator:
            return binary(node);
        case Kind::kBooleanOperator:
            return boolean(node);
        case Kind::kComparisonOperator:
            return comparison(node);
        case Kind::kConditionalExpression:
            return conditional(node);
        case Kind::kCall:
            return call(node);
        default:
            return {};
    }
}

// --- names ----------------------------------------------------------------------------------------------------------

const BoundName* Evaluator::find(Text name, bool& in_class) const {
    in_class = false;
    if (scope_.sees_class) {
        if (const BoundName* const found = names_.in_class(scope_.class_definition, name)) {
            in_class = true;
            return found;
        }
    }
    return names_.in_module(name);
}

Value Evaluator::name(Node identifier) {
    const Text text = identifier.text(source_);
    const auto local =
        std::find_if(locals_.rbegin(), locals_.rend(), [&](const auto& each) { return each.first == text; });
    if (local != locals_.rend()) return local->second;
    bool in_class = false;
    if (const BoundName* const found = find(text, in_class)) return bound(*found, identifier, text, in_class);
    return is_builtin(text) && is_builtin_with_name(text) ? Value::text(ValueKind::kNamed, text) : Value();
}

bool Evaluator::is_builtin(Text name) const {
    return !names_.is_wild() && names_.star_import_end() == 0 && names_.in_module(name) == nullptr;
}

Value Evaluator::bound(const BoundName& name, Node identifier, Text text, bool in_class) {
    if (!name.is_certain || names_.is_wild() || name.node.begin() < names_.star_import_end()) return {};
    // What a class body binds below is not yet there.
    if (in_class && name.node.begin() > identifier.begin()) return {};
    switch (name.by) {
        case BoundName::By::kValue:
            return bound_value(name, text, in_class);
        case BoundName::By::kImport:
            return imported(canonical_(identifier));
        case BoundName::By::kFunction:
        case BoundName::By::kClass:
            if (names_.changes(text).attributes || !is_ascii(text)) return {};
            if (name.by == BoundName::By::kClass && !has_plain_bases(name.node)) return {};
            return Value::text(ValueKind::kNamed, text);
        case BoundName::By::kOther:
            return {};
    }
    return {};
}

// A metaclass may give a class any name, and a base may bring a metaclass.
bool Evaluator::has_plain_bases(Node class_definition) {
    const Restore depth(depth_);
    if (++depth_ > kMaxDepth) return false;
    const Node bases = class_definition.field(Field::kSuperclasses);
    if (bases.is_null()) return true;
    bool are_plain = true;
    for_each_child(bases, [&](Node base) {
        if (!are_plain) return;
        if (is_imported(base)) {
            static constexpr std::array<Text, 5> kPlain{"enum.", "typing.", "abc.", "collections.", "unittest."};
            const Text canonical = canonical_(base);
            are_plain = std::any_of(kPlain.begin(), kPlain.end(), [&](Text p) { return canonical.starts_with(p); });
        } else {
            are_plain = base.is(Kind::kIdentifier) && at(base).is(ValueKind::kNamed);
        }
    });
    return are_plain;
}

Value Evaluator::bound_value(const BoundName& name, Text text, bool in_class) {
    const std::uint32_t key = name.node.begin();
    if (const auto known = cache_.find(key); known != cache_.end()) return known->second;
    cache_[key] = {};  // while it is computed: what needs itself is unknown
    Value value;
    {
        const Restore locals(locals_);
        const Restore scope(scope_);
        locals_.clear();
        if (!in_class) scope_ = {};
        value = at(name.node);
        if (!spend(value.weight())) value = {};
        value = once_only(value);
    }
    const Changes changes = names_.changes(text);
    if (changes.attributes || (changes.itself && is_mutable(value))) value = {};
    if (changes.items && has_mutable_items(value)) value = {};
    cache_[key] = value;
    return value;
}

Value Evaluator::imported(Text canonical) const {
    if (canonical.empty()) return {};
    const Text name = name_in_library(canonical);
    return name.empty() ? Value::text(ValueKind::kReference, canonical) : Value::text(ValueKind::kNamed, name);
}

// Whether the first name of a.b.c is bound by an import, and by nothing else.
bool Evaluator::is_imported(Node expression) const {
    for (int i = 0; i < kMaxDepth && expression.is(Kind::kAttribute); ++i)
        expression = expression.field(Field::kObject);
    if (!expression.is(Kind::kIdentifier)) return false;
    const Text text = expression.text(source_);
    for (const auto& local : locals_) {
        if (local.first == text) return false;
    }
    bool in_class = false;
    const BoundName* const found = find(text, in_class);
    return found != nullptr && found->is_certain && found->by == BoundName::By::kImport && !names_.is_wild() &&
           found->node.begin() >= names_.star_import_end() && !names_.changes(text).attributes;
}

Value Evaluator::attribute(Node node) {
    if (is_imported(node)) return imported(canonical_(node));
    const Node object = node.field(Field::kObject);
    static const std::unordered_set<Text> kMethods{"upper", "lower",      "strip", "split",
                                                   "title", "capitalize", "join",  "encode"};
    const Text attribute = node.field(Field::kAttribute).text(source_);
    if (object.is(Kind::kIdentifier) && object.text(source_) == "str" && kMethods.contains(attribute)) {
        const Value type = at(object);
        if (type.is(ValueKind::kNamed)) return Value::text(ValueKind::kNamed, attribute);
    }
    return {};
}

// --- strings --------------------------------------------------------------------------------------------------------

Value Evaluator::string(Node node) {
    const Text literal = node.text(source_);
    const auto form = string_form(literal);
    if (!form || literal.size() < form->opening + form->closing) return {};
    if (form->is_formatted) return formatted(node, literal);
    const Text content = literal.substr(form->opening, literal.size() - form->opening - form->closing);
    const auto text = unescaped(content, *form, arena_);
    if (!text) return {};
    return Value::text(form->is_bytes ? ValueKind::kBytes : ValueKind::kText, *text);
}

Value Evaluator::formatted(Node node, Text literal) {
    const StringForm form = *string_form(literal);
    std::string result;
    std::size_t done = node.begin() + form.opening;
    bool known = true;
    const auto append = [&](std::size_t end) {
        const auto text = unescaped(source_.substr(done, end - done), form, arena_);
        known = known && text.has_value();
        if (text) result += *text;
    };
    for_each_child(node, [&](Node child) {
        if (!known || !child.is(Kind::kInterpolation)) return;
        append(child.begin());
        known = known && append_interpolation(child, result);
        done = child.end();
    });
    if (known) append(node.end() - form.closing);
    return known ? make(result) : Value();
}

bool Evaluator::append_interpolation(Node node, std::string& to) {
    Cursor cursor(node);
    Node expression;
    Text conversion;
    if (!cursor.to_first_child()) return false;
    do {
        const Node child = cursor.node();
        const Text text = child.text(source_);
        if (text == "{" || text == "}" || child.is(Kind::kComment)) continue;
        if (!child.is_named()) return false;  // {x=}
        if (expression.is_null()) {
            expression = child;
        } else if (text == "!r" || text == "!s") {
            conversion = text;
        } else {
            return false;
        }
    } while (cursor.to_next_sibling());
    if (expression.is_null()) return false;
    const Value value = at(expression);
    const auto text = conversion == "!r" ? repr(value) : str(value);
    if (!text || to.size() + text->size() > kMaxText) return false;
    to += *text;
    return true;
}

Value Evaluator::concatenated(Node node) {
    std::string whole;
    ValueKind kind = ValueKind::kUnknown;
    bool known = true;
    for_each_child(node, [&](Node child) {
        if (!known) return;
        const Value part = at(child);
        known = (part.is(ValueKind::kText) || part.is(ValueKind::kBytes)) &&
                (kind == ValueKind::kUnknown || part.is(kind)) && whole.size() < kMaxText;
        if (!known) return;
        kind = part.kind();
        whole += part.text();
    });
    if (!known || kind == ValueKind::kUnknown || !spend(whole.size() / 16)) return {};
    return Value::text(kind, arena_.keep(whole));
}

// --- containers -----------------------------------------------------------------------------------------------------

std::optional<std::vector<Value>> Evaluator::iterate(const Value& value) {
    std::vector<Value> items;
    if (value.is(ValueKind::kText)) {
        for (const Text character : characters(value.text())) items.push_back(Value::text(character));
    } else if (value.is(ValueKind::kDict)) {
        for (std::size_t i = 0; i < value.items().size(); i += 2) items.push_back(value.items()[i]);
    } else if (value.has_order() || (value.is(ValueKind::kSet) && value.items().size() < 2)) {
        items.assign(value.items().begin(), value.items().end());
    } else {
        return std::nullopt;
    }
    if (!spend(items.size() + 1)) return std::nullopt;
    return items;
}

Value Evaluator::sequence(Node node, ValueKind kind) {
    std::vector<Value> items;
    std::unordered_set<std::string> keys;
    bool known = true;
    const auto add = [&](const Value& value) {
        if (kind == ValueKind::kSet) {
            const auto key = this->key(value);
            known = known && key.has_value();
            if (!key || !keys.insert(*key).second) return;
        }
        items.push_back(value);
    };
    for_each_child(node, [&](Node child) {
        if (!known) return;
        if (!child.is(Kind::kListSplat)) return add(at(child));
        const auto more = iterate(at(child.named_child(0)));
        known = more.has_value();
        if (more) std::for_each(more->begin(), more->end(), add);
    });
    // A set of who knows what is still a set.
    if (!known && kind == ValueKind::kSet) return Value::instance();
    return known ? make(kind, items) : Value();
}

Value Evaluator::dictionary(Node node) {
    std::vector<Value> items;
    std::unordered_map<std::string, std::size_t> places;
    bool known = true;
    const auto add = [&](const Value& key_value, const Value& value) {
        const auto key = this->key(key_value);
        known = known && key.has_value();
        if (!key) return;
        const auto [place, is_new] = places.try_emplace(*key, items.size());
        if (is_new) {
            items.insert(items.end(), {key_value, value});
        } else {
            items[place->second + 1] = value;
        }
    };
    for_each_child(node, [&](Node child) {
        if (!known) return;
        if (child.is(Kind::kPair)) {
            const Value key_value = at(child.field(Field::kKey));
            add(key_value, at(child.field(Field::kValue)));
            return;
        }
        const Value more = child.is(Kind::kDictionarySplat) ? at(child.named_child(0)) : Value();
        known = more.is(ValueKind::kDict);
        for (std::size_t i = 0; known && i < more.items().size(); i += 2) add(more.items()[i], more.items()[i + 1]);
    });
    return known ? make(ValueKind::kDict, items) : Value::instance();
}

Value Evaluator::comprehension(Node node, Kind kind) {
    Clauses clauses{.body = node.field(Field::kBody)};
    for_each_child(node, [&](Node child) {
        if (child.is(Kind::kForInClause) || child.is(Kind::kIfClause)) clauses.rest.push_back(child);
    });
    const bool is_generator = kind == Kind::kGeneratorExpression;
    // Whatever it gives, it is what it is.
    const Value opaque = is_generator ? Value::text(ValueKind::kNamed, "<genexpr>") : Value();
    if (clauses.rest.empty() || node.text(source_).find("async") != Text::npos) return {};
    const auto first = iterate(at(clauses.rest.front().field(Field::kRight)));
    if (!first) return opaque;
    clauses.first = *first;
    const Restore scope(scope_);
    scope_.sees_class = false;  // a class body is no scope to what is in it, but for the first iterable
    std::vector<Value> results;
    if (!run_clauses(clauses, 0, results)) return opaque;
    switch (kind) {
        case Kind::kListComprehension:
            return make(ValueKind::kList, results);
        case Kind::kGeneratorExpression:
            return make(ValueKind::kGenerator, results);
        default:
            break;
    }
    const bool is_dict = kind == Kind::kDictionaryComprehension;
    std::vector<Value> items;
    std::unordered_map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < results.size(); i += is_dict ? 2 : 1) {
        const auto key = this->key(results[i]);
        if (!key) return Value::instance();
        const auto [place, is_new] = places.try_emplace(*key, items.size());
        if (is_new) items.push_back(results[i]);
        if (is_new && is_dict) items.push_back(results[i + 1]);
        if (!is_new && is_dict) items[place->second + 1] = results[i + 1];
    }
    return make(is_dict ? ValueKind::kDict : ValueKind::kSet, items);
}

bool Evaluator::run_clauses(const Clauses& clauses, std::size_t place, std::vector<Value>& results) {
    const Restore depth(depth_);
    if (++depth_ > kMaxDepth || !spend(1)) return false;
    if (place == clauses.rest.size()) {
        if (!clauses.body.is(Kind::kPair)) {
            results.push_back(at(clauses.body));
            return true;
        }
        results.push_back(at(clauses.body.field(Field::kKey)));
        results.push_back(at(clauses.body.field(Field::kValue)));
        return true;
    }
    if (clauses.rest[place].is(Kind::kForInClause)) return run_for(clauses, place, results);
    const auto condition = truth(at(clauses.rest[place].named_child(0)));
    if (!condition) return false;
    return !*condition || run_clauses(clauses, place + 1, results);
}

bool Evaluator::run_for(const Clauses& clauses, std::size_t place, std::vector<Value>& results) {
    const Node left = clauses.rest[place].field(Field::kLeft);
    const auto items =
        place == 0 ? std::optional(clauses.first) : iterate(at(clauses.rest[place].field(Field::kRight)));
    if (!items) return false;
    const std::size_t outer = locals_.size();
    bool known = true;
    for (const Value& item : *items) {
        known = bind(left, as_item(item)) && run_clauses(clauses, place + 1, results);
        locals_.resize(outer);
        if (!known) break;
    }
    return known;
}

bool Evaluator::bind(Node target, const Value& value) {
    const Restore depth(depth_);
    if (++depth_ > kMaxDepth || !spend(1)) return false;
    if (target.is(Kind::kIdentifier)) {
        locals_.emplace_back(target.text(source_), value);
        return true;
    }
    if (!target.is(Kind::kTuplePattern) && !target.is(Kind::kPatternList) && !target.is(Kind::kListPattern))
        return false;
    const auto items = iterate(value);
    std::size_t place = 0;
    bool known = items.has_value();
    for_each_child(target, [&](Node child) {
        known = known && place < items->size() && bind(child, (*items)[place]);
        ++place;
    });
    return known && place == items->size();
}

// --- operators ------------------------------------------------------------------------------------------------------

Value Evaluator::subscript(Node node) {
    const Value of = at(node.field(Field::kValue));
    const Node index_node = node.field(Field::kSubscript);
    if (index_node.is(Kind::kSlice)) return slice(of, index_node);
    const Value index = at(index_node);
    if (of.is(ValueKind::kDict)) {
        const auto wanted = key(index);
        if (!wanted || !spend(of.items().size())) return {};
        for (std::size_t i = 0; i < of.items().size(); i += 2) {
            if (key(of.items()[i]) == wanted) return of.items()[i + 1];
        }
        return {};
    }
    if (!index.is_integer() || of.is(ValueKind::kBytes)) return {};
    const bool is_sequence = of.is(ValueKind::kTuple) || of.is(ValueKind::kList) || of.is(ValueKind::kRange);
    if (!is_sequence && !of.is(ValueKind::kText)) return {};
    const auto size = static_cast<std::int64_t>(is_sequence ? of.items().size() : length(of.text()));
    const std::int64_t place = index.integer() < 0 ? index.integer() + size : index.integer();
    if (place < 0 || place >= size) return {};
    const auto at_place = static_cast<std::size_t>(place);
    return is_sequence ? of.items()[at_place] : Value::text(characters(of.text())[at_place]);
}

Value Evaluator::slice(const Value& of, Node node) {
    std::array<std::optional<std::int64_t>, 3> parts;
    std::size_t place = 0;
    bool known = true;
    Cursor cursor(node);
    if (!cursor.to_first_child()) return {};
    do {
        const Node child = cursor.node();
        if (!child.is_named()) {
            ++place;
        } else if (!child.is(Kind::kComment) && place < parts.size()) {
            const Value value = at(child);
            known = known && (value.is_integer() || value.is(ValueKind::kNone));
            if (known && value.is_integer()) parts[place] = value.integer();
        }
    } while (cursor.to_next_sibling());
    const bool is_sequence = of.is(ValueKind::kTuple) || of.is(ValueKind::kList);
    if (!known || (!is_sequence && !of.is(ValueKind::kText))) return {};
    const std::vector<Text> letters = is_sequence ? std::vector<Text>() : characters(of.text());
    const auto size = static_cast<std::int64_t>(is_sequence ? of.items().size() : letters.size());
    const std::int64_t step = parts[2].value_or(1);
    if (step == 0 || step < -size - 1 || step > size + 1) return {};
    const auto clamped = [&](std::optional<std::int64_t> part, std::int64_t otherwise) {
        if (!part) return otherwise;
        const std::int64_t from_start = *part < 0 ? std::max(*part, -size - 1) + size : std::min(*part, size);
        return std::clamp<std::int64_t>(from_start, step < 0 ? -1 : 0, step < 0 ? size - 1 : size);
    };
    const std::int64_t first = clamped(parts[0], step < 0 ? size - 1 : 0);
    const std::int64_t last = clamped(parts[1], step < 0 ? -1 : size);
    std::vector<Value> items;
    std::string text;
    for (std::int64_t i = first; step < 0 ? i > last : i < last; i += step) {
        const auto from = static_cast<std::size_t>(i);
        if (is_sequence) {
            items.push_back(of.items()[from]);
        } else {
            text += letters[from];
        }
    }
    return is_sequence ? make(of.kind(), items) : make(text);
}

Value Evaluator::unary(Node node) {
    const Value value = at(node.field(Field::kArgument));
    if (node.is(Kind::kNotOperator)) {
        const auto is_true = truth(value);
        return is_true ? Value::boolean(!*is_true) : Value();
    }
    const Text sign = node.field(Field::kOperator).text(source_);
    if (sign == "-" && value.is(ValueKind::kBigInt)) {
        return Value::text(ValueKind::kBigInt,
                           value.text().starts_with('-') ? value.text().substr(1) : arena_.join({"-", value.text()}));
    }
    if (!value.is_number()) return {};
    if (value.is(ValueKind::kFloat) && sign != "~") return Value::real(sign == "-" ? -value.real() : value.real());
    if (sign == "-") return of_integers("-", 0, value.integer());
    if (sign == "+") return Value::integer(value.integer());
    return sign == "~" && value.is(ValueKind::kInt) ? Value::integer(~value.integer()) : Value();
}

Value Evaluator::binary(Node node) {
    const Value left = at(node.field(Field::kLeft));
    const Value right = at(node.field(Field::kRight));
    const Text sign = node.field(Field::kOperator).text(source_);
    if (left.is_number() && right.is_number()) return of_numbers(sign, left, right);
    if (sign == "%" && left.is(ValueKind::kText)) return format_percent(*this, left.text(), right);
    const auto is_sequence = [](const Value& value) {
        return value.is(ValueKind::kTuple) || value.is(ValueKind::kList);
    };
    if (sign == "+" && left.is(ValueKind::kText) && right.is(ValueKind::kText)) {
        return make(std::string(left.text()) + std::string(right.text()));
    }
    if (sign == "+" && is_sequence(left) && left.is(right.kind())) {
        std::vector<Value> items(left.items().begin(), left.items().end());
        items.insert(items.end(), right.items().begin(), right.items().end());
        return make(left.kind(), items);
    }
    if (sign != "*" || left.is_integer() == right.is_integer()) return {};
    const Value& repeated = left.is_integer() ? right : left;
    const auto times = static_cast<std::size_t>(std::clamp<std::int64_t>((left.is_integer() ? left : right).integer(),
                                                                         0, static_cast<std::int64_t>(kMaxSteps)));
    if (repeated.is(ValueKind::kText) || repeated.is(ValueKind::kBytes)) {
        if (repeated.text().size() * times > kMaxText) return {};
        std::string text;
        for (std::size_t i = 0; i < times; ++i) text += repeated.text();
        const Value made = make(text);
        return made.is_unknown() ? made : Value::text(repeated.kind(), made.text());
    }
    if (!is_sequence(repeated) || !spend(repeated.items().size() * times)) return {};
    std::vector<Value> items;
    for (std::size_t i = 0; i < times; ++i) {
        items.insert(items.end(), repeated.items().begin(), repeated.items().end());
    }
    return make(repeated.kind(), items);
}

Value Evaluator::boolean(Node node) {
    const Value left = at(node.field(Field::kLeft));
    const auto is_true = truth(left);
    if (!is_true) return {};
    const bool is_and = node.field(Field::kOperator).text(source_) == "and";
    return *is_true == is_and ? at(node.field(Field::kRight)) : left;
}

Value Evaluator::comparison(Node node) {
    Cursor cursor(node);
    if (!cursor.to_first_child()) return {};
    std::optional<Value> left;
    Text sign;
    do {
        const Node child = cursor.node();
        if (cursor.is_field(Field::kOperators)) {
            sign = child.text(source_);
            continue;
        }
        if (!child.is_named() || child.is(Kind::kComment)) continue;
        const Value right = at(child);
        if (left) {
            const auto holds = compared(*this, *left, sign, right);
            if (!holds) return {};
            if (!*holds) return Value::boolean(false);
        }
        left = right;
    } while (cursor.to_next_sibling());
    return Value::boolean(true);
}

Value Evaluator::conditional(Node node) {
    std::vector<Node> parts;
    for_each_child(node, [&](Node child) { parts.push_back(child); });
    if (parts.size() != 3) return {};
    const auto condition = truth(at(parts[1]));
    if (!condition) return {};
    return at(*condition ? parts[0] : parts[2]);
}

// --- calls ----------------------------------------------------------------------------------------------------------

Value Evaluator::call(Node node) {
    const Node function = node.field(Field::kFunction);
    Arguments arguments{.call = node};
    const Callee name = callee(function);
    if (name.name == "pytest.param" && !name.is_builtin) return call_parameter_set(node);
    const bool known = arguments_of(node, arguments);
    if (!name.name.empty()) {
        if (!known) return {};
        return call_function(*this, name.name, name.is_builtin, arguments).value;
    }
    if (function.is(Kind::kAttribute) && known && !is_imported(function)) {
        const Value object = at(function.field(Field::kObject));
        return object.is_unknown()
                   ? Value()
                   : call_method(*this, object, function.field(Field::kAttribute).text(source_), arguments);
    }
    if (!function.is(Kind::kIdentifier)) return {};
    const Text text = function.text(source_);
    bool in_class = false;
    const BoundName* const found = find(text, in_class);
    return found != nullptr && !in_class ? instance_of(*found, text) : Value();
}

Evaluator::Callee Evaluator::callee(Node function) {
    if (is_imported(function)) return {canonical_(function), false};
    if (!function.is(Kind::kIdentifier)) return {};
    const Text text = function.text(source_);
    bool in_class = false;
    const bool is_local =
        std::any_of(locals_.begin(), locals_.end(), [&](const auto& local) { return local.first == text; });
    if (is_local || find(text, in_class) != nullptr || !is_builtin(text)) return {};
    return {text, true};
}

Text Evaluator::builtin(Node identifier) {
    const Callee name = callee(identifier);
    return name.is_builtin ? name.name : Text();
}

bool Evaluator::arguments_of(Node call, Arguments& arguments) {
    const Node list = call.field(Field::kArguments);
    if (list.is(Kind::kGeneratorExpression)) {
        arguments.positional.push_back(at(list));
        return true;
    }
    bool known = list.is(Kind::kArgumentList);
    for_each_child(list, [&](Node child) { known = known && argument(child, arguments); });
    return known;
}

bool Evaluator::argument(Node node, Arguments& arguments) {
    if (node.is(Kind::kKeywordArgument)) {
        arguments.keywords.emplace_back(node.field(Field::kName).text(source_), at(node.field(Field::kValue)));
        return true;
    }
    if (node.is(Kind::kListSplat)) {
        const auto more = iterate(at(node.named_child(0)));
        if (more) arguments.positional.insert(arguments.positional.end(), more->begin(), more->end());
        return more.has_value();
    }
    if (!node.is(Kind::kDictionarySplat)) {
        arguments.positional.push_back(at(node));
        return true;
    }
    const Value more = at(node.named_child(0));
    if (!more.is(ValueKind::kDict)) return false;
    for (std::size_t i = 0; i < more.items().size(); i += 2) {
        if (!more.items()[i].is(ValueKind::kText)) return false;
        arguments.keywords.emplace_back(more.items()[i].text(), more.items()[i + 1]);
    }
    return true;
}

// pytest.param: its marks are none of this room's values, but usefixtures among them is refused by pytest.
Value Evaluator::call_parameter_set(Node node) {
    Arguments arguments{.call = node};
    if (!arguments_of(node, arguments)) return {};
    std::vector<Value> items{Value::none()};
    for (const auto& [name, value] : arguments.keywords) {
        if (name == "id") {
            items.front() = value;
        } else if (name != "marks") {
            return {};
        }
    }
    if (node.text(source_).find("usefixtures") != Text::npos) return {};
    items.insert(items.end(), arguments.positional.begin(), arguments.positional.end());
    return make(ValueKind::kParameterSet, items);
}

// Of a class that is nothing but its body: no base, no decorator, and none of what could give an object a name.
Value Evaluator::instance_of(const BoundName& name, Text text) {
    if (name.by != BoundName::By::kClass || !name.is_certain || names_.is_wild()) return {};
    if (name.node.begin() < names_.star_import_end() || names_.changes(text).attributes) return {};
    const Node bases = name.node.field(Field::kSuperclasses);
    if (!bases.is_null() && bases.text(source_) != "()" && bases.text(source_) != "(object)") return {};
    static constexpr std::array<Text, 8> kSuspicious{"__name__", "__class__", "__getattr", "__new__",
                                                     "__dict__", "setattr",   "__slots__", "vars("};
    const Text body = name.node.text(source_);
    if (!spend(body.size() / 16)) return {};
    for (const Text word : kSuspicious) {
        if (body.find(word) != Text::npos) return {};
    }
    return Value::instance();
}

Value Evaluator::apply(Node callable, const Value& argument, Node class_definition) {
    const Restore locals(locals_);
    const Restore scope(scope_);
    locals_.clear();
    scope_ = {class_definition, !class_definition.is_null()};
    if (callable.has_error() || !spend(1)) return {};
    if (callable.is(Kind::kLambda)) {
        return apply_definition(callable.field(Field::kParameters), callable.field(Field::kBody), argument);
    }
    const Callee name = callee(callable);
    if (!name.name.empty()) {
        return call_function(*this, name.name, name.is_builtin, {.positional = {argument}}).value;
    }
    if (!callable.is(Kind::kIdentifier)) return {};
    bool in_class = false;
    const BoundName* const found = find(callable.text(source_), in_class);
    if (found == nullptr || in_class || !found->is_certain || names_.is_wild()) return {};
    if (found->node.begin() < names_.star_import_end() || found->node.has_error()) return {};
    if (found->by == BoundName::By::kValue && found->node.is(Kind::kLambda)) {
        return apply_definition(found->node.field(Field::kParameters), found->node.field(Field::kBody), argument);
    }
    if (found->by != BoundName::By::kFunction) return {};
    std::vector<Node> statements;
    for_each_child(found->node.field(Field::kBody), [&](Node child) { statements.push_back(child); });
    const auto is_docstring = [](Node statement) {
        return statement.is(Kind::kExpressionStatement) && statement.named_child(0).is(Kind::kString);
    };
    if (statements.size() == 2 && is_docstring(statements.front())) statements.erase(statements.begin());
    if (statements.size() != 1 || !statements.front().is(Kind::kReturnStatement)) return {};
    const bool is_async = found->node.text(source_).starts_with("async");
    return is_async
               ? Value()
               : apply_definition(found->node.field(Field::kParameters), statements.front().named_child(0), argument);
}

Value Evaluator::apply_definition(Node parameters, Node body, const Value& argument) {
    if (parameters.is_null() || body.is_null()) return {};
    std::vector<Node> names;
    for_each_child(parameters, [&](Node child) { names.push_back(child); });
    if (names.size() != 1) return {};
    Node name = names.front();
    if (name.is(Kind::kTypedParameter)) name = name.named_child(0);
    if (!name.is(Kind::kIdentifier)) return {};
    scope_ = {};
    locals_.emplace_back(name.text(source_), as_item(argument));
    return at(body);
}

}  // namespace tach::analyzer
