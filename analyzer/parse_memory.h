#pragma once

// Memory for tree-sitter in a process that does nothing but parse: a tenth of its time went into malloc and free, which
// are made for any program.
//
// Small pieces are cut from large ones and kept, by size, for the next one of that size; nothing goes back to the
// system before the process ends. Each file begins anew with the same memory, in order, which the processor's caches
// still have. Not thread-safe.

namespace tach::analyzer {

// From now on. Nothing of tree-sitter's from before may be used afterwards.
void use_parse_memory();

// Nothing of tree-sitter's is in use.
void reuse_parse_memory();

}  // namespace tach::analyzer
