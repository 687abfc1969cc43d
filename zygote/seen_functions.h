#pragma once

// The part of `_tach` that remembers, for all processes of a run together, which numbers were seen before: lines that
// tests have executed and that are told already (harness/tach_harness/measured.py). It is shared memory, so that no
// rewind forgets it.

struct PyMethodDef;

namespace tach::zygote {

// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* seen_functions();

}  // namespace tach::zygote
