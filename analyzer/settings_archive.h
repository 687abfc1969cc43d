#pragma once

// What settings consist of, for archive.h: two that have the same bytes lead to the same analysis.

#include "analyzer/settings.h"
#include "shm/archive.h"

namespace tach::analyzer {

template <class Archive>
void parts(Archive& archive, SettingsProblem& problem) {
    archive(problem.file, problem.line, problem.message);
}

template <class Archive>
void parts(Archive& archive, Settings& s) {
    archive(s.root, s.directory, s.pytest, s.is_anchored, s.ini_file, s.confcutdir, s.paths, s.node_ids);
    archive(s.python_files, s.python_classes, s.python_functions, s.norecursedirs, s.pythonpath, s.usefixtures);
    archive(s.doctest_glob, s.ignore, s.ignore_glob, s.plugins, s.import_mode, s.doctest_modules);
    archive(s.consider_namespace_packages, s.collect_imported_tests, s.collect_in_virtualenv, s.keep_duplicates);
    archive(s.noconftest, s.pyargs, s.keeps_ids_unescaped, s.deselects, s.files_read, s.problems);
}

}  // namespace tach::analyzer
