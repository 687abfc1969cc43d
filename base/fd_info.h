#pragma once

// What the kernel says about a descriptor of this process in /proc/self/fdinfo: the way to check that a
// descriptor somebody sent us is of the kind it should be.

#include <string>
#include <string_view>

#include "base/result.h"

namespace tach::base {

// The value of the line "name:\tvalue", or an error of code EPROTO if the descriptor has no such line.
[[nodiscard]] Result<std::string> fd_info_field(int fd, std::string_view name);

}  // namespace tach::base
