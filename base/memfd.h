#pragma once

// Anonymous shared memory: a memfd whose size can never change again, so that a mapping of it can never raise
// SIGBUS, whatever the process at the other end does.

#include <cstddef>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

// `size` zero bytes, close-on-exec, sealed against growing, shrinking and further seals. `name` shows in
// /proc only.
[[nodiscard]] Result<UniqueFd> create_sealed_memfd(const char* name, std::size_t size);

// Whether a descriptor that somebody sent us is such a memfd of exactly this size.
[[nodiscard]] Result<void> check_sealed_memfd(int fd, std::size_t size);

}  // namespace tach::base
