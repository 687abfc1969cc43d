#pragma once

// The part of `_tach` that drives the snapshot engine; see harness/_tach.pyi for Python's view of it.

struct PyMethodDef;

namespace tach::zygote {

// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* snapshot_functions();

}  // namespace tach::zygote
