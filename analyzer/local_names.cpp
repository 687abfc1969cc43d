#include "analyzer/local_names.h"

namespace tach::analyzer {
namespace {

// A chain of attributes may be as long as a line; nobody writes one that is longer than this.
constexpr int kLongestChain = 64;
constexpr std::size_t kLargeTable = 128;

}  // namespace

void LocalNames::bind(Text local, Text canonical) {
    (in_function_ ? locals_ : globals_)[local] = canonical;
}

void LocalNames::leave_function() {
    in_function_ = false;
    // To clear a table costs what its size costs: a large one is not kept.
    if (locals_.bucket_count() > kLargeTable) {
        locals_ = {};
    } else {
        locals_.clear();
    }
}

std::optional<Text> LocalNames::find(Text name) const {
    if (in_function_) {
        const auto local = locals_.find(name);
        if (local != locals_.end()) return local->second;
    }
    const auto global = globals_.find(name);
    if (global != globals_.end()) return global->second;
    return std::nullopt;
}

Text LocalNames::canonical(Text name) const {
    return find(name).value_or(name);
}

Text LocalNames::canonical(Node expression) const {
    Node base = expression;
    for (int length = 0; base.is(Kind::kAttribute); ++length) {
        if (length == kLongestChain) return {};
        base = base.field(Field::kObject);
    }
    if (!base.is(Kind::kIdentifier)) return {};
    const std::optional<Text> found = find(base.text(source_));
    if (found && found->empty()) return {};
    const Text written = expression.text(source_);
    if (base.begin() == expression.begin() && base.end() == expression.end()) return found.value_or(written);
    const Text rest = source_.substr(base.end(), expression.end() - base.end());
    // "a .b" and "a.\n b" are rare enough to be nobody's.
    if (rest.find_first_of(" \t\r\n\\#()") != Text::npos) return {};
    return found ? arena_->join({*found, rest}) : written;
}

}  // namespace tach::analyzer
