#pragma once

// What pytest writes between the brackets of a test's node id: the ids of one parametrization made unique, and the
// product of several. _pytest/python.py: IdMaker.make_unique_parameterset_ids, Metafunc.parametrize.

#include <functional>
#include <span>
#include <vector>

#include "analyzer/arena.h"
#include "analyzer/facts.h"

namespace tach::analyzer {

// Versions of pytest are major * 100 + minor; 0: not known, then an id is known only if all versions agree on it.
using PytestVersion = int;

// The ids of one parametrization. is_known: false as soon as one of them is not.
struct IdList {
    bool is_known = false;
    std::vector<Text> ids;
};

// resolve(canonical): the __name__ of what a reference stands for; empty: not known.
[[nodiscard]] IdList ids_of(const Parameters& parameters, const std::function<Text(Text)>& resolve,
                            PytestVersion version, Arena& arena);

// All combinations, the first list being the slowest to change, joined by "-".
void join_ids(std::span<const IdList* const> lists, const std::function<void(Text)>& visit);

}  // namespace tach::analyzer
