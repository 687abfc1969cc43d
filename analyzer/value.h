#pragma once

// What an expression of Python comes to, as far as that can be told without running anything. Made by evaluate.h.
//
// Values are small, copied freely, and never change; the texts and items that they point to live as long as the
// Evaluator that made them and its Arena. A container may have unknown items; it is still a container. What Python
// would refuse (1 + "a", [][0]) is unknown.
//
// Texts are UTF-8, in which a lone surrogate is written like any other character.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analyzer/facts.h"

namespace tach::analyzer {

enum class ValueKind : std::uint8_t {
    kUnknown,
    kNone,
    kBool,
    kInt,
    kBigInt,  // beyond 64 bits: its decimal digits, nothing is computed with it
    kFloat,
    kText,
    kBytes,
    kPattern,       // re.compile of text; the bytes of one of bytes are unknown
    kTuple,         //
    kList,          //
    kRange,         //
    kView,          // of a dict; may be gone through many times, as may all above
    kIterator,      // may be gone through once
    kGenerator,     // likewise; has a __name__
    kSet,           // its order is not known
    kDict,          // items: key, value, key, value
    kParameterSet,  // pytest.param; items: the id, then the values
    kNamed,         // has this __name__
    kReference,     // what an import binds: this canonical name
    kInstance,      // has no __name__, and is nothing that pytest makes an id of
};

class Value {
  public:
    Value() = default;
    static Value none() { return Value(ValueKind::kNone); }
    static Value instance() { return Value(ValueKind::kInstance); }
    static Value boolean(bool value);
    static Value integer(std::int64_t value);
    static Value real(double value);
    static Value text(Text value) { return text(ValueKind::kText, value); }
    static Value text(ValueKind kind, Text value);
    static Value items(ValueKind kind, std::span<const Value> items);

    [[nodiscard]] ValueKind kind() const { return kind_; }
    [[nodiscard]] bool is(ValueKind kind) const { return kind_ == kind; }
    [[nodiscard]] bool is_unknown() const { return kind_ == ValueKind::kUnknown; }
    [[nodiscard]] bool is_integer() const { return kind_ == ValueKind::kInt || kind_ == ValueKind::kBool; }
    [[nodiscard]] bool is_number() const { return is_integer() || kind_ == ValueKind::kFloat; }
    [[nodiscard]] bool has_items() const;  // a container or an iterator, of whatever kind
    [[nodiscard]] bool has_order() const;  // going through it gives `items`; texts, bytes and dicts aside

    [[nodiscard]] std::int64_t integer() const { return payload_.integer; }  // of an is_integer
    [[nodiscard]] double real() const;                                       // of an is_number
    [[nodiscard]] Text text() const { return {payload_.text, size_}; }
    [[nodiscard]] std::span<const Value> items() const { return {payload_.items, size_}; }
    // How many values a walk through it meets: items may be shared, and the same list in a list in a list is met often.
    [[nodiscard]] std::uint64_t weight() const { return weight_; }

  private:
    explicit Value(ValueKind kind) : kind_(kind) {}

    union Payload {
        std::int64_t integer = 0;
        double real;
        const char* text;
        const Value* items;
    };
    Payload payload_;
    std::uint64_t weight_ = 1;
    std::uint32_t size_ = 0;
    ValueKind kind_ = ValueKind::kUnknown;
};

// As Python's own; nothing: cannot be told. Those that go into containers take as long as weight() says.
[[nodiscard]] std::optional<bool> truth(const Value& value);
[[nodiscard]] std::optional<bool> equal(const Value& left, const Value& right);
[[nodiscard]] std::optional<bool> less(const Value& left, const Value& right);
[[nodiscard]] std::optional<std::string> repr(const Value& value);
[[nodiscard]] std::optional<std::string> str(const Value& value);
// The same text for what Python takes for the same key of a dict.
[[nodiscard]] std::optional<std::string> key_of(const Value& value);

// Whether a list, dict or the like is `value`, or is in it: something that a method call can change.
[[nodiscard]] bool is_mutable(const Value& value);
[[nodiscard]] bool has_mutable_items(const Value& value);
// Whether an iterator is `value`, or is in it: using it twice is not the same as once.
[[nodiscard]] bool has_iterator(const Value& value);

// Characters, not bytes, of UTF-8.
[[nodiscard]] std::size_t length(Text text);
[[nodiscard]] std::vector<Text> characters(Text text);
[[nodiscard]] bool is_ascii(Text text);
[[nodiscard]] std::uint32_t code_point(Text character);
void append_utf8(std::string& to, std::uint32_t code_point);

}  // namespace tach::analyzer
