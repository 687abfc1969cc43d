#pragma once

// What a project says about its tests, read as pytest reads it: the root directory, the ini file, and those options of
// it, of addopts and of the command line that decide what is collected. Source: _pytest/config/findpaths.py,
// _pytest/config/__init__.py, _pytest/main.py and _pytest/python.py of pytest 7.4, 8.4 and 9.2. Where those differ, the
// major version decides that the caller names.
//
// What cannot be known without running something is not here: collect_ignore of a conftest file, options that plugins
// add (of common ones it is known whether a value follows), plugins that change what is collected.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace tach::analyzer {

enum class ImportMode : std::uint8_t { kPrepend, kAppend, kImportlib };

struct SettingsProblem {
    std::string file;        // absolute; empty: the command line
    std::uint32_t line = 0;  // 0: of the file as a whole
    std::string message;
};

// Paths below the root are relative to it, "." is the root, and what lies outside is absolute. Lists and texts only, so
// that a cache can keep it.
struct Settings {
    // pytest's rootdir and where pytest is started: absolute, normalised; links in it stay, as pytest leaves them.
    std::string root;
    std::string directory;
    std::uint32_t pytest = 9;  // the major version
    // The tree below the root is the project: it has an ini file or a setup.py, or pytest is started there. Otherwise
    // the root is no more than what the arguments have in common, and may be all of a disk.
    bool is_anchored = true;
    std::string ini_file;    // empty: none
    std::string confcutdir;  // conftest files above it do not count

    // What is collected: arguments, or testpaths, or ".". In this order, without what pytest drops because another one
    // has it; the part of a node id after "::" is in node_ids. Empty if there is none of what the arguments name.
    std::vector<std::string> paths;
    std::vector<std::string> node_ids;  // of paths that are collected in part: "tests/test_a.py::TestB::test_c[1]"

    std::vector<std::string> python_files{"test_*.py", "*_test.py"};
    std::vector<std::string> python_classes{"Test"};
    std::vector<std::string> python_functions{"test"};
    std::vector<std::string> norecursedirs{"*.egg", ".*",           "_darcs", "build", "CVS",
                                           "dist",  "node_modules", "venv",   "{arch}"};
    std::vector<std::string> pythonpath;
    std::vector<std::string> usefixtures;
    std::vector<std::string> doctest_glob{"test*.txt"};  // of text files; empty: none is collected
    std::vector<std::string> ignore;                     // --ignore
    std::vector<std::string> ignore_glob;                // --ignore-glob: patterns of absolute paths
    std::vector<std::string> plugins;                    // -p NAME, without those that "no:NAME" takes out again
    ImportMode import_mode = ImportMode::kPrepend;
    bool doctest_modules = false;
    bool consider_namespace_packages = false;
    bool collect_imported_tests = true;
    bool collect_in_virtualenv = false;
    bool keep_duplicates = false;
    bool noconftest = false;
    bool pyargs = false;
    bool keeps_ids_unescaped = false;  // disable_test_id_escaping_and_forfeit_all_rights_to_community_support
    bool deselects = false;            // node ids, -k, -m, --deselect, --lf and the like: not all tests run

    std::vector<std::string> files_read;  // absolute: what it was made from
    std::vector<SettingsProblem> problems;
};

// How pytest is started.
struct Invocation {
    std::string directory;               // its working directory, as getcwd() tells it: absolute, without a link
    std::vector<std::string> arguments;  // paths, node ids and options
    std::string addopts;                 // PYTEST_ADDOPTS
    std::uint32_t pytest = 9;
};

// An Error only if `directory` is none. What is wrong in a file or an argument is in `problems`, and the settings are
// then what the rest says; pytest itself mostly refuses to run with them.
[[nodiscard]] base::Result<Settings> read_settings(const Invocation& invocation);

[[nodiscard]] base::Result<Settings> read_settings(const std::string& directory,
                                                   const std::vector<std::string>& arguments);

}  // namespace tach::analyzer
