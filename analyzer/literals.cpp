#include "analyzer/literals.h"

#include <charconv>
#include <string>

namespace tach::analyzer {
namespace {

constexpr std::size_t kMaxDigits = 4000;  // Python 3.11 refuses str() of more than 4300

std::string without_underscores(Text literal) {
    std::string digits;
    for (const char c : literal) {
        if (c != '_') digits.push_back(c);
    }
    return digits;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

// Reads the escapes of one string, left to right.
class Unescape {
  public:
    Unescape(Text content, const StringForm& form) : rest_(content), form_(form) {}

    std::optional<std::string> run() {
        while (!rest_.empty()) {
            if (!step()) return std::nullopt;
        }
        return std::move(result_);
    }

  private:
    bool step() {
        const char c = take();
        if (c == '\r') {  // newlines of any kind are "\n" to Python
            if (rest_.starts_with('\n')) rest_.remove_prefix(1);
            result_.push_back('\n');
            return true;
        }
        if (form_.is_formatted && (c == '{' || c == '}')) {
            if (!rest_.starts_with(c)) return false;
            rest_.remove_prefix(1);
        }
        if (c == '\\' && !form_.is_raw) return !rest_.empty() && escape(take());
        if (form_.is_bytes && static_cast<unsigned char>(c) >= 0x80) return false;
        result_.push_back(c);
        return true;
    }

    bool escape(char c) {
        constexpr Text kFrom = "\\'\"abfnrtv";
        constexpr Text kTo = "\\'\"\a\b\f\n\r\t\v";
        if (const std::size_t place = kFrom.find(c); place != Text::npos) {
            result_.push_back(kTo[place]);
            return true;
        }
        if (c == '\n') return true;
        if (c == '\r') {
            if (rest_.starts_with('\n')) rest_.remove_prefix(1);
            return true;
        }
        if (c >= '0' && c <= '7') return octal(c);
        if (c == 'x') return hexadecimal(2);
        if (!form_.is_bytes && c == 'u') return hexadecimal(4);
        if (!form_.is_bytes && c == 'U') return hexadecimal(8);
        if (!form_.is_bytes && c == 'N') return false;
        // Any other is itself, with its backslash; of a formatted string "\{" is where a field begins.
        if (form_.is_formatted && (c == '{' || c == '}')) return false;
        if (form_.is_bytes && static_cast<unsigned char>(c) >= 0x80) return false;
        result_.push_back('\\');
        result_.push_back(c);
        return true;
    }

    bool octal(char first) {
        auto code = static_cast<std::uint32_t>(digit_of(first));
        for (int i = 0; i < 2 && !rest_.empty() && digit_of(rest_.front()) < 8; ++i) {
            code = code * 8 + static_cast<std::uint32_t>(digit_of(take()));
        }
        return put(form_.is_bytes ? code & 0xffU : code);
    }

    bool hexadecimal(int digits) {
        std::uint32_t code = 0;
        for (int i = 0; i < digits; ++i) {
            if (rest_.empty() || digit_of(rest_.front()) > 15) return false;
            code = code * 16 + static_cast<std::uint32_t>(digit_of(take()));
        }
        return put(code);
    }

    bool put(std::uint32_t code) {
        if (code > 0x10ffff) return false;
        if (form_.is_bytes) {
            result_.push_back(static_cast<char>(code));
        } else {
            append_utf8(result_, code);
        }
        return true;
    }

    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    Text rest_;
    StringForm form_;
    std::string result_;
};

std::optional<Text> one_string(Node node, Text source, Arena& arena) {
    if (!node.is(Kind::kString) || node.has_error()) return std::nullopt;
    const Text literal = node.text(source);
    const auto form = string_form(literal);
    if (!form || form->is_bytes || form->is_formatted) return std::nullopt;
    return unescaped(literal.substr(form->opening, literal.size() - form->opening - form->closing), *form, arena);
}

// Parentheses around parentheses are no reason for recursion.
Node inside_parentheses(Node node) {
    while (node.is(Kind::kParenthesizedExpression)) {
        Node inner;
        for_each_child(node, [&](Node child) { inner = child; });
        if (inner.is_null()) return node;
        node = inner;
    }
    return node;
}

}  // namespace

std::optional<StringForm> string_form(Text literal) {
    StringForm form;
    while (form.opening < literal.size()) {
        const char c = literal[form.opening];
        if (c == '"' || c == '\'') break;
        if (c == 'r' || c == 'R') {
            form.is_raw = true;
        } else if (c == 'b' || c == 'B') {
            form.is_bytes = true;
        } else if (c == 'f' || c == 'F') {
            form.is_formatted = true;
        } else if (c != 'u' && c != 'U') {
            return std::nullopt;
        }
        ++form.opening;
    }
    const Text rest = literal.substr(form.opening);
    if (rest.size() < 2) return std::nullopt;
    const bool is_triple = rest.size() >= 6 && rest[1] == rest[0] && rest[2] == rest[0];
    form.closing = is_triple ? 3 : 1;
    form.opening += form.closing;
    return form;
}

std::optional<Text> unescaped(Text content, const StringForm& form, Arena& arena) {
    const bool is_plain = content.find('\r') == Text::npos && (form.is_raw || content.find('\\') == Text::npos) &&
                          !(form.is_formatted && content.find_first_of("{}") != Text::npos) &&
                          !(form.is_bytes && !is_ascii(content));
    if (is_plain) return content;
    const auto result = Unescape(content, form).run();
    if (!result) return std::nullopt;
    return arena.keep(*result);
}

Value integer_value(Text literal, Arena& arena) {
    const std::string digits = without_underscores(literal);
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
        const auto letter = static_cast<char>(static_cast<unsigned char>(digits[1]) | 0x20U);
        base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    }
    const char* const first = digits.data() + (base == 10 ? 0 : 2);
    const char* const last = digits.data() + digits.size();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(first, last, value, base);
    if (end != last || first == last) return {};  // a complex number
    if (error == std::errc()) return Value::integer(value);
    if (base != 10 || digits.size() > kMaxDigits || digits[0] == '0') return {};
    return Value::text(ValueKind::kBigInt, arena.keep(digits));
}

std::optional<double> decimal(Text text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

Value float_value(Text literal) {
    const auto value = decimal(without_underscores(literal));
    return value ? Value::real(*value) : Value();
}

std::optional<Text> string_literal(Node node, Text source, Arena& arena) {
    node = inside_parentheses(node);
    if (!node.is(Kind::kConcatenatedString)) return one_string(node, source, arena);
    std::string whole;
    bool known = true;
    for_each_child(node, [&](Node child) {
        const auto part = one_string(child, source, arena);
        known = known && part.has_value();
        if (part) whole += *part;
    });
    if (!known) return std::nullopt;
    return arena.keep(whole);
}

std::optional<bool> bool_literal(Node node) {
    node = inside_parentheses(node);
    if (node.is(Kind::kTrue)) return true;
    if (node.is(Kind::kFalse)) return false;
    return std::nullopt;
}

std::optional<std::vector<Text>> string_list_literal(Node node, Text source, Arena& arena) {
    node = inside_parentheses(node);
    std::vector<Text> texts;
    if (const auto text = string_literal(node, source, arena)) {
        texts.push_back(*text);
        return texts;
    }
    if (!node.is(Kind::kList) && !node.is(Kind::kTuple) && !node.is(Kind::kSet)) return std::nullopt;
    bool known = !node.has_error();
    for_each_child(node, [&](Node child) {
        const auto text = string_literal(child, source, arena);
        known = known && text.has_value();
        if (text) texts.push_back(*text);
    });
    if (!known) return std::nullopt;
    return texts;
}

std::optional<Scope> scope_literal(Node node, Text source, Arena& arena) {
    const auto text = string_literal(node, source, arena);
    if (!text) return std::nullopt;
    if (*text == "function") return Scope::kFunction;
    if (*text == "class") return Scope::kClass;
    if (*text == "module") return Scope::kModule;
    if (*text == "package") return Scope::kPackage;
    if (*text == "session") return Scope::kSession;
    return std::nullopt;
}

}  // namespace tach::analyzer
