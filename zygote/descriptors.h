#pragma once

// Where descriptors of the snapshot engine are: above what tests look at and what the channel has (shm/channel.cpp),
// below the usual soft limit of 1024. What is open there is neither a test's nor a fixture's. A guess.

namespace tach::zygote {

// From here on, of the harness: its Unix socket and what it moves out of the way of tests that look at the numbers they
// get.
inline constexpr int kLowestHarnessDescriptor = 200;

// From here on, of the snapshot engine: above what tests look at and what the channel has (shm/channel.cpp), below the
// usual soft limit of 1024. What is open there is neither a test's nor a fixture's.
inline constexpr int kLowestOwnDescriptor = 600;

}  // namespace tach::zygote
