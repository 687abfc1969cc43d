#pragma once

// Finds the files of a project: those that pytest collects, by pytest's own rules, and all other Python files that they
// may import. Nothing is read but directories; what a file is, is told by its name and its place.
//
// pytest goes down from each collected path through every directory but those that norecursedirs, --ignore or
// --ignore-glob name, __pycache__ and virtual environments; links to directories are followed. What is named itself is
// collected whatever the rules say. Source: pytest_ignore_collect, Session and Dir of _pytest/main.py, Package and
// pytest_collect_file of _pytest/python.py, _pytest/doctest.py.
//
// For imports, everything else below the root is looked through, and what pythonpath names: not hidden directories,
// environments and __pycache__, and of those that norecursedirs name only packages ("build" may be one).
//
// A walk is kept and given to the next one: a directory whose signature is as it was is not listed again, which leaves
// one fstatat for each file and directory. A walk by other settings is not used.
//
// Not as pytest does it: a link to a directory that it is in is not followed (pytest goes round 40 times).

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/facts.h"
#include "analyzer/settings.h"
#include "base/result.h"

namespace tach::analyzer {

// Two signatures that are equal are those of the same content, if the older one was settled when it was taken.
struct Signature {
    std::int64_t size = 0;
    std::int64_t mtime_ns = 0;  // since the epoch
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Signature&, const Signature&) = default;
};

// A file system's clock goes in steps, so a file that was changed just before `now_ns` may change once more without
// another signature.
[[nodiscard]] bool is_settled(const Signature& signature, std::int64_t now_ns);

struct WalkedFile {
    std::string path;  // as of Settings
    Signature signature;
    bool is_test = false;      // pytest collects it as a module of tests
    bool is_doctest = false;   // ... or for its docstrings: --doctest-modules. Not so a setup.py with setuptools in it
    bool is_text = false;      // ... or as a text with doctests
    bool is_conftest = false;  // it is called conftest.py, and pytest takes notice of it
};

// Of interest in a directory: directories, links, Python files, texts with doctests, and what marks an environment.
enum class EntryKind : std::uint8_t { kFile, kDirectory, kLink };

struct WalkedEntry {
    std::string name;
    EntryKind kind = EntryKind::kFile;
};

struct WalkedDirectory {
    std::string path;
    Signature signature;  // all zero: it was not settled
    std::vector<WalkedEntry> entries;
};

struct WalkProblem {
    Severity severity = Severity::kNote;
    std::string path;
    std::string message;
};

struct Walk {
    std::string rules;                         // of the settings that it went by
    std::int64_t taken_ns = 0;                 // when it began, for is_settled
    std::uint64_t listed = 0;                  // directories that had to be listed
    std::vector<WalkedFile> files;             // in order of the path, bytewise
    std::vector<WalkedDirectory> directories;  // likewise
    std::vector<WalkProblem> problems;         // likewise
};

// An Error only if the root is no directory that can be opened.
[[nodiscard]] base::Result<Walk> walk(const Settings& settings, Walk earlier = {});

// Places in `files` of those that pytest 8 and later collects, in its order: by the paths of the settings, and in each
// directory files and directories together by name, __init__.py first.
[[nodiscard]] std::vector<std::size_t> collection_order(const Settings& settings, const std::vector<WalkedFile>& files);

}  // namespace tach::analyzer
