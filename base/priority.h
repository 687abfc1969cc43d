#pragma once

// How urgent this process is, and those that it starts from now on.

namespace tach::base {

// It gets what processor time others leave (SCHED_IDLE; nice 19 for file systems and for what does not know that).
// There is no way back, and no failure that would matter.
void yield_to_others();

}  // namespace tach::base
