#pragma once

// Whether a snapshot engine works here: for this kernel, user and container. Found by doing it, in a process made for
// that, since what denies it (a seccomp filter, a sysctl, a security module) can hardly be listed.

#include "base/result.h"
#include "zygote/rewinder.h"

namespace tach::zygote {

// Pushes a layer and rewinds to it. Takes a few milliseconds; the caller must be single-threaded. The error says what
// was denied: EPERM or EACCES by a rule, EOPNOTSUPP or ENOSYS by an old kernel, ECHILD: the process died of it.
[[nodiscard]] base::Result<void> try_engine(Rewinder::Engine engine);

}  // namespace tach::zygote
