#pragma once

// The Python stack that faulthandler wrote for a test that hangs, as the user is to see it. Driven by the Session.

#include <sys/types.h>

#include <string>
#include <string_view>

namespace tach::supervisor {

// What the process has written on kStackSignal (shm/stack_signal.h); "" if that cannot be read.
[[nodiscard]] std::string read_stack(pid_t pid);

// Without the frames from tach's harness outwards, which are the same for every test, nor those of pytest that called
// the test.
[[nodiscard]] std::string shorten_stack(std::string_view stack);

}  // namespace tach::supervisor
