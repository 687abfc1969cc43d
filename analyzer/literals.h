#pragma once

// Literals as a file writes them.

#include <optional>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/syntax.h"

namespace tach::analyzer {

// Of a string without prefix b or f; adjacent ones are joined.
[[nodiscard]] std::optional<Text> string_literal(Node node, Text source, Arena& arena);

}  // namespace tach::analyzer
