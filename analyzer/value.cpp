#include "analyzer/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace tach::analyzer {
namespace {

constexpr int kMaxDepth = 50;                           // of containers in containers; a guess at what nobody writes
constexpr std::int64_t kExact = std::int64_t{1} << 53;  // integers up to here are doubles

// Python's float_repr_style "short": the fewest digits that read back the same, with an exponent outside of
// 1e-4 <= x < 1e16.
std::string repr_of_float(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
    const Text written(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
    const std::size_t mark = written.find('e');
    int exponent = 0;
    const char* const first = written.data() + mark + (written[mark + 1] == '+' ? 2 : 1);
    std::from_chars(first, written.data() + written.size(), exponent);
    std::string digits;
    for (const char c : written.substr(0, mark)) {
        if (c >= '0' && c <= '9') digits.push_back(c);
    }
    std::string result = std::signbit(value) ? "-" : "";
    const auto size = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= 16) {
        result += digits.substr(0, 1);
        if (size > 1) result += "." + digits.substr(1);
        const std::string power = std::to_string(std::abs(exponent));
        return result + (exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") + power;
    }
    if (exponent < 0) return result + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    if (size <= exponent + 1)
        return result + digits + std::string(static_cast<std::size_t>(exponent + 1 - size), '0') + ".0";
    const std::size_t point = 1 + static_cast<std::size_t>(exponent);
    return result + digits.substr(0, point) + "." + digits.substr(point);
}

// str.isprintable, where this needs no table: Latin letters. Nothing: cannot be told.
std::optional<bool> is_printable(std::uint32_t code) {
    if (code < 0x7f) return code >= 0x20;
    if (code < 0xa1 || code == 0xad) return false;
    if (code < 0x250) return true;
    return std::nullopt;
}

void append_hex(std::string& to, std::uint32_t value) {
    constexpr Text kDigits = "0123456789abcdef";
    to += "\\x";
    to.push_back(kDigits[(value >> 4U) & 15U]);
    to.push_back(kDigits[value & 15U]);
}

bool append_escape(std::string& to, std::uint32_t code, char quote) {
    switch (code) {
        case '\\':
            to += "\\\\";
            return true;
        case '\n':
            to += "\\n";
            return true;
        case '\r':
            to += "\\r";
            return true;
        case '\t':
            to += "\\t";
            return true;
        default:
            break;
    }
    if (code != static_cast<unsigned char>(quote)) return false;
    to.push_back('\\');
    to.push_back(quote);
    return true;
}

char quote_for(Text text) {
    return text.find('\'') != Text::npos && text.find('"') == Text::npos ? '"' : '\'';
}

std::optional<std::string> repr_of_text(Text text) {
    const char quote = quote_for(text);
    std::string result(1, quote);
    for (const Text character : characters(text)) {
        const std::uint32_t code = code_point(character);
        if (append_escape(result, code, quote)) continue;
        const std::optional<bool> printable = is_printable(code);
        if (!printable) return std::nullopt;
        if (*printable) {
            result += character;
        } else {
            append_hex(result, code);
        }
    }
    result.push_back(quote);
    return result;
}

std::string repr_of_bytes(Text bytes) {
    const char quote = quote_for(bytes);
    std::string result("b");
    result.push_back(quote);
    for (const char c : bytes) {
        const auto code = static_cast<unsigned char>(c);
        if (append_escape(result, code, quote)) continue;
        if (code < 0x20 || code >= 0x7f) {
            append_hex(result, code);
        } else {
            result.push_back(c);
        }
    }
    result.push_back(quote);
    return result;
}

std::optional<std::string> repr_at(const Value& value, int depth);

std::optional<std::string> repr_of_items(const Value& value, int depth) {
    const bool is_dict = value.is(ValueKind::kDict);
    const bool is_tuple = value.is(ValueKind::kTuple);
    std::string result(1, is_dict ? '{' : is_tuple ? '(' : '[');
    for (std::size_t i = 0; i < value.items().size(); ++i) {
        if (i > 0) result += is_dict && i % 2 == 1 ? ": " : ", ";
        const auto item = repr_at(value.items()[i], depth + 1);
        if (!item) return std::nullopt;
        result += *item;
    }
    if (is_tuple && value.items().size() == 1) result.push_back(',');
    result.push_back(is_dict ? '}' : is_tuple ? ')' : ']');
    return result;
}

std::optional<std::string> repr_at(const Value& value, int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    switch (value.kind()) {
        case ValueKind::kNone:
            return "None";
        case ValueKind::kBool:
            return value.integer() != 0 ? "True" : "False";
        case ValueKind::kInt:
            return std::to_string(value.integer());
        case ValueKind::kBigInt:
            return std::string(value.text());
        case ValueKind::kFloat:
            return repr_of_float(value.real());
        case ValueKind::kText:
            return repr_of_text(value.text());
        case ValueKind::kBytes:
            return repr_of_bytes(value.text());
        case ValueKind::kTuple:
        case ValueKind::kList:
        case ValueKind::kDict:
            return repr_of_items(value, depth);
        default:
            return std::nullopt;
    }
}

// Less than, equal, greater than zero; nothing: not to be compared, or not here.
std::optional<int> compare_numbers(const Value& left, const Value& right) {
    if (left.is_integer() && right.is_integer()) {
        return left.integer() < right.integer() ? -1 : left.integer() > right.integer() ? 1 : 0;
    }
    for (const Value& value : {left, right}) {
        if (value.is_integer() && (value.integer() > kExact || value.integer() < -kExact)) return std::nullopt;
        if (std::isnan(value.real())) return std::nullopt;
    }
    return left.real() < right.real() ? -1 : left.real() > right.real() ? 1 : 0;
}

bool has_plain_equality(ValueKind kind) {
    return kind == ValueKind::kNone || kind == ValueKind::kText || kind == ValueKind::kBytes ||
           kind == ValueKind::kTuple || kind == ValueKind::kList;
}

std::optional<bool> equal_at(const Value& left, const Value& right, int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    if (left.is_number() && right.is_number()) {
        const auto order = compare_numbers(left, right);
        return order ? std::optional(*order == 0) : std::nullopt;
    }
    if (!left.is_number() && !has_plain_equality(left.kind())) return std::nullopt;
    if (!right.is_number() && !has_plain_equality(right.kind())) return std::nullopt;
    if (left.kind() != right.kind()) return false;
    if (left.is(ValueKind::kNone)) return true;
    if (!left.has_items()) return left.text() == right.text();
    if (left.items().size() != right.items().size()) return false;
    bool all = true;
    for (std::size_t i = 0; i < left.items().size(); ++i) {
        const auto same = equal_at(left.items()[i], right.items()[i], depth + 1);
        if (!same) return std::nullopt;
        all = all && *same;
    }
    return all;
}

std::optional<bool> less_at(const Value& left, const Value& right, int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    if (left.is_number() && right.is_number()) {
        const auto order = compare_numbers(left, right);
        return order ? std::optional(*order < 0) : std::nullopt;
    }
    if (left.kind() != right.kind()) return std::nullopt;
    // UTF-8 orders as its code points do.
    if (left.is(ValueKind::kText) || left.is(ValueKind::kBytes)) return left.text() < right.text();
    if (!left.is(ValueKind::kTuple) && !left.is(ValueKind::kList)) return std::nullopt;
    const std::size_t shared = std::min(left.items().size(), right.items().size());
    for (std::size_t i = 0; i < shared; ++i) {
        const auto same = equal_at(left.items()[i], right.items()[i], depth + 1);
        if (!same) return std::nullopt;
        if (!*same) return less_at(left.items()[i], right.items()[i], depth + 1);
    }
    return left.items().size() < right.items().size();
}

bool append_key(std::string& to, const Value& value, int depth) {
    if (depth > kMaxDepth) return false;
    if (value.is(ValueKind::kFloat)) {
        const double real = value.real();
        if (std::isnan(real)) return false;
        const bool is_whole = std::abs(real) <= static_cast<double>(kExact) && real == std::floor(real);
        to += is_whole ? "i" + std::to_string(static_cast<std::int64_t>(real)) : "f" + repr_of_float(real);
        return true;
    }
    if (value.is_integer()) {
        to += "i" + std::to_string(value.integer());
        return true;
    }
    if (value.is(ValueKind::kNone)) {
        to.push_back('n');
        return true;
    }
    const bool is_tuple = value.is(ValueKind::kTuple);
    if (!is_tuple && !value.is(ValueKind::kText) && !value.is(ValueKind::kBytes)) return false;
    const std::size_t size = is_tuple ? value.items().size() : value.text().size();
    to += is_tuple ? 't' : value.is(ValueKind::kText) ? 's' : 'b';
    to += std::to_string(size) + ":";
    if (!is_tuple) {
        to += value.text();
        return true;
    }
    return std::all_of(value.items().begin(), value.items().end(),
                       [&](const Value& item) { return append_key(to, item, depth + 1); });
}

bool is_mutable_at(const Value& value, int depth) {
    if (depth > kMaxDepth) return true;
    if (!value.has_items()) return false;
    if (!value.is(ValueKind::kTuple) && !value.is(ValueKind::kRange)) return true;
    return std::any_of(value.items().begin(), value.items().end(),
                       [&](const Value& item) { return is_mutable_at(item, depth + 1); });
}

bool has_iterator_at(const Value& value, int depth) {
    if (depth > kMaxDepth || value.is(ValueKind::kIterator) || value.is(ValueKind::kGenerator)) return true;
    if (!value.has_items()) return false;
    return std::any_of(value.items().begin(), value.items().end(),
                       [&](const Value& item) { return has_iterator_at(item, depth + 1); });
}

std::size_t width(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

}  // namespace

Value Value::boolean(bool value) {
    Value result(ValueKind::kBool);
    result.payload_.integer = value ? 1 : 0;
    return result;
}

Value Value::integer(std::int64_t value) {
    Value result(ValueKind::kInt);
    result.payload_.integer = value;
    return result;
}

Value Value::real(double value) {
    Value result(ValueKind::kFloat);
    result.payload_.real = value;
    return result;
}

Value Value::text(ValueKind kind, Text value) {
    if (value.size() > std::numeric_limits<std::uint32_t>::max()) return {};
    Value result(kind);
    result.payload_.text = value.data();
    result.size_ = static_cast<std::uint32_t>(value.size());
    return result;
}

Value Value::items(ValueKind kind, std::span<const Value> items) {
    if (items.size() > std::numeric_limits<std::uint32_t>::max()) return {};
    Value result(kind);
    result.payload_.items = items.data();
    for (const Value& item : items) {
        if (__builtin_add_overflow(result.weight_, item.weight_, &result.weight_)) return {};
    }
    result.size_ = static_cast<std::uint32_t>(items.size());
    return result;
}

bool Value::has_items() const {
    return has_order() || kind_ == ValueKind::kSet || kind_ == ValueKind::kDict || kind_ == ValueKind::kParameterSet;
}

bool Value::has_order() const {
    return kind_ == ValueKind::kTuple || kind_ == ValueKind::kList || kind_ == ValueKind::kRange ||
           kind_ == ValueKind::kView || kind_ == ValueKind::kIterator || kind_ == ValueKind::kGenerator;
}

double Value::real() const {
    return kind_ == ValueKind::kFloat ? payload_.real : static_cast<double>(payload_.integer);
}

std::optional<bool> truth(const Value& value) {
    switch (value.kind()) {
        case ValueKind::kNone:
            return false;
        case ValueKind::kBool:
        case ValueKind::kInt:
            return value.integer() != 0;
        case ValueKind::kFloat:
            return value.real() != 0.0;
        case ValueKind::kText:
        case ValueKind::kBytes:
            return !value.text().empty();
        case ValueKind::kTuple:
        case ValueKind::kList:
        case ValueKind::kRange:
        case ValueKind::kView:
        case ValueKind::kSet:
        case ValueKind::kDict:
            return !value.items().empty();
        case ValueKind::kBigInt:
        case ValueKind::kIterator:
        case ValueKind::kGenerator:
        case ValueKind::kPattern:
            return true;
        default:
            return std::nullopt;
    }
}

std::optional<bool> equal(const Value& left, const Value& right) {
    return equal_at(left, right, 0);
}

std::optional<bool> less(const Value& left, const Value& right) {
    return less_at(left, right, 0);
}

std::optional<std::string> repr(const Value& value) {
    return repr_at(value, 0);
}

std::optional<std::string> str(const Value& value) {
    if (value.is(ValueKind::kText)) return std::string(value.text());
    return repr(value);
}

std::optional<std::string> key_of(const Value& value) {
    std::string key;
    if (!append_key(key, value, 0)) return std::nullopt;
    return key;
}

bool is_mutable(const Value& value) {
    return is_mutable_at(value, 0);
}

bool has_mutable_items(const Value& value) {
    return value.has_items() && std::any_of(value.items().begin(), value.items().end(),
                                            [](const Value& item) { return is_mutable_at(item, 1); });
}

bool has_iterator(const Value& value) {
    return has_iterator_at(value, 0);
}

std::size_t length(Text text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

std::vector<Text> characters(Text text) {
    std::vector<Text> result;
    result.reserve(text.size());
    while (!text.empty()) {
        const std::size_t size = std::min(width(text.front()), text.size());
        result.push_back(text.substr(0, size));
        text.remove_prefix(size);
    }
    return result;
}

bool is_ascii(Text text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::uint32_t code_point(Text character) {
    const auto lead = static_cast<unsigned char>(character.front());
    if (character.size() == 1) return lead;
    std::uint32_t code = lead & (0x7fU >> character.size());
    for (const char c : character.substr(1)) code = code << 6U | (static_cast<unsigned char>(c) & 0x3fU);
    return code;
}

void append_utf8(std::string& to, std::uint32_t code_point) {
    const auto tail = [&](unsigned shift) { to.push_back(static_cast<char>(0x80U | ((code_point >> shift) & 0x3fU))); };
    if (code_point < 0x80) {
        to.push_back(static_cast<char>(code_point));
    } else if (code_point < 0x800) {
        to.push_back(static_cast<char>(0xc0U | code_point >> 6U));
        tail(0);
    } else if (code_point < 0x10000) {
        to.push_back(static_cast<char>(0xe0U | code_point >> 12U));
        tail(6);
        tail(0);
    } else {
        to.push_back(static_cast<char>(0xf0U | code_point >> 18U));
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace tach::analyzer
