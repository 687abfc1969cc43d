#include "zygote/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace tach::zygote {
namespace {

constexpr int kHarness = 200;
constexpr int kOwn = 600;
// What the engine keeps open: some twenty for looking at itself, and a copy of each descriptor for each of a few
// layers.
constexpr int kRoomOfEngine = 96;

// As the first call finds it, which is the interpreter's start: a test may lower the limit later.
int own_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= kEnoughDescriptors) return kOwn;
    return std::clamp(static_cast<int>(limit.rlim_max) - kRoomOfEngine, kRoomOfEngine / 2, kOwn);
}

}  // namespace

int lowest_own_descriptor() {
    static const int lowest = own_descriptors();
    return lowest;
}

int lowest_harness_descriptor() {
    return std::min(kHarness, lowest_own_descriptor() / 2);
}

}  // namespace tach::zygote
