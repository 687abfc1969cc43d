#include "analyzer/rule_settings.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

namespace tach::analyzer {
namespace {

std::optional<Reason> reason_named(std::string_view name) {
    for (std::size_t at = 0; at < kReasonCount; ++at) {
        if (word(static_cast<Reason>(at)) == name) return static_cast<Reason>(at);
    }
    return std::nullopt;
}

std::optional<RuleLevel> level_named(std::string_view name) {
    for (const RuleLevel level : {RuleLevel::kSilent, RuleLevel::kHint, RuleLevel::kToxic}) {
        if (word(level) == name) return level;
    }
    return std::nullopt;
}

std::string all_reasons() {
    std::string names;
    for (std::size_t at = 0; at < kReasonCount; ++at) {
        names += fmt::format("{}{}", at == 0 ? "" : ", ", word(static_cast<Reason>(at)));
    }
    return names;
}

class Reader {
  public:
    Reader(std::string shown, std::string prefix) : shown_(std::move(shown)), prefix_(std::move(prefix)) {}

    base::Result<RuleSet> read(const toml::table& toxicity) {
        for (const auto& [key, node] : toxicity) {
            base::Result<void> done;
            if (key == "mode") {
                done = read_mode(node);
            } else if (key == "rule") {
                done = read_array(node);
            } else {
                done = refuse(key.source(), key.str(), "unknown key, expected mode or rule");
            }
            if (!done) return base::fail(done.error());
        }
        return std::move(rules_);
    }

  private:
    base::Result<void> read_mode(const toml::node& node) {
        const auto mode = node.value_exact<std::string>();
        if (!mode || (*mode != "strict" && *mode != "default")) {
            return refuse(node.source(), "mode", "expected \"strict\" or \"default\"");
        }
        rules_.set_strict(*mode == "strict");
        return {};
    }

    base::Result<void> read_array(const toml::node& node) {
        const toml::array* rules = node.as_array();
        if (rules == nullptr) return refuse(node.source(), "rule", "expected tables, [[toxicity.rule]]");
        for (const toml::node& rule : *rules) {
            const toml::table* table = rule.as_table();
            if (table == nullptr) return refuse(rule.source(), "rule", "expected tables, [[toxicity.rule]]");
            if (auto done = read_rule(*table); !done) return done;
        }
        return {};
    }

    base::Result<void> read_rule(const toml::table& table) {
        struct Given {
            std::string_view key;
            std::string value;
        };
        std::array<Given, 4> given{{{"pattern", {}}, {"reason", {}}, {"level", {}}, {"because", {}}}};
        for (const auto& [key, node] : table) {
            Given* known = nullptr;
            for (Given& one : given) known = key == one.key ? &one : known;
            const std::string name = fmt::format("rule.{}", key.str());
            if (known == nullptr) {
                return refuse(key.source(), name, "unknown key, expected pattern, reason, level or because");
            }
            const auto text = node.value_exact<std::string>();
            if (!text || text->empty()) return refuse(node.source(), name, "expected a string with something in it");
            known->value = *text;
        }
        const auto& [pattern, reason, level, because] = given;
        return apply(table.source(), pattern.value, reason.value, level.value, because.value);
    }

    base::Result<void> apply(const toml::source_region& at, const std::string& pattern, const std::string& reason,
                             const std::string& level, const std::string& because) {
        if (pattern.empty()) return refuse(at, "rule", "has no pattern");
        if (because.empty()) return refuse(at, "rule", fmt::format("{}: has no because", pattern));
        const auto wanted = level.empty() ? RuleLevel::kToxic : level_named(level);
        if (!wanted) return refuse(at, "rule.level", fmt::format("is \"{}\", expected silent, hint or toxic", level));
        base::Result<void> done;
        if (!reason.empty()) {
            const auto known = reason_named(reason);
            if (!known) {
                return refuse(at, "rule.reason", fmt::format("is \"{}\", expected one of {}", reason, all_reasons()));
            }
            done = rules_.add({pattern, *known, *wanted, because});
        } else if (*wanted == RuleLevel::kToxic) {
            return refuse(at, "rule", fmt::format("{}: a rule that is toxic needs a reason", pattern));
        } else {
            done = rules_.lower(pattern, *wanted, because);
        }
        if (!done) return refuse(at, "rule", done.error().what);
        return {};
    }

    tl::unexpected<base::Error> refuse(const toml::source_region& at, std::string_view key,
                                       std::string_view what) const {
        return base::fail(base::Error{EINVAL, fmt::format("{}:{}:{}: {}toxicity.{}: {}", shown_, at.begin.line,
                                                          at.begin.column, prefix_, key, what)});
    }

    std::string shown_;
    std::string prefix_;
    RuleSet rules_ = RuleSet::builtin();
};

}  // namespace

base::Result<RuleSet> read_rules(const toml::table& toxicity, const std::string& shown, const std::string& prefix) {
    return Reader(shown, prefix).read(toxicity);
}

}  // namespace tach::analyzer
