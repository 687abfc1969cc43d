#pragma once

// Where descriptors of ours are: above what tests look at, in bulk too, below the usual soft limit of 1024, which is no
// bar to them (base/descriptor_limit.h). Where the hard limit is lower, as high as leaves room for them. What is open
// there is neither a test's nor a fixture's.

namespace tach::zygote {

// From here on, of the harness: its Unix socket and what it moves out of the way of tests that look at the numbers they
// get. 200: a guess.
[[nodiscard]] int lowest_harness_descriptor();

// From here on, of the snapshot engine: above what the channel has (shm/channel.cpp). 600: a guess.
[[nodiscard]] int lowest_own_descriptor();

// The limit of open files that all of it fits under, where that of the user is lower.
inline constexpr int kEnoughDescriptors = 1024;

}  // namespace tach::zygote
