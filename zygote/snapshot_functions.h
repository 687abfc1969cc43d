#pragma once

// The part of `_tach` that drives the snapshot engine; see harness/_tach.pyi for Python's view of it.

#include <cstdint>

struct PyMethodDef;

namespace tach::zygote {

// Tells the oracle of this process, if there is one, which item runs.
void tell_oracle(std::uint32_t item);

// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* snapshot_functions();

}  // namespace tach::zygote
