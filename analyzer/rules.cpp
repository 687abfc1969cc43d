#include "analyzer/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "analyzer/builtin_rules.h"

namespace tach::analyzer {
namespace {

constexpr std::array<std::string_view, kReasonCount> kReasons{
    "thread",      "background-thread", "process", "socket", "shared-memory",     "native-code",    "event-loop",
    "credentials", "signal-handler",    "atexit",  "trace",  "working-directory", "resource-limits"};
constexpr std::array<std::string_view, 3> kLevels{"silent", "hint", "toxic"};
constexpr Text kImport = "import ";

tl::unexpected<base::Error> mistake(std::string what) {
    return base::fail(base::Error{EINVAL, std::move(what)});
}

Text head_of(Text name) {
    return name.substr(0, std::min(name.find('.'), name.size()));
}

Text tail_of(Text name) {
    return name.substr(name.rfind('.') + 1);
}

bool is_text(Text part) {
    return !part.empty() && part.find('*') == Text::npos;
}

// Of "import x" x.
Text subject_of(Text pattern) {
    return pattern.starts_with(kImport) ? pattern.substr(kImport.size()) : pattern;
}

bool is_pattern(Text pattern) {
    const Text subject = subject_of(pattern);
    const bool has_name = subject.find_first_not_of("*.") != Text::npos;
    const bool is_dotted = !subject.starts_with('.') && !subject.ends_with('.') && subject.find("..") == Text::npos;
    return has_name && is_dotted && subject.find_first_of(" \t\n()[]{}\"',:;") == Text::npos;
}

// The usual two pointers: back to the latest star when the text after it does not fit.
bool matches(Text pattern, Text name) {
    std::size_t at = 0;
    std::size_t in_name = 0;
    std::size_t star = Text::npos;
    std::size_t taken = 0;
    while (in_name < name.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            taken = in_name;
        } else if (at < pattern.size() && pattern[at] == name[in_name]) {
            ++at;
            ++in_name;
        } else if (star != Text::npos) {
            at = star + 1;
            in_name = ++taken;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
}

// "import a.b" is of a.b and what is below it.
bool matches_import(Text pattern, Text module) {
    const Text subject = subject_of(pattern);
    if (matches(subject, module)) return true;
    for (std::size_t dot = module.find('.'); dot != Text::npos; dot = module.find('.', dot + 1)) {
        if (matches(subject, module.substr(0, dot))) return true;
    }
    return false;
}

}  // namespace

std::string_view word(Reason reason) {
    return kReasons[static_cast<std::size_t>(reason)];
}

std::string_view word(RuleLevel level) {
    return kLevels[static_cast<std::size_t>(level)];
}

RuleSet RuleSet::builtin() {
    RuleSet rules;
    const auto add_all = [&](std::span<const BuiltinRule> table, bool is_strict_only) {
        for (const BuiltinRule& row : table) {
            // A row that is no pattern would be a defect here, which the test of the table finds.
            static_cast<void>(
                rules.add({std::string(row.pattern), row.reason, row.level, std::string(row.because), is_strict_only}));
        }
    };
    add_all(strict_rules(), true);
    add_all(builtin_rules(), false);
    rules.builtin_count_ = static_cast<Index>(rules.size());
    return rules;
}

base::Result<void> RuleSet::add(Rule rule) {
    if (!is_pattern(rule.pattern)) {
        return mistake(
            fmt::format("\"{}\" is no pattern: expected a dotted name, or \"import NAME\"; * stands for "
                        "anything",
                        rule.pattern));
    }
    const auto index = static_cast<Index>(rules_.size());
    const Text pattern = rules_.emplace_back(std::move(rule)).pattern;
    const Text subject = subject_of(pattern);
    if (is_text(head_of(subject))) {
        (pattern.starts_with(kImport) ? imports_by_head_ : calls_by_head_).add(head_of(subject), index);
    } else if (is_text(tail_of(subject)) && !pattern.starts_with(kImport)) {
        calls_by_tail_.add(tail_of(subject), index);
    } else {
        others_.push_back(index);
    }
    return {};
}

base::Result<void> RuleSet::lower(const std::string& pattern, RuleLevel level, const std::string& because) {
    if (because.empty()) return mistake(fmt::format("{}: no reason is given for making less of it", pattern));
    const bool is_import = Text(pattern).starts_with(kImport);
    const Index known = latest_match(subject_of(pattern), is_import);
    if (known < 0) return mistake(fmt::format("{}: no rule is about it, so that there is none to lower", pattern));
    const Rule& old = rules_[known];
    if (level > old.level || (level == old.level && old.pattern == pattern)) {
        return mistake(fmt::format("{}: is {} already", pattern, word(old.level)));
    }
    return add({pattern, old.reason, level, because, old.is_strict_only});
}

base::Result<void> RuleSet::silence(const std::string& pattern, const std::string& because) {
    return lower(pattern, RuleLevel::kSilent, because);
}

Index RuleSet::latest_match(Text name, bool is_import) const {
    Index latest = -1;
    const auto consider = [&](Index index) {
        const Text pattern = rules_[index].pattern;
        if (index <= latest || pattern.starts_with(kImport) != is_import) return;
        if (rules_[index].is_strict_only && !is_strict_) return;
        if (is_import ? matches_import(pattern, name) : matches(pattern, name)) latest = index;
    };
    (is_import ? imports_by_head_ : calls_by_head_).for_each(head_of(name), consider);
    if (!is_import) calls_by_tail_.for_each(tail_of(name), consider);
    for (const Index index : others_) consider(index);
    return latest;
}

Index RuleSet::heard(Index index) const {
    return index >= 0 && rules_[index].level != RuleLevel::kSilent ? index : -1;
}

Index RuleSet::match_call(Text callee) const {
    return heard(latest_match(callee, false));
}

Index RuleSet::match_import(Text module) const {
    return heard(latest_match(module, true));
}

std::string RuleSet::table() const {
    std::string text = "| pattern | reason | level | because |\n|---|---|---|---|\n";
    for (const Rule& rule : rules_) {
        text += fmt::format("| `{}` | {} | {}{} | {} |\n", rule.pattern, word(rule.reason), word(rule.level),
                            rule.is_strict_only ? ", in strict mode" : "", rule.because);
    }
    return text;
}

}  // namespace tach::analyzer
