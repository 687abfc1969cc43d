#pragma once

// Where descriptors of the snapshot engine are: above what tests look at and what the channel has (shm/channel.cpp),
// below the usual soft limit of 1024. What is open there is neither a test's nor a fixture's. A guess.

namespace tach::zygote {

inline constexpr int kLowestOwnDescriptor = 600;

}  // namespace tach::zygote
