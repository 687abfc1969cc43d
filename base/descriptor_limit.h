#pragma once

// RLIMIT_NOFILE, which is the user's and which tests may look at, against what tach itself needs. The limit decides
// which numbers a new descriptor may have; one that is open already stays open whatever becomes of it. So tach raises
// the limit while it makes descriptors of its own and puts it back at once. Not for several threads at a time.

#include <sys/resource.h>

namespace tach::base {

// While it lives, descriptors may have numbers up to `wanted` (exclusive), or as far as the hard limit goes. Root may
// exceed that.
class DescriptorRoom {
  public:
    explicit DescriptorRoom(rlim_t wanted);
    ~DescriptorRoom();
    DescriptorRoom(const DescriptorRoom&) = delete;
    DescriptorRoom& operator=(const DescriptorRoom&) = delete;

    [[nodiscard]] bool enough() const { return enough_; }
    [[nodiscard]] const rlimit& before() const { return before_; }

  private:
    rlimit before_{};
    bool changed_ = false;
    bool enough_ = true;
};

// While it lives, the limit is `limit`, such as that of a process to be started.
class DescriptorLimit {
  public:
    explicit DescriptorLimit(const rlimit& limit);
    ~DescriptorLimit();
    DescriptorLimit(const DescriptorLimit&) = delete;
    DescriptorLimit& operator=(const DescriptorLimit&) = delete;

  private:
    rlimit before_{};
};

}  // namespace tach::base
