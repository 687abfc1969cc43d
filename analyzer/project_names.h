#pragma once

// What a name stands for, across the files of a project: through imports, re-exports, star imports and aliases, as far
// as the sources tell. The one place of this room that follows names; everything that needs a definition asks here.
//
// It never guesses. A name that leads out of the project is kOutside, with where it led; one that the project's own
// files do not settle (computed values, a module's __getattr__) is kUnknown. A definition that is there under a
// condition only is found, and says so. Chains of names are followed to a bound, cycles end as kUnknown.
//
// Tables are made for a file when something asks for it the first time. Not thread-safe. The project must outlive it.

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/facts.h"
#include "analyzer/project.h"

namespace tach::analyzer {

// The file of a module or of a package's __init__, by its dotted name as from_file would write it in an import: with
// leading dots if relative. -1: none of the project's.
struct ModuleLookup {
    std::function<Index(Index from_file, Text canonical_module)> find;
    std::function<Text(Index file)> name = {};  // what pytest imports a module of tests by; none: by its path
};

enum class TargetKind : std::uint8_t {
    kUnknown,
    kAbsent,   // the module is known and has no such name
    kOutside,  // see module and member
    kModule,
    kFunction,
    kClass,
    kData,  // a value that can be no test
};

struct Target {
    TargetKind kind = TargetKind::kUnknown;
    bool is_conditional = false;
    Index file = -1;
    Index index = -1;  // into functions or classes of the file
    Text module;       // of kOutside: the dotted name is module.member, or module if there is no member
    Text member;

    [[nodiscard]] bool leads_to(Text dotted) const;  // out of the project, to this name
};

// A name of a module's namespace.
struct Visible {
    Text name;
    Index file = -1;  // whose bindings the next one counts: another file's after a star import
    Index binding = -1;
    bool is_doubtful = false;  // star imports and other bindings compete for the name
};

class ProjectNames {
  public:
    ProjectNames(const Project& project, ModuleLookup modules);

    [[nodiscard]] const Facts& facts(Index file) const { return project_.files[static_cast<std::size_t>(file)].facts; }

    // Bindings of a class' or (-1) of the module's namespace, in order.
    [[nodiscard]] std::span<const Index> members(Index file, Index parent);
    [[nodiscard]] Index find(Index file, Index parent, Text name);

    [[nodiscard]] Target target(Index file, const Binding& binding) { return target(file, binding, 0); }
    [[nodiscard]] Target resolve(Index file, Text canonical) { return resolve(file, canonical, 0); }
    [[nodiscard]] Target member(Index file, Text name) { return member(file, name, 0); }
    [[nodiscard]] Index module(Index from_file, const Import& import);
    [[nodiscard]] Index module(Index from_file, Text dotted);

    // The module's namespace in the order of its __dict__, star imports included. False: a star import brings names
    // that nobody can tell.
    [[nodiscard]] bool visible(Index file, std::vector<Visible>& names);
    [[nodiscard]] bool has_stars(Index file) { return space(file).has_stars; }

  private:
    struct Space {
        std::vector<Index> grouped;  // bindings by parent
        std::vector<std::uint32_t> begins;
        std::vector<Index> slots;  // open addressing by (parent, name); -1: free
        bool has_stars = false;
    };

    Space& space(Index file);
    Target target(Index file, const Binding& binding, int depth);
    Target resolve(Index file, Text canonical, int depth);
    Target resolve_module(Index file, Text canonical, int depth);
    Target member(Index file, Text name, int depth);
    Target starred(Index file, Text name, int depth);
    Target imported(Index file, const Import& import, int depth);
    Target descend(Target target, Text rest, int depth);
    Target aliased(Index file, const Binding& binding, int depth);
    bool append_all(Index file, bool is_doubtful, int depth, std::vector<Visible>& names);
    bool append_star(Index file, const Import& import, bool is_doubtful, int depth, std::vector<Visible>& names);

    const Project& project_;
    ModuleLookup modules_;
    std::vector<Space> spaces_;
    // Of several files with a name the nearest counts, so that an answer is good for one directory.
    std::unordered_map<Text, std::unordered_map<Text, Index>> absolute_;
    std::unordered_map<Text, Index>* of_directory_ = nullptr;  // of the last who asked
    Text directory_;
    std::string scratch_;
};

// Is the value of a binding a dotted name, and no literal?
[[nodiscard]] bool is_name(Text value);

}  // namespace tach::analyzer
