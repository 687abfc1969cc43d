#pragma once

// What runs because a module is imported, a wide fixture is set up or a test runs: as far as the sources name it.
//
// A node is a function of a file, or the file's own code. Links lead from a caller to what it calls and to the modules
// that it imports; a match is a place where a rule applies, with the node that it happens in. The code of a file
// reaches the files that it imports, functions reach what they import themselves.
//
// Calls are followed by name (references.h). A class that is called is its __init__ and what a `with` calls. A method
// of what nobody can know here (`server.start()`, with `server` a variable) is every method of that name in the classes
// that the file defines, imports or calls: more than runs, so that nothing is missed that is written in reach. Not
// followed: functions that are handed over as arguments, attributes of instances, calls of calls' results (`f()()`),
// methods that a derived class has in place of what a base calls on itself.
//
// Looked at are the code of all files, and the functions that this leads to, wide fixtures, and all functions of test
// files and plugins; of others only the calls that match a rule as they are written. In strict mode every match
// anywhere is the file's own, and every import that can run counts. No recursion; deterministic.

#include <span>
#include <unordered_map>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/import_graph.h"
#include "analyzer/project.h"
#include "analyzer/references.h"
#include "analyzer/rules.h"

namespace tach::analyzer {

class CallGraph {
  public:
    struct Place {
        Index file = -1;
        Index function = -1;  // -1: the file's own code
        friend bool operator==(const Place&, const Place&) = default;
    };
    struct Link {
        Index from = -1;
        Index to = -1;
        Position at;  // in the file of `from`
    };
    struct Match {
        Index node = -1;
        Index rule = -1;  // -1: nobody can know what runs there, and `what` says why
        Text what;        // the callee or module
        Position at;
    };
    // A function that is set up once for several tests.
    struct Wide {
        Place place;
        Index fixture = -1;  // -1: setup_module, setUpClass and the like
        Scope scope = Scope::kModule;
    };

    CallGraph(const Project& project, const ImportGraph& graph, References& references, const RuleSet& rules);

    [[nodiscard]] std::size_t node_count() const { return visited_.size(); }
    [[nodiscard]] Index node(Place place) const { return first_[place.file] + 1 + place.function; }
    [[nodiscard]] Place place(Index node) const;

    [[nodiscard]] std::span<const Link> links() const { return links_; }
    [[nodiscard]] std::span<const Match> matches() const { return matches_; }
    [[nodiscard]] std::span<const Wide> wide() const { return wide_; }

  private:
    // What one callee of one file leads to.
    struct Resolved {
        std::vector<Index> nodes;
        struct Hit {
            Index rule;
            Text what;
        };
        std::vector<Hit> hits;
    };
    struct Method {
        Text name;
        Index node;
        friend bool operator==(const Method&, const Method&) = default;
        friend bool operator<(const Method& left, const Method& right) {
            return left.name != right.name ? left.name < right.name : left.node < right.node;
        }
    };
    struct Visible {
        bool is_made = false;
        std::vector<Method> methods;  // sorted
    };
    struct CallOrder {
        bool is_made = false;
        std::vector<Index> calls;  // by caller, in the order of the source
    };

    void look_at_everything();
    void sort_by_node();
    void look_strictly(Index file);
    void find_wide(Index file);
    void add_hooks(Index file);
    void visit(Index node);
    void drain();
    void look_at(Place place);
    void look_at_call(Place place, const Call& call);
    void look_at_imports(Place place);
    void look_at_unknowns(Place place);
    void match_as_written(Index file);

    void add_import_match(Index node, const Boundary& boundary);
    [[nodiscard]] bool is_dynamic_import(Index file, const Call& call) const;
    [[nodiscard]] const Resolved& resolved(Place place, Text callee);
    [[nodiscard]] Resolved resolve(Place place, Text callee);
    void add_target(Index file, const Referent& target, Resolved& to);
    void add_class(Index file, Index index, Resolved& to);
    void add_member(const Referent& target, Resolved& to);
    void add_methods(Index file, Text name, Resolved& to);
    void add_hit(Text callee, Resolved& to);
    [[nodiscard]] const Visible& visible_in(Index file);
    void add_visible(Index file, Text name, Visible& to);
    void add_methods_of(Index file, Index index, Visible& to);
    [[nodiscard]] bool is_imported(Index file, Text name) const;
    [[nodiscard]] std::span<const Index> calls_of(Place place);

    const Project& project_;
    const ImportGraph& graph_;
    References& references_;
    const RuleSet& rules_;
    Arena arena_;
    std::vector<Index> first_;  // node of each file's own code
    std::vector<char> visited_;
    std::vector<Index> queue_;
    std::vector<Link> links_;
    std::vector<Match> matches_;
    std::vector<Wide> wide_;
    std::vector<Visible> visible_;
    std::vector<CallOrder> call_orders_;
    std::unordered_map<Text, Resolved> resolved_;  // of one file, the one that is looked at
    Index resolved_file_ = -1;
    Resolved resolved_once_;
};

}  // namespace tach::analyzer
