#pragma once

// What the analyzer takes for a sign that a module cannot be rewound: rules, as data.
//
// A rule is a pattern of a canonical callee ("threading.Thread", "multiprocessing.*", "*.serve_forever"), or of an
// import
// ("import tensorflow", which is of its submodules, too), with a reason and a level. `*` stands for anything, dots
// included. Of the rules that match, the last one counts, so that a project's own come after the built-in ones.
//
// Levels go by what the snapshot engine can undo, docs of the engine in zygote/kernel_state.h: it puts back signal
// dispositions, timers, the working directory and limits, memory in any case, and what a program has started and waited
// for leaves nothing. Those are hints. A thread, a process, a socket, another user stay: toxic, if they come to be
// where more than one test sees it.
//
// The built-in table claims no completeness about installed packages: what it names is what test suites commonly start.
// Its rules about packages come from knowledge of these packages. None was measured, and a version may differ.

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/facts.h"
#include "analyzer/text_index.h"
#include "base/result.h"

namespace tach::analyzer {

enum class Reason : std::uint8_t {
    kThread,
    kBackgroundThread,  // somebody else's code has one
    kProcess,
    kSocket,  // and other descriptors whose other end is elsewhere: pipes, epoll
    kSharedMemory,
    kNativeCode,
    kEventLoop,
    kCredentials,
    kSignalHandler,
    kAtexit,
    kTrace,
    kWorkingDirectory,
    kLimits,
};
inline constexpr std::size_t kReasonCount = 13;

enum class RuleLevel : std::uint8_t { kSilent, kHint, kToxic };

[[nodiscard]] std::string_view word(Reason reason);
[[nodiscard]] std::string_view word(RuleLevel level);

struct Rule {
    std::string pattern;
    Reason reason = Reason::kThread;
    RuleLevel level = RuleLevel::kToxic;
    std::string because;
    bool is_strict_only = false;  // counts in strict mode alone
};

class RuleSet {
  public:
    RuleSet() = default;
    RuleSet(RuleSet&&) noexcept = default;
    RuleSet& operator=(RuleSet&&) noexcept = default;
    RuleSet(const RuleSet&) = delete;  // the tables are of views into the rules
    RuleSet& operator=(const RuleSet&) = delete;

    [[nodiscard]] static RuleSet builtin();

    // Errors name the pattern: one that is none; one that nothing matches yet, or that is lower already; no reason
    // given.
    [[nodiscard]] base::Result<void> add(Rule rule);
    [[nodiscard]] base::Result<void> lower(const std::string& pattern, RuleLevel level, const std::string& because);
    [[nodiscard]] base::Result<void> silence(const std::string& pattern, const std::string& because);

    // Into rules(); -1: none, or one that is silent. Strict mode has rules and levels of its own: any match counts.
    [[nodiscard]] Index match_call(Text callee) const;
    [[nodiscard]] Index match_import(Text module) const;

    [[nodiscard]] const Rule& rule(Index index) const { return rules_[index]; }
    [[nodiscard]] std::size_t size() const { return rules_.size(); }

    // Whether the user has said so, by a rule of tach.toml or by strict mode, and not this table.
    [[nodiscard]] bool is_users(Index index) const { return is_strict_ || index >= builtin_count_; }

    [[nodiscard]] bool is_strict() const { return is_strict_; }
    void set_strict(bool is_strict) { is_strict_ = is_strict; }

    // For people: one line for each rule, as a table in Markdown.
    [[nodiscard]] std::string table() const;

  private:
    [[nodiscard]] Index latest_match(Text name, bool is_import) const;
    [[nodiscard]] Index heard(Index index) const;

    std::deque<Rule> rules_;  // stays where it is as it grows
    TextIndex calls_by_head_;
    TextIndex calls_by_tail_;  // of patterns whose head is no text
    TextIndex imports_by_head_;
    std::vector<Index> others_;  // neither head nor tail is a text
    Index builtin_count_ = 0;
    bool is_strict_ = false;
};

}  // namespace tach::analyzer
