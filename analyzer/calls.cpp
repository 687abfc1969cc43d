#include "analyzer/calls.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "analyzer/literals.h"

namespace tach::analyzer {
namespace {

using Arguments = Evaluator::Arguments;
using Items = std::vector<Value>;
using Function = Value (*)(Evaluator&, const Arguments&);
using Method = Value (*)(Evaluator&, const Value&, const Arguments&);

constexpr std::size_t kNumbered = std::string::npos;    // for str.format: no field is counted
constexpr Text kSpace = " \t\n\v\f\r\x1c\x1d\x1e\x1f";  // str.isspace, of ASCII

bool takes(const Arguments& arguments, std::size_t least, std::size_t most) {
    return arguments.keywords.empty() && arguments.positional.size() >= least && arguments.positional.size() <= most;
}

std::optional<std::vector<Items>> iterate_all(Evaluator& evaluator, const Items& values) {
    std::vector<Items> all;
    for (const Value& value : values) {
        auto items = evaluator.iterate(value);
        if (!items) return std::nullopt;
        all.push_back(std::move(*items));
    }
    return all;
}

// list(), tuple() and their like.
Value collected(Evaluator& evaluator, const Arguments& arguments, ValueKind kind) {
    if (!takes(arguments, 0, 1)) return {};
    if (arguments.positional.empty()) return evaluator.make(kind, {});
    const auto items = evaluator.iterate(arguments.positional[0]);
    return items ? evaluator.make(kind, *items) : Value();
}

// --- builtins -------------------------------------------------------------------------------------------------------

Value call_len(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const Value& value = arguments.positional[0];
    std::size_t size = value.has_items() ? value.items().size() : value.text().size();
    switch (value.kind()) {
        case ValueKind::kText:
            size = length(value.text());
            break;
        case ValueKind::kDict:
            size /= 2;
            break;
        case ValueKind::kBytes:
        case ValueKind::kTuple:
        case ValueKind::kList:
        case ValueKind::kRange:
        case ValueKind::kView:
        case ValueKind::kSet:
            break;
        default:
            return {};
    }
    return Value::integer(static_cast<std::int64_t>(size));
}

Value call_range(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 1, 3)) return {};
    for (const Value& value : arguments.positional) {
        if (!value.is_integer()) return {};
    }
    const auto part = [&](std::size_t i) { return arguments.positional[i].integer(); };
    const std::int64_t first = arguments.positional.size() > 1 ? part(0) : 0;
    const std::int64_t last = arguments.positional.size() > 1 ? part(1) : part(0);
    const std::int64_t step = arguments.positional.size() > 2 ? part(2) : 1;
    if (step == 0) return {};
    Items items;
    for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
        if (!evaluator.spend(1)) return {};
        items.push_back(Value::integer(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return evaluator.make(ValueKind::kRange, items);
}

Value call_list(Evaluator& evaluator, const Arguments& arguments) {
    return collected(evaluator, arguments, ValueKind::kList);
}

Value call_tuple(Evaluator& evaluator, const Arguments& arguments) {
    return collected(evaluator, arguments, ValueKind::kTuple);
}

Value call_iter(Evaluator& evaluator, const Arguments& arguments) {
    return arguments.positional.size() == 1 ? collected(evaluator, arguments, ValueKind::kIterator) : Value();
}

Value call_set(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    if (arguments.positional.empty()) return evaluator.make(ValueKind::kSet, {});
    const auto items = evaluator.iterate(arguments.positional[0]);
    if (!items) return Value::instance();
    Items unique;
    std::unordered_set<std::string> keys;
    for (const Value& item : *items) {
        const auto key = evaluator.key(item);
        if (!key) return Value::instance();
        if (keys.insert(*key).second) unique.push_back(item);
    }
    return evaluator.make(ValueKind::kSet, unique);
}

Value call_dict(Evaluator& evaluator, const Arguments& arguments) {
    if (arguments.positional.size() > 1) return {};
    Items items;
    if (!arguments.positional.empty()) {
        const Value& from = arguments.positional[0];
        if (from.is(ValueKind::kDict)) {
            items.assign(from.items().begin(), from.items().end());
        } else if (const auto pairs = evaluator.iterate(from)) {
            for (const Value& pair : *pairs) {
                const auto both = evaluator.iterate(pair);
                if (!both || both->size() != 2) return Value::instance();
                items.insert(items.end(), both->begin(), both->end());
            }
        } else {
            return Value::instance();
        }
    }
    for (const auto& [name, value] : arguments.keywords) items.insert(items.end(), {Value::text(name), value});
    Items unique;
    std::unordered_map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < items.size(); i += 2) {
        const auto key = evaluator.key(items[i]);
        if (!key) return Value::instance();
        const auto [place, is_new] = places.try_emplace(*key, unique.size());
        if (is_new) unique.insert(unique.end(), {items[i], items[i + 1]});
        unique[place->second + 1] = items[i + 1];
    }
    return evaluator.make(ValueKind::kDict, unique);
}

Value call_enumerate(Evaluator& evaluator, const Arguments& arguments) {
    std::int64_t number = 0;
    if (arguments.positional.empty() || arguments.positional.size() + arguments.keywords.size() > 2) return {};
    if (!arguments.keywords.empty() && arguments.keywords[0].first != "start") return {};
    if (arguments.positional.size() + arguments.keywords.size() == 2) {
        const Value& start = arguments.keywords.empty() ? arguments.positional[1] : arguments.keywords[0].second;
        if (!start.is(ValueKind::kInt)) return {};
        number = start.integer();
    }
    const auto items = evaluator.iterate(arguments.positional[0]);
    if (!items) return {};
    Items pairs;
    for (const Value& item : *items) {
        pairs.push_back(evaluator.make(ValueKind::kTuple, {Value::integer(number++), item}));
    }
    return evaluator.make(ValueKind::kIterator, pairs);
}

Value call_zip(Evaluator& evaluator, const Arguments& arguments) {
    if (!arguments.keywords.empty()) return {};
    const auto all = iterate_all(evaluator, arguments.positional);
    if (!all) return {};
    std::size_t size = all->empty() ? 0 : all->front().size();
    for (const Items& items : *all) size = std::min(size, items.size());
    Items tuples;
    for (std::size_t i = 0; i < size; ++i) {
        Items tuple;
        for (const Items& items : *all) tuple.push_back(items[i]);
        tuples.push_back(evaluator.make(ValueKind::kTuple, tuple));
    }
    return evaluator.make(ValueKind::kIterator, tuples);
}

// Sorting and the extremes go through the same comparison; one that cannot be told spoils the whole.
class Order {
  public:
    bool operator()(const Value& left, const Value& right) {
        const auto is_less = less(left, right);
        is_known_ = is_known_ && is_less.has_value();
        return is_known_ && *is_less;
    }
    [[nodiscard]] bool is_known() const { return is_known_; }

  private:
    bool is_known_ = true;
};

Value call_sorted(Evaluator& evaluator, const Arguments& arguments) {
    if (arguments.positional.size() != 1 || arguments.keywords.size() > 1) return {};
    bool is_reversed = false;
    if (!arguments.keywords.empty()) {
        if (arguments.keywords[0].first != "reverse" || !arguments.keywords[0].second.is(ValueKind::kBool)) return {};
        is_reversed = arguments.keywords[0].second.integer() != 0;
    }
    const Value& from = arguments.positional[0];
    // The order of a set does not matter: its items are all different.
    auto items = from.is(ValueKind::kSet) ? std::optional(Items(from.items().begin(), from.items().end()))
                                          : evaluator.iterate(from);
    if (!items || !evaluator.spend(from.weight() * 8)) return {};
    Order order;
    if (is_reversed) {
        std::stable_sort(items->begin(), items->end(), [&](const Value& a, const Value& b) { return order(b, a); });
    } else {
        std::stable_sort(items->begin(), items->end(), std::ref(order));
    }
    return order.is_known() ? evaluator.make(ValueKind::kList, *items) : Value();
}

Value call_reversed(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const Value& value = arguments.positional[0];
    if (value.is(ValueKind::kIterator) || value.is(ValueKind::kGenerator) || value.is(ValueKind::kSet)) return {};
    auto items = evaluator.iterate(value);
    if (!items) return {};
    std::reverse(items->begin(), items->end());
    return evaluator.make(ValueKind::kIterator, *items);
}

Value extreme(Evaluator& evaluator, const Arguments& arguments, bool is_max) {
    if (!arguments.keywords.empty() || arguments.positional.empty()) return {};
    auto items = arguments.positional.size() > 1 ? std::optional(arguments.positional)
                                                 : evaluator.iterate(arguments.positional[0]);
    if (!items || items->empty() || !evaluator.spend(arguments.positional[0].weight())) return {};
    Order order;
    Value best = items->front();
    for (const Value& item : *items) {
        if (is_max ? order(best, item) : order(item, best)) best = item;
    }
    return order.is_known() ? best : Value();
}

Value call_min(Evaluator& evaluator, const Arguments& arguments) {
    return extreme(evaluator, arguments, false);
}
Value call_max(Evaluator& evaluator, const Arguments& arguments) {
    return extreme(evaluator, arguments, true);
}

Value call_sum(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const auto items = evaluator.iterate(arguments.positional[0]);
    if (!items) return {};
    std::int64_t sum = 0;
    for (const Value& item : *items) {
        // Floats: Python 3.12 adds them up more precisely than those before.
        if (!item.is_integer() || __builtin_add_overflow(sum, item.integer(), &sum)) return {};
    }
    return Value::integer(sum);
}

Value call_str(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    return arguments.positional.empty() ? Value::text("") : evaluator.make(evaluator.str(arguments.positional[0]));
}

Value call_repr(Evaluator& evaluator, const Arguments& arguments) {
    return takes(arguments, 1, 1) ? evaluator.make(evaluator.repr(arguments.positional[0])) : Value();
}

Value call_bool(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    const auto is_true = arguments.positional.empty() ? std::optional(false) : truth(arguments.positional[0]);
    return is_true ? Value::boolean(*is_true) : Value();
}

Value call_int(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    if (arguments.positional.empty()) return Value::integer(0);
    const Value& value = arguments.positional[0];
    if (value.is_integer()) return Value::integer(value.integer());
    if (value.is(ValueKind::kFloat) && std::abs(value.real()) < 1e15) {
        return Value::integer(static_cast<std::int64_t>(value.real()));
    }
    if (!value.is(ValueKind::kText) || value.text().empty()) return {};
    const bool is_decimal = value.text().find_first_not_of("0123456789") == Text::npos;
    return is_decimal ? integer_value(value.text(), evaluator.arena()) : Value();
}

Value call_float(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    if (arguments.positional.empty()) return Value::real(0.0);
    const Value& value = arguments.positional[0];
    if (value.is(ValueKind::kFloat)) return value;
    if (value.is_integer() && std::abs(value.real()) < 1e15) return Value::real(value.real());
    if (!value.is(ValueKind::kText)) return {};
    Text text = value.text();
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.find_first_not_of("0123456789.eE-+infINFaA") != Text::npos) return {};
    const auto number = decimal(text);
    return number ? Value::real(*number) : Value();
}

Value call_abs(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const Value& value = arguments.positional[0];
    if (value.is(ValueKind::kFloat)) return Value::real(std::abs(value.real()));
    if (!value.is_integer() || value.integer() < -(std::int64_t{1} << 62)) return {};
    return Value::integer(std::abs(value.integer()));
}

Value call_chr(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 1, 1) || !arguments.positional[0].is_integer()) return {};
    const std::int64_t code = arguments.positional[0].integer();
    if (code < 0 || code > 0x10ffff) return {};
    std::string text;
    append_utf8(text, static_cast<std::uint32_t>(code));
    return evaluator.make(text);
}

Value call_ord(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 1, 1) || !arguments.positional[0].is(ValueKind::kText)) return {};
    const Text text = arguments.positional[0].text();
    return length(text) == 1 ? Value::integer(code_point(text)) : Value();
}

// A function or class that is passed: its value is only what it is called, its node tells whether it is a builtin.
Text builtin_argument(Evaluator& evaluator, const Arguments& arguments, std::uint32_t place) {
    if (arguments.call.is_null()) return {};
    const Node list = arguments.call.field(Field::kArguments);
    if (!list.is(Kind::kArgumentList) || list.named_child_count() != arguments.positional.size()) return {};
    return evaluator.builtin(list.named_child(place));
}

Value call_isinstance(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 2, 2)) return {};
    const Value& value = arguments.positional[0];
    const Text type = builtin_argument(evaluator, arguments, 1);
    const bool is_text = value.is(ValueKind::kText);
    const bool is_scalar = is_text || value.is_number() || value.is(ValueKind::kNone) || value.is(ValueKind::kBytes);
    const bool is_container = value.is(ValueKind::kTuple) || value.is(ValueKind::kList) || value.is(ValueKind::kDict);
    if (!is_scalar && !is_container) return {};
    if (type == "str") return Value::boolean(is_text);
    if (type == "int") return Value::boolean(value.is_integer());
    if (type == "bool") return Value::boolean(value.is(ValueKind::kBool));
    if (type == "float") return Value::boolean(value.is(ValueKind::kFloat));
    if (type == "bytes") return Value::boolean(value.is(ValueKind::kBytes));
    if (type == "tuple") return Value::boolean(value.is(ValueKind::kTuple));
    if (type == "list") return Value::boolean(value.is(ValueKind::kList));
    return type == "dict" ? Value::boolean(value.is(ValueKind::kDict)) : Value();
}

Value call_map(Evaluator& evaluator, const Arguments& arguments) {
    static const std::unordered_map<Text, Function> kFunctions{
        {"str", call_str}, {"repr", call_repr}, {"int", call_int}, {"float", call_float}, {"len", call_len}};
    const auto function = kFunctions.find(builtin_argument(evaluator, arguments, 0));
    if (!takes(arguments, 2, 2) || function == kFunctions.end()) return {};
    const auto items = evaluator.iterate(arguments.positional[1]);
    if (!items) return {};
    Items results;
    for (const Value& item : *items) results.push_back(function->second(evaluator, {{}, {item}, {}}));
    return evaluator.make(ValueKind::kIterator, results);
}

Value call_type(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    switch (arguments.positional[0].kind()) {
        case ValueKind::kNone:
            return Value::text(ValueKind::kNamed, "NoneType");
        case ValueKind::kBool:
            return Value::text(ValueKind::kNamed, "bool");
        case ValueKind::kInt:
        case ValueKind::kBigInt:
            return Value::text(ValueKind::kNamed, "int");
        case ValueKind::kFloat:
            return Value::text(ValueKind::kNamed, "float");
        case ValueKind::kText:
            return Value::text(ValueKind::kNamed, "str");
        case ValueKind::kBytes:
            return Value::text(ValueKind::kNamed, "bytes");
        default:
            return {};
    }
}

Value make_instance(Evaluator& /*evaluator*/, const Arguments& /*arguments*/) {
    return Value::instance();
}

// --- itertools, re --------------------------------------------------------------------------------------------------

Value chained(Evaluator& evaluator, const Items& iterables) {
    const auto all = iterate_all(evaluator, iterables);
    if (!all) return {};
    Items whole;
    for (const Items& items : *all) whole.insert(whole.end(), items.begin(), items.end());
    return evaluator.make(ValueKind::kIterator, whole);
}

Value call_chain(Evaluator& evaluator, const Arguments& arguments) {
    return arguments.keywords.empty() ? chained(evaluator, arguments.positional) : Value();
}

Value call_chain_from_iterable(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const auto iterables = evaluator.iterate(arguments.positional[0]);
    return iterables ? chained(evaluator, *iterables) : Value();
}

// Tuples of items by their places, each made from the one before at some cost; for product, combinations, permutations.
template <class Next>
Value selections(Evaluator& evaluator, const Items& items, std::vector<std::size_t> places, std::size_t cost,
                 const Next& next) {
    Items tuples;
    do {
        Items tuple;
        for (const std::size_t place : places) tuple.push_back(items[place]);
        if (!evaluator.spend(places.size() + cost)) return {};
        tuples.push_back(evaluator.make(ValueKind::kTuple, tuple));
    } while (next(places));
    return evaluator.make(ValueKind::kIterator, tuples);
}

Value call_product(Evaluator& evaluator, const Arguments& arguments) {
    std::size_t repeat = 1;
    if (arguments.keywords.size() > 1) return {};
    if (!arguments.keywords.empty()) {
        const auto& [name, value] = arguments.keywords[0];
        if (name != "repeat" || !value.is(ValueKind::kInt) || value.integer() < 0 || value.integer() > 16) return {};
        repeat = static_cast<std::size_t>(value.integer());
    }
    const auto all = iterate_all(evaluator, arguments.positional);
    if (!all || all->size() * repeat > 64) return {};
    // All items in a row; a place belongs to the pool that it begins in.
    Items row;
    std::vector<std::size_t> begins;
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < repeat; ++i) {
        for (const Items& items : *all) {
            if (items.empty()) return evaluator.make(ValueKind::kIterator, {});
            begins.push_back(row.size());
            row.insert(row.end(), items.begin(), items.end());
            ends.push_back(row.size());
        }
    }
    return selections(evaluator, row, begins, 1, [&](std::vector<std::size_t>& places) {
        for (std::size_t i = places.size(); i-- > 0;) {
            if (++places[i] < ends[i]) return true;
            places[i] = begins[i];
        }
        return false;
    });
}

// The items and the number to take of them; nothing: not to be told, or more than there are.
std::optional<Items> pool_of(Evaluator& evaluator, const Arguments& arguments, std::size_t& count) {
    if (!takes(arguments, 1, 2)) return std::nullopt;
    auto items = evaluator.iterate(arguments.positional[0]);
    if (!items) return std::nullopt;
    count = items->size();
    if (arguments.positional.size() < 2 || arguments.positional[1].is(ValueKind::kNone)) return items;
    const Value& wanted = arguments.positional[1];
    if (!wanted.is(ValueKind::kInt) || wanted.integer() < 0) return std::nullopt;
    count = static_cast<std::size_t>(wanted.integer());
    return items;
}

std::vector<std::size_t> first_places(std::size_t count) {
    std::vector<std::size_t> places(count);
    for (std::size_t i = 0; i < count; ++i) places[i] = i;
    return places;
}

Value call_combinations(Evaluator& evaluator, const Arguments& arguments) {
    std::size_t count = 0;
    if (arguments.positional.size() != 2) return {};
    const auto items = pool_of(evaluator, arguments, count);
    if (!items) return {};
    const std::size_t size = items->size();
    if (count > size) return evaluator.make(ValueKind::kIterator, {});
    return selections(evaluator, *items, first_places(count), 1, [&](std::vector<std::size_t>& places) {
        for (std::size_t i = count; i-- > 0;) {
            if (places[i] == i + size - count) continue;
            ++places[i];
            for (std::size_t j = i + 1; j < count; ++j) places[j] = places[j - 1] + 1;
            return true;
        }
        return false;
    });
}

Value call_permutations(Evaluator& evaluator, const Arguments& arguments) {
    std::size_t count = 0;
    const auto items = pool_of(evaluator, arguments, count);
    if (!items) return {};
    const std::size_t size = items->size();
    if (count > size) return evaluator.make(ValueKind::kIterator, {});
    // In the order of their places: the next one raises the last place that a free one is above.
    return selections(evaluator, *items, first_places(count), size, [&](std::vector<std::size_t>& places) {
        std::vector<bool> used(size);
        for (const std::size_t place : places) used[place] = true;
        for (std::size_t i = count; i-- > 0;) {
            used[places[i]] = false;
            std::size_t next = places[i] + 1;
            while (next < size && used[next]) ++next;
            if (next == size) continue;
            places[i] = next;
            used[next] = true;
            for (std::size_t j = i + 1, free = 0; j < count; ++j) {
                while (used[free]) ++free;
                places[j] = free;
                used[free] = true;
            }
            return true;
        }
        return false;
    });
}

Value call_repeat(Evaluator& evaluator, const Arguments& arguments) {
    if (!takes(arguments, 2, 2) || !arguments.positional[1].is(ValueKind::kInt)) return {};
    const std::int64_t times = std::max<std::int64_t>(arguments.positional[1].integer(), 0);
    if (!evaluator.spend(static_cast<std::size_t>(times))) return {};
    return evaluator.make(ValueKind::kIterator, Items(static_cast<std::size_t>(times), arguments.positional[0]));
}

Value call_compile(Evaluator& /*evaluator*/, const Arguments& arguments) {
    if (arguments.positional.empty() || !arguments.positional[0].is(ValueKind::kText)) return {};
    return Value::text(ValueKind::kPattern, arguments.positional[0].text());
}

// --- methods of str -------------------------------------------------------------------------------------------------

Value joined(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 1, 1)) return {};
    const auto parts = evaluator.iterate(arguments.positional[0]);
    if (!parts) return {};
    std::string whole;
    for (std::size_t i = 0; i < parts->size(); ++i) {
        if (!(*parts)[i].is(ValueKind::kText) || !evaluator.spend((*parts)[i].text().size() / 16 + 1)) return {};
        if (i > 0) whole += object.text();
        whole += (*parts)[i].text();
    }
    return evaluator.make(whole);
}

// Letters beyond ASCII need tables, and change with the version of Unicode.
Value in_case(Evaluator& evaluator, const Value& object, const Arguments& arguments, char first, char last) {
    if (!takes(arguments, 0, 0) || !is_ascii(object.text())) return {};
    std::string text(object.text());
    for (char& c : text) {
        if (c >= first && c <= last) c = static_cast<char>(static_cast<unsigned char>(c) ^ 0x20U);
    }
    return evaluator.make(text);
}

Value upper(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    return in_case(evaluator, object, arguments, 'a', 'z');
}

Value lower(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    return in_case(evaluator, object, arguments, 'A', 'Z');
}

Value split(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    Items parts;
    Text rest = object.text();
    if (arguments.positional.empty() || arguments.positional[0].is(ValueKind::kNone)) {
        if (!is_ascii(rest)) return {};
        while (!rest.empty()) {
            rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size()));
            const Text word = rest.substr(0, rest.find_first_of(kSpace));
            if (!word.empty()) parts.push_back(Value::text(word));
            rest.remove_prefix(word.size());
        }
        return evaluator.make(ValueKind::kList, parts);
    }
    const Value& separator = arguments.positional[0];
    if (!separator.is(ValueKind::kText) || separator.text().empty()) return {};
    for (;;) {
        const std::size_t end = rest.find(separator.text());
        parts.push_back(Value::text(rest.substr(0, end)));
        if (end == Text::npos) return evaluator.make(ValueKind::kList, parts);
        rest.remove_prefix(end + separator.text().size());
    }
}

Value splitlines(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 0, 0) || !is_ascii(object.text())) return {};
    Items lines;
    Text rest = object.text();
    if (rest.find_first_of("\r\v\f\x1c\x1d\x1e") != Text::npos) return {};
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        lines.push_back(Value::text(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return evaluator.make(ValueKind::kList, lines);
}

Value replace(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 2, 2)) return {};
    const Value& from = arguments.positional[0];
    const Value& to = arguments.positional[1];
    if (!from.is(ValueKind::kText) || !to.is(ValueKind::kText) || from.text().empty()) return {};
    std::string result;
    Text rest = object.text();
    for (;;) {
        const std::size_t end = rest.find(from.text());
        result += rest.substr(0, end);
        if (end == Text::npos) return evaluator.make(result);
        result += to.text();
        if (!evaluator.spend(to.text().size() / 16 + 1)) return {};
        rest.remove_prefix(end + from.text().size());
    }
}

Value stripped(const Value& object, const Arguments& arguments, bool left, bool right) {
    if (!takes(arguments, 0, 1) || !is_ascii(object.text())) return {};
    Text of = kSpace;
    if (!arguments.positional.empty()) {
        if (!arguments.positional[0].is(ValueKind::kText) || !is_ascii(arguments.positional[0].text())) return {};
        of = arguments.positional[0].text();
    }
    Text text = object.text();
    if (left) text.remove_prefix(std::min(text.find_first_not_of(of), text.size()));
    if (right) text = text.substr(0, text.find_last_not_of(of) + 1);
    return Value::text(text);
}

Value strip(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    return stripped(object, arguments, true, true);
}

Value lstrip(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    return stripped(object, arguments, true, false);
}

Value rstrip(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    return stripped(object, arguments, false, true);
}

Value startswith(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 1, 1) || !arguments.positional[0].is(ValueKind::kText)) return {};
    return Value::boolean(object.text().starts_with(arguments.positional[0].text()));
}

Value endswith(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 1, 1) || !arguments.positional[0].is(ValueKind::kText)) return {};
    return Value::boolean(object.text().ends_with(arguments.positional[0].text()));
}

Value encode(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 0, 1)) return {};
    if (!arguments.positional.empty()) {
        const Value& encoding = arguments.positional[0];
        if (!encoding.is(ValueKind::kText)) return {};
        const bool is_utf8 = encoding.text() == "utf-8" || encoding.text() == "utf8";
        if (!is_utf8 && !(encoding.text() == "ascii" && is_ascii(object.text()))) return {};
    }
    for (const Text character : characters(object.text())) {
        if (character.size() == 3 && (code_point(character) & 0xf800U) == 0xd800) return {};  // a lone surrogate
    }
    return Value::text(ValueKind::kBytes, object.text());
}

// One replacement field, "{...}" without the braces. Nothing: a format specification, an attribute, an index.
std::optional<std::string> replaced(Evaluator& evaluator, Text field, std::size_t& next, const Arguments& arguments) {
    const std::size_t mark = field.find('!');
    const Text conversion = mark == Text::npos ? Text() : field.substr(mark);
    const Text name = field.substr(0, mark);
    if (!conversion.empty() && conversion != "!r" && conversion != "!s") return std::nullopt;
    const Value* value = nullptr;
    if (name.find_first_not_of("0123456789") == Text::npos) {
        // Either all fields have a number or none has.
        if (name.size() > 4 || (name.empty() ? next == kNumbered : next != 0 && next != kNumbered)) return std::nullopt;
        const std::size_t place = name.empty() ? next++ : static_cast<std::size_t>(std::stoi(std::string(name)));
        if (!name.empty()) next = kNumbered;
        if (place < arguments.positional.size()) value = &arguments.positional[place];
    }
    for (const auto& [keyword, given] : arguments.keywords) {
        if (keyword == name) value = &given;
    }
    if (value == nullptr) return std::nullopt;
    return conversion == "!r" ? evaluator.repr(*value) : evaluator.str(*value);
}

Value format(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    std::string result;
    std::size_t next = 0;
    Text rest = object.text();
    while (!rest.empty()) {
        const std::size_t brace = rest.find_first_of("{}");
        result += rest.substr(0, brace);
        if (brace == Text::npos) break;
        const char c = rest[brace];
        rest.remove_prefix(brace + 1);
        if (rest.starts_with(c)) {
            result.push_back(c);
            rest.remove_prefix(1);
            continue;
        }
        const std::size_t end = rest.find('}');
        if (c == '}' || end == Text::npos) return {};
        const Text field = rest.substr(0, end);
        if (field.find_first_of("{:.[") != Text::npos) return {};
        const auto text = replaced(evaluator, field, next, arguments);
        if (!text || !evaluator.spend(text->size() / 16 + 1)) return {};
        result += *text;
        rest.remove_prefix(end + 1);
    }
    return evaluator.make(result);
}

// --- methods of containers ------------------------------------------------------------------------------------------

Value dict_view(Evaluator& evaluator, const Value& object, const Arguments& arguments, bool keys, bool values) {
    if (!takes(arguments, 0, 0)) return {};
    Items items;
    for (std::size_t i = 0; i < object.items().size(); i += 2) {
        const Value& key = object.items()[i];
        const Value& value = object.items()[i + 1];
        items.push_back(keys && values ? evaluator.make(ValueKind::kTuple, {key, value}) : keys ? key : value);
    }
    return evaluator.make(ValueKind::kView, items);
}

Value dict_items(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    return dict_view(evaluator, object, arguments, true, true);
}

Value dict_keys(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    return dict_view(evaluator, object, arguments, true, false);
}

Value dict_values(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    return dict_view(evaluator, object, arguments, false, true);
}

Value dict_get(Evaluator& evaluator, const Value& object, const Arguments& arguments) {
    if (!takes(arguments, 1, 2)) return {};
    const auto wanted = evaluator.key(arguments.positional[0]);
    if (!wanted || !evaluator.spend(object.items().size())) return {};
    for (std::size_t i = 0; i < object.items().size(); i += 2) {
        if (evaluator.key(object.items()[i]) == wanted) return object.items()[i + 1];
    }
    return arguments.positional.size() > 1 ? arguments.positional[1] : Value::none();
}

Value copied(Evaluator& /*evaluator*/, const Value& object, const Arguments& arguments) {
    return takes(arguments, 0, 0) ? object : Value();
}

using Functions = std::unordered_map<Text, Function>;

const Functions& builtin_functions() {
    static const Functions kFunctions{{"len", call_len},           {"range", call_range},
                                      {"list", call_list},         {"tuple", call_tuple},
                                      {"set", call_set},           {"frozenset", call_set},
                                      {"dict", call_dict},         {"enumerate", call_enumerate},
                                      {"zip", call_zip},           {"sorted", call_sorted},
                                      {"reversed", call_reversed}, {"min", call_min},
                                      {"max", call_max},           {"sum", call_sum},
                                      {"str", call_str},           {"repr", call_repr},
                                      {"bool", call_bool},         {"int", call_int},
                                      {"float", call_float},       {"abs", call_abs},
                                      {"chr", call_chr},           {"ord", call_ord},
                                      {"map", call_map},           {"type", call_type},
                                      {"iter", call_iter},         {"isinstance", call_isinstance},
                                      {"object", make_instance},   {"bytearray", make_instance},
                                      {"slice", make_instance}};
    return kFunctions;
}

const Functions& library_functions() {
    static const Functions kFunctions{{"itertools.chain", call_chain},
                                      {"itertools.chain.from_iterable", call_chain_from_iterable},
                                      {"itertools.product", call_product},
                                      {"itertools.combinations", call_combinations},
                                      {"itertools.permutations", call_permutations},
                                      {"itertools.repeat", call_repeat},
                                      {"re.compile", call_compile},
                                      {"decimal.Decimal", make_instance},
                                      {"fractions.Fraction", make_instance},
                                      {"datetime.date", make_instance},
                                      {"datetime.datetime", make_instance},
                                      {"datetime.time", make_instance},
                                      {"datetime.timedelta", make_instance},
                                      {"datetime.timezone", make_instance},
                                      {"pathlib.Path", make_instance},
                                      {"pathlib.PurePath", make_instance},
                                      {"pathlib.PurePosixPath", make_instance},
                                      {"pathlib.PureWindowsPath", make_instance},
                                      {"uuid.UUID", make_instance},
                                      {"collections.OrderedDict", make_instance},
                                      {"collections.defaultdict", make_instance},
                                      {"collections.deque", make_instance},
                                      {"collections.Counter", make_instance},
                                      {"functools.partial", make_instance},
                                      {"io.StringIO", make_instance},
                                      {"io.BytesIO", make_instance}};
    return kFunctions;
}

bool is_exception(Text builtin) {
    return is_builtin_with_name(builtin) &&
           (builtin.ends_with("Error") || builtin.ends_with("Exception") || builtin.ends_with("Warning") ||
            builtin.ends_with("Interrupt") || builtin.ends_with("Exit") || builtin.ends_with("Iteration"));
}

}  // namespace

Called call_function(Evaluator& evaluator, Text name, bool is_builtin, const Arguments& arguments) {
    const Functions& functions = is_builtin ? builtin_functions() : library_functions();
    const auto found = functions.find(name);
    if (found != functions.end()) return {found->second(evaluator, arguments), true};
    if (is_builtin && is_exception(name)) return {Value::instance(), true};
    return {};
}

Value call_method(Evaluator& evaluator, const Value& object, Text method, const Arguments& arguments) {
    using Methods = std::unordered_map<Text, Method>;
    static const Methods kOfText{{"join", joined},           {"upper", upper},       {"lower", lower},
                                 {"split", split},           {"replace", replace},   {"strip", strip},
                                 {"lstrip", lstrip},         {"rstrip", rstrip},     {"format", format},
                                 {"startswith", startswith}, {"endswith", endswith}, {"encode", encode},
                                 {"splitlines", splitlines}};
    static const Methods kOfDict{
        {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"get", dict_get}, {"copy", copied}};
    static const Methods kOfList{{"copy", copied}};
    static const Methods kOfNothing;
    const Methods& methods = object.is(ValueKind::kText)   ? kOfText
                             : object.is(ValueKind::kDict) ? kOfDict
                             : object.is(ValueKind::kList) ? kOfList
                                                           : kOfNothing;
    const auto found = methods.find(method);
    return found == methods.end() ? Value() : found->second(evaluator, object, arguments);
}

Value format_percent(Evaluator& evaluator, Text format, const Value& argument) {
    const Items arguments =
        argument.is(ValueKind::kTuple) ? Items(argument.items().begin(), argument.items().end()) : Items{argument};
    if (argument.is(ValueKind::kDict) || argument.is_unknown()) return {};
    std::string result;
    std::size_t next = 0;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            result.push_back(format[i]);
            continue;
        }
        if (++i == format.size()) return {};
        const char directive = format[i];
        if (directive == '%') {
            result.push_back('%');
            continue;
        }
        if (next == arguments.size()) return {};
        const Value& value = arguments[next++];
        const bool is_number = directive == 'd' || directive == 'i';
        if (is_number ? !value.is_integer() : directive != 's' && directive != 'r') return {};
        const auto text = is_number          ? std::optional(std::to_string(value.integer()))
                          : directive == 'r' ? evaluator.repr(value)
                                             : evaluator.str(value);
        if (!text || !evaluator.spend(text->size() / 16 + 1)) return {};
        result += *text;
    }
    return next == arguments.size() ? evaluator.make(result) : Value();
}

}  // namespace tach::analyzer
