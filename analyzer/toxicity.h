#pragma once

// Which modules, and which wide fixtures, bring about what a snapshot cannot rewind.
//
// A module is
//   * toxic, if importing it does something that a rule calls toxic: in its own code, in functions that this calls, in
//     modules that it imports, in hooks of a plugin that run before the tests. What a conftest.py does so does every
//     test file below it, since that imports it;
//   * unknown, if it is not toxic, but importing it runs what nobody can know: a file that could not be read to its
//   end, an
//     import that its source does not name;
//   * safe otherwise. Installed packages are safe unless a rule names them.
// A fixture wider than a function (setup_class and its like included) is judged by itself: it makes nobody toxic but
// the tests that use it, and who those are is known where the closures are. What happens in the body of a test, or in a
// function's fixture, is a hint: the engine finds out what it leaves. So is what rules call a hint, wherever it
// happens.
//
// In strict mode any match of any rule anywhere in a file makes it toxic, and so does importing such a file, be it in a
// function.
//
// Each finding has the shortest way from the module to its evidence. Deterministic; linear in calls and imports, for
// each reason that is found at all. No recursion, so that circles of imports are nothing special.

#include <span>
#include <string>
#include <vector>

#include "analyzer/call_graph.h"
#include "analyzer/import_graph.h"
#include "analyzer/project.h"
#include "analyzer/references.h"
#include "analyzer/rules.h"

namespace tach::analyzer {

enum class ToxicityLevel : std::uint8_t { kSafe, kUnknown, kToxic };

[[nodiscard]] std::string_view word(ToxicityLevel level);

struct Finding {
    Index rule = -1;      // -1: nobody can know, `what` says why
    Index function = -1;  // of the module, in which it begins; -1: at import
    Position at;          // in the module: the line that does it, or leads there
    Text what;            // the callee or module that the rule is about
    Index evidence = -1;  // the file in which that stands
    Position evidence_at;
    Index trail = -1;  // for Toxicity::way()
    Index trails = -1;
};

struct ToxicityReport {
    Index file = -1;
    ToxicityLevel level = ToxicityLevel::kSafe;
    Index transitive_from = -1;    // the module next on the way to the first reason; -1: its own doing
    std::vector<Finding> reasons;  // at most one for each reason, in their order; of an unknown one, why
    std::vector<Finding> hints;    // in the order of the source
};

struct WideToxicity {
    CallGraph::Wide wide;
    ToxicityLevel level = ToxicityLevel::kSafe;
    std::vector<Finding> reasons;
};

class Toxicity {
  public:
    // `references` is used while this is made; texts of findings are views into the project, the rules and this.
    Toxicity(const Project& project, const ImportGraph& graph, References& references, const RuleSet& rules);

    [[nodiscard]] std::span<const ToxicityReport> modules() const { return modules_; }  // one for each file
    // Those that are not safe. A fixture of a class or module by its index, in the order of the project.
    [[nodiscard]] std::span<const WideToxicity> wide() const { return wide_; }
    // The level of a fixture of Facts::fixtures; safe for one of a function.
    [[nodiscard]] ToxicityLevel of_fixture(Index file, Index fixture) const;

    // From where it begins to the evidence, both included: places with the line that leads to the next.
    struct Step {
        CallGraph::Place place;
        Position at;
    };
    [[nodiscard]] std::vector<Step> way(const Finding& finding) const;

    // "thread: threading.Thread at src/a.py:12, by tests/test_a.py:1, src/a.py:30 in start()".
    [[nodiscard]] std::string sentence(const Finding& finding) const;

  private:
    // A node from which a match can be reached; the way there is by `next`.
    struct Trail {
        Index node;
        Index next;  // of the same trails; -1: the match is here
        Index match;
        Position at;
    };
    struct Incoming {
        std::vector<std::size_t> first;
        std::vector<Index> links;
    };

    [[nodiscard]] Incoming incoming_links() const;
    void follow(const std::vector<Index>& matches, const Incoming& incoming);
    void report(Index trails);
    void report_one(Index trails, Index trail);
    void add_direct_hints();
    void finish();
    [[nodiscard]] Finding finding(Index trails, Index trail) const;

    const Project& project_;
    const ImportGraph& graph_;
    const RuleSet& rules_;
    CallGraph calls_;
    std::vector<std::vector<Trail>> trails_;  // for each reason that was found, the unknown last
    std::vector<char> reached_;               // of each node, while it is followed
    std::vector<Index> wide_of_;              // of each node: into wide_; -1: none
    std::vector<ToxicityReport> modules_;
    std::vector<WideToxicity> wide_;
};

}  // namespace tach::analyzer
