#pragma once

// From the source of one file to its facts. Never fails: what cannot be read is a diagnostic in the facts, and leaves
// them incomplete.

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/syntax.h"

namespace tach::analyzer {

// `source` is UTF-8 without a byte order mark. The facts refer to it and to the arena.
[[nodiscard]] Facts extract(Text source, Parser& parser, Arena& arena);

}  // namespace tach::analyzer
