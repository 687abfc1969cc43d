#pragma once

// The part of `_tach` that tells whether a test has changed state that something reads after it: see the harness'
// watch.py, which says what is looked at.
//
// A fingerprint is a number over the contents of objects: of what is mutable the contents, of what is not the value, of
// everything else the address. Reference counts and caches are left out. Nothing is written to the objects but
// reference counts, and no code of theirs runs. What is too large is looked at breadth first, so that what is left out
// is what lies deepest: of that, too, the address.

struct PyMethodDef;

namespace tach::zygote {

// watch_fingerprint(roots, describe, anew=False) -> int
//     `roots`: a sequence of (mapping, keys, names): the values of a dict under `keys`, or with None all that is
//     reached from any object. `names`: a set of str, the attributes of instances that are looked at; None: all of
//     them. `describe(type) -> (WatchKind, dict of the class or None, descriptors of slots)`: asked once for each type,
//     or with `anew` once in this call.
// Ends with a null entry, as PyModule_AddFunctions wants it.
[[nodiscard]] PyMethodDef* watch_functions();

}  // namespace tach::zygote
