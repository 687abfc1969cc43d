#pragma once

// How the supervisor has a test's process write down where it is, although the test hangs, perhaps in C: by this
// signal, on which faulthandler writes the stacks of all threads into a memfd that the harness has made (CrashFile).

#include <string_view>

namespace tach::shm {

// A real-time signal (signal(7)) that nobody else is known to use: glibc has the first three, debuggers none.
inline constexpr int kStackSignal = 61;

// The name of the memfd, by which it is found among a process' descriptors.
inline constexpr std::string_view kStackFile = "tach-stack";

}  // namespace tach::shm
