#pragma once

// Arranges the allocators of a process that will be rewound so that ordinary tests leave its mappings as they are:
// putting mappings back costs a rewind about a millisecond (`repairs`, see snapshot.h), which is more than all the
// rest.
//
//   pymalloc   Its arenas come from a range that is reserved beforehand. Arenas that existed before and that a test
//              empties are kept for the next request, not unmapped: the image has them.
//   glibc      Requests up to 4 MiB come from the heap, which is extended beforehand and never trimmed; threads use the
//              one arena.
//
// Where the range or the heap is exhausted, all is as usual: mapped, and after the test unmapped again.

namespace tach::zygote {

// Once, before the first layer is captured; by the one thread that there is. What cannot be arranged is left alone.
void arrange_allocators();

}  // namespace tach::zygote
