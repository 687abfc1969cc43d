#pragma once

// The part of `_tach` that gives tests the room for recursion that they have under pytest, below which there are fewer
// frames than below our workers: the interpreter's limit is that much higher than sys.getrecursionlimit() says.

struct PyMethodDef;

namespace tach::zygote {

// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* recursion_functions();

}  // namespace tach::zygote
