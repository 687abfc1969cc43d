#pragma once

// The import hook: modules out of a bytecode image, see shm/bytecode_image.h.
//
// bytecode_install() puts two functions of ours in the place of importlib's. PathFinder.find_spec walks the search path
// as PathFinder does and answers only for what it knows to be what PathFinder would find: a source, with an ordinary
// spec and an ordinary SourceFileLoader. SourceFileLoader.get_code answers if the image has the code of what the source
// is now. For everything else, from extension modules to loaders that somebody has changed, both call the originals.
// See docs/loader.md.
//
// All functions are called with the GIL, in the process that installed the hook and in those that are forked from it.

struct PyMethodDef;

namespace tach::zygote {

// bytecode_open(path, interpreter_key, paranoid) -> str: "" if the image is open; else why it is not. An image for
//     another interpreter, and none at all, are not worth a word to the user: their reasons begin with a blank.
// bytecode_install(): from here on imports are looked for in the image.
// bytecode_rewritten(path) -> code | None: what pytest's rewriter has made of the source, if it is in the image.
// bytecode_rewriter_key() -> str: of the open image; "" if there is none.
// bytecode_has(rewritten, path) -> bool: whether the image knows the source at all, as it is or as it was.
// bytecode_counts() -> (hits, stale, unsigned, damaged): code that was taken from the image; sources that had changed;
// hits
//     for which contents had to be compared; 1 if the image was damaged.
PyMethodDef* import_functions();

}  // namespace tach::zygote
