#pragma once

// All files of a project with what each says, as discovery, the import graph and toxicity see it. Read-only once made.

#include <string>
#include <vector>

#include "analyzer/facts.h"
#include "analyzer/settings.h"

namespace tach::analyzer {

struct SourceFile {
    std::string path;      // relative to Settings::root, with '/'; of what lies outside of it: absolute
    bool is_test = false;  // pytest collects it: by python_files, below the paths that are collected
    bool is_conftest = false;
    bool is_text = false;      // no Python: a text file with doctests that pytest collects
    bool is_left_out = false;  // only its path counts: its facts are not here, and nothing is found out about it
    Facts facts;
};

struct FileDiagnostic {
    Index file = -1;
    Diagnostic diagnostic;
    Text about;  // of discovery: the unknown fixture that a test asks for. Told for the first test alone that does
};

struct Project {
    Settings settings;
    std::vector<SourceFile> files;  // in order of the path, bytewise
};

}  // namespace tach::analyzer
