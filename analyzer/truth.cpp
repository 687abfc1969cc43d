#include "analyzer/truth.h"

#include <array>
#include <string_view>
#include <utility>

namespace tach::analyzer {
namespace {

constexpr int kDeepest = 30;  // of `a and (b or ...)`; nobody reads more

Truth opposite(Truth truth) {
    switch (truth) {
        case Truth::kAlways:
            return Truth::kNever;
        case Truth::kNever:
            return Truth::kAlways;
        case Truth::kUnknown:
            break;
    }
    return Truth::kUnknown;
}

Truth truth_from(bool holds) {
    return holds ? Truth::kAlways : Truth::kNever;
}

// A plain literal, without its quotes.
Text quoted(Node node, Text source) {
    if (!node.is(Kind::kString) || node.named_child_count() != 3) return {};
    return node.named_child(1).text(source);
}

// The operator between two operands.
Text operator_of(Node operation, Text source) {
    const Text between = source.substr(operation.named_child(0).end(),
                                       operation.named_child(1).begin() - operation.named_child(0).end());
    const std::size_t begin = between.find_first_not_of(" \t\n\r\\");
    if (begin == Text::npos) return {};
    return between.substr(begin, between.find_last_not_of(" \t\n\r\\") - begin + 1);
}

}  // namespace

void Conditions::assign(Text name, Truth truth) {
    if (truth == Truth::kUnknown) {
        assigned_.erase(name);
    } else {
        assigned_[name] = truth;
    }
}

Truth Conditions::truth_of(Node condition, int depth) const {
    if (depth > kDeepest) return Truth::kUnknown;
    switch (condition.kind()) {
        case Kind::kNotOperator:
            return opposite(truth_of(condition.named_child(0), depth + 1));
        case Kind::kParenthesizedExpression:
            return truth_of(condition.named_child(0), depth + 1);
        case Kind::kFalse:
        case Kind::kNone:
            return Truth::kNever;
        case Kind::kTrue:
            return Truth::kAlways;
        case Kind::kInteger:
            return truth_from(condition.text(source_).find_first_of("123456789") != Text::npos);
        case Kind::kIdentifier:
        case Kind::kAttribute:
            return of_name(condition);
        case Kind::kComparisonOperator:
            return of_comparison(condition);
        case Kind::kCall:
            return of_call(condition);
        case Kind::kBooleanOperator:
            return of_operator(condition, depth);
        default:
            return Truth::kUnknown;
    }
}

Truth Conditions::of_name(Node expression) const {
    const Text name = names_->canonical(expression);
    if (name == "TYPE_CHECKING" || name == "typing.TYPE_CHECKING" || name == "typing_extensions.TYPE_CHECKING") {
        return Truth::kNever;
    }
    const auto found = assigned_.find(name);
    return found == assigned_.end() ? Truth::kUnknown : found->second;
}

// What some names stand for in every run.
Text Conditions::value_here(Node expression) const {
    static constexpr std::array kHere{
        std::pair{std::string_view("sys.platform"), std::string_view("linux")},
        std::pair{std::string_view("os.name"), std::string_view("posix")},
        std::pair{std::string_view("platform.system"), std::string_view("Linux")},
    };
    const bool is_call = expression.is(Kind::kCall);
    const Text name = names_->canonical(is_call ? expression.field(Field::kFunction) : expression);
    for (const auto& [known, value] : kHere) {
        if (name == known && is_call == (known == "platform.system")) return value;
    }
    return {};
}

Truth Conditions::of_comparison(Node comparison) const {
    if (comparison.named_child_count() != 2) return Truth::kUnknown;
    const Node left = comparison.named_child(0);
    const Node right = comparison.named_child(1);
    const Text sign = operator_of(comparison, source_);
    const Text literal = quoted(right, source_);
    const bool is_main = left.is(Kind::kIdentifier) && left.text(source_) == "__name__" && literal == "__main__";
    if (is_main) return sign == "==" ? Truth::kNever : sign == "!=" ? Truth::kAlways : Truth::kUnknown;
    const Text here = value_here(left);
    if (here.empty()) return Truth::kUnknown;
    if (!literal.empty()) {
        if (sign == "==") return truth_from(here == literal);
        return sign == "!=" ? truth_from(here != literal) : Truth::kUnknown;
    }
    if (!right.is(Kind::kTuple) && !right.is(Kind::kList) && !right.is(Kind::kSet)) return Truth::kUnknown;
    bool found = false;
    bool all = true;
    for_each_child(right, [&](Node element) {
        const Text text = quoted(element, source_);
        all &= !text.empty();
        found |= text == here;
    });
    if (!all) return Truth::kUnknown;
    return sign == "in" ? truth_from(found) : sign == "not in" ? truth_from(!found) : Truth::kUnknown;
}

// sys.platform.startswith("win")
Truth Conditions::of_call(Node call) const {
    const Node function = call.field(Field::kFunction);
    if (!function.is(Kind::kAttribute) || function.field(Field::kAttribute).text(source_) != "startswith") {
        return Truth::kUnknown;
    }
    const Text here = value_here(function.field(Field::kObject));
    const Text prefix = quoted(call.field(Field::kArguments).named_child(0), source_);
    return here.empty() || prefix.empty() ? Truth::kUnknown : truth_from(here.starts_with(prefix));
}

Truth Conditions::of_operator(Node operation, int depth) const {
    const Truth left = truth_of(operation.field(Field::kLeft), depth + 1);
    const Truth right = truth_of(operation.field(Field::kRight), depth + 1);
    const Text sign = operator_of(operation, source_);
    if (sign != "and" && sign != "or") return Truth::kUnknown;
    const Truth decisive = sign == "and" ? Truth::kNever : Truth::kAlways;
    if (left == decisive || right == decisive) return decisive;
    return left == right ? left : Truth::kUnknown;
}

}  // namespace tach::analyzer
