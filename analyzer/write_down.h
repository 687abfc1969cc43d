#pragma once

// From a project and all that was found out about it to the analysis that is written down.

#include <span>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/import_graph.h"
#include "analyzer/modules.h"
#include "analyzer/project.h"
#include "analyzer/rules.h"
#include "analyzer/source_text.h"
#include "analyzer/tests.h"
#include "analyzer/toxicity.h"
#include "analyzer/walk.h"
#include "shm/analysis_file.h"

namespace tach::analyzer {

struct Findings {
    const Project& project;
    const std::vector<WalkProblem>& walk_problems;
    const std::vector<ContentHash>& hashes;     // of project.files
    const std::vector<std::size_t>& collected;  // test files in pytest's order, places in project.files
    const Modules& modules;
    const ImportGraph& graph;
    const RuleSet& rules;
    const Toxicity& toxicity;
    const Tests& tests;
};

// Of discovery: by file and place, whichever test has come first to what is wrong.
[[nodiscard]] std::vector<shm::analysis::Diagnostic> told(std::span<const FileDiagnostic> diagnostics, Arena& arena);

// Views into all of these and into the arena.
[[nodiscard]] shm::analysis::Analysis write_down(const Findings& findings, Arena& arena);

}  // namespace tach::analyzer
