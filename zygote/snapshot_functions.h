#pragma once

// The part of `_tach` that drives the snapshot engine; see harness/_tach.pyi for Python's view of it.

#include <cstdint>

struct PyMethodDef;

namespace tach::zygote {

// Tells the oracle of this process, if there is one, which item runs.
void tell_oracle(std::uint32_t item);

// The socket to the supervisor, -1 without one. To be provided by whoever uses the functions.
[[nodiscard]] int supervisor_socket();

// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* snapshot_functions();

}  // namespace tach::zygote
