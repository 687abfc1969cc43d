#pragma once

// Arranges pymalloc, in a process that will be rewound, so that ordinary tests leave the mappings as they are: putting
// mappings back costs a rewind about a millisecond (`repairs`, see snapshot.h), which is more than all the rest.
//
// Its arenas come from a range that is reserved beforehand. An arena that a test empties, be it one that the image has,
// is kept for the next request in place of being unmapped; its pages are given back at once, as tests can see by the
// memory that the process uses. Where the range is exhausted, arenas are mapped as usual.
//
// glibc is left alone: whatever keeps its heap as it is (mallopt(3): a higher mmap threshold, no trim) keeps freed
// memory from the kernel as well, and a test that looks whether it was freed would fail.

namespace tach::zygote {

// Once, before the first layer is captured, by the one thread that there is. What cannot be arranged is left alone.
void arrange_arenas();

}  // namespace tach::zygote
