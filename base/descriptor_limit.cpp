#include "base/descriptor_limit.h"

#include <algorithm>

namespace tach::base {

DescriptorRoom::DescriptorRoom(rlim_t wanted) {
    if (::getrlimit(RLIMIT_NOFILE, &before_) != 0 || before_.rlim_cur >= wanted) return;
    rlimit raised{.rlim_cur = wanted, .rlim_max = std::max(wanted, before_.rlim_max)};
    changed_ = ::setrlimit(RLIMIT_NOFILE, &raised) == 0;
    if (changed_) return;
    enough_ = false;
    raised = {.rlim_cur = before_.rlim_max, .rlim_max = before_.rlim_max};
    changed_ = ::setrlimit(RLIMIT_NOFILE, &raised) == 0;
}

DescriptorRoom::~DescriptorRoom() {
    if (changed_) ::setrlimit(RLIMIT_NOFILE, &before_);
}

DescriptorLimit::DescriptorLimit(const rlimit& limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

DescriptorLimit::~DescriptorLimit() {
    ::setrlimit(RLIMIT_NOFILE, &before_);
}

}  // namespace tach::base
