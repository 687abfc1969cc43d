#pragma once

// Which dotted names the files of a project can be imported by, and which file a name stands for.
//
// A file has a name for each directory of sys.path that it lies below. Which directories those are is known without
// running anything:
//   * the root directory (`python -m pytest`, an editable installation of a flat layout), its `src`, and the ini file's
//     pythonpath;
//   * in the import modes prepend and append: of each test file and conftest.py the first directory upwards without an
//     __init__.py, which pytest puts there (_pytest/pathlib.py, resolve_package_path).
// If a name is found below none of these, then the packages of other directories count, as those of a repository with
// several projects in it: each directory that holds a package and is in none, and each called `src`.
//
// Where one name stands for several files, the one counts that has most leading directories in common with the
// importer: of two `helpers.py` of two directories with tests, that of the importer's directory. Where this does not
// decide, the name is unknown to find(), and candidates() gives all of them, for who prefers one edge too many to one
// too few.
//
// Views into the project's texts, which must stay. Everything is hashed; making it is linear in the length of the
// paths.

#include <vector>

#include "analyzer/arena.h"
#include "analyzer/project.h"
#include "analyzer/text_index.h"

namespace tach::analyzer {

// The directory of a path, without the '/' at its end; empty: the root.
[[nodiscard]] Text parent_directory(Text path);

class Modules {
  public:
    explicit Modules(const Project& project);

    // The file that a name stands for, as seen from `importer`, if that is known; -1: none, or not to be decided.
    [[nodiscard]] Index find(Text dotted, Index importer = -1) const;

    // The same for a canonical name: one with leading dots is relative to the file's package, which is its directory,
    // whether it has an __init__.py or not. "." is the package itself.
    [[nodiscard]] Index find_from(Index file, Text canonical) const;

    // All files that a name may stand for, in the order of the project.
    [[nodiscard]] std::vector<Index> candidates(Text dotted, Index importer = -1) const;

    // The longest part of a canonical name that is a module, and how much of the name that is, without a dot after it.
    // Of a relative name, the package that the dots stand for counts as well.
    struct Prefix {
        Index file = -1;
        std::size_t size = 0;
    };
    [[nodiscard]] Prefix find_prefix(Index file, Text canonical) const;

    // What __name__ is in it, in the project's import mode; empty for what is no module.
    [[nodiscard]] Text name(Index file) const { return names_[file]; }

    // The __init__.py that has run before this file runs as part of its package; -1: none.
    [[nodiscard]] Index package(Index file) const;

    // The __init__.py of a directory; -1: none.
    [[nodiscard]] Index init_of(Text directory) const;

    [[nodiscard]] Index file_at(Text path) const;

    // Whether a name, or a package, has led to the file since this was made. Whatever depends on what another file says
    // has come there by a name: if none leads to a file, nothing but what is said of itself can depend on it. That does
    // not go for conftest.py files.
    [[nodiscard]] bool was_found(Index file) const { return found_[file] != 0; }

  private:
    struct Name {
        Index file;
        bool strong;  // below a directory that is in sys.path for certain
    };

    [[nodiscard]] Index module_at(Text stem) const;
    [[nodiscard]] Text package_root(Text path) const;
    void add_search_directory(Text directory, bool strong);
    void find_search_directories();
    void add_names(Index file);
    [[nodiscard]] Text chosen_name(Index file, Text dotted);
    [[nodiscard]] Text importlib_name(Text path);
    Index noted(Index file) const {
        if (file >= 0) found_[file] = 1;
        return file;
    }

    const Project& project_;
    Arena arena_;
    TextIndex files_;        // by path
    TextIndex stems_;        // by path, without ".py" or "/__init__.py"
    TextIndex directories_;  // searched; value 1: strong
    TextIndex by_name_;      // into places_
    std::vector<Name> places_;
    std::vector<Text> names_;  // of each file
    Text root_package_;        // the root's own name, if it has an __init__.py
    mutable std::vector<char> found_;
};

}  // namespace tach::analyzer
