#pragma once

// What a project says about its tests, read as pytest reads it: the root directory, the ini file, and those options of
// it and of addopts that decide what is collected. Source: _pytest/config/findpaths.py, _pytest/main.py and
// _pytest/python.py of pytest 7 to 9.

#include <cstdint>
#include <string>
#include <vector>

namespace tach::analyzer {

enum class ImportMode : std::uint8_t { kPrepend, kAppend, kImportlib };

struct SettingsProblem {
    std::string file;
    std::uint32_t line = 0;  // 0: of the file as a whole
    std::string message;
};

struct Settings {
    std::string root;                // absolute, without a link in it: pytest's rootdir
    std::string ini_file;            // relative to the root; empty: none
    std::vector<std::string> paths;  // what is collected, relative to the root: arguments, or testpaths, or "."
    std::vector<std::string> python_files{"test_*.py", "*_test.py"};
    std::vector<std::string> python_classes{"Test"};
    std::vector<std::string> python_functions{"test"};
    std::vector<std::string> norecursedirs{"*.egg", ".*",           "_darcs", "build", "CVS",
                                           "dist",  "node_modules", "venv",   "{arch}"};
    std::vector<std::string> pythonpath;  // relative to the root
    std::vector<std::string> usefixtures;
    std::vector<std::string> doctest_glob;  // of text files; empty: none is collected
    std::vector<std::string> ignore;        // --ignore of addopts, relative to the root
    std::vector<std::string> ignore_glob;   // --ignore-glob
    std::vector<std::string> plugins;       // -p NAME of addopts, without "no:NAME"
    ImportMode import_mode = ImportMode::kPrepend;
    bool doctest_modules = false;
    bool consider_namespace_packages = false;
    bool collect_in_virtualenv = false;
    bool collect_imported_tests = true;  // pytest 8.4 and later
    bool keeps_ids_unescaped = false;  // disable_test_id_escaping_and_forfeit_all_rights_to_community_support
    bool deselects = false;            // -k, -m, --deselect, --lf and the like in addopts: not all tests run
    std::vector<SettingsProblem> problems;
};

}  // namespace tach::analyzer
