#pragma once

// The three descriptors that a command starts with, as main treats them. What a user or a program waits for must not be
// lost in silence: a full disk or a stdout that was closed is an error, and so is the run then.

#include <string_view>

#include "base/result.h"

namespace tach::supervisor {

// First thing in main: takes the numbers that are closed (`>&-`), so that no file of ours gets one of them and with it
// what is printed. Reading from and writing to them goes on to fail, but for stderr, which then leads nowhere.
void hold_standard_streams();

// All of it, also to what somebody else has made non-blocking. False, with errno, if that is impossible.
[[nodiscard]] bool write_all(int fd, std::string_view bytes);

// All of it. That the reader has gone on purpose (`| head`) is no error.
[[nodiscard]] base::Result<void> write_stdout(std::string_view text);

// The same for what has been printed elsewhere: `error` is errno, or 0.
[[nodiscard]] base::Result<void> printed(int error);

}  // namespace tach::supervisor
