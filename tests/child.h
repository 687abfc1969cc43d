#pragma once

// Child processes for tests: a body in a fork, and its end.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace tach::tests {

// Runs body() in a forked child, which ends with its result as exit status: no destructors, no atexit, no
// Catch2.
template <class Body>
[[nodiscard]] pid_t fork_child(Body&& body) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(std::forward<Body>(body)());
    return pid;
}

// Its exit status, or minus the signal that killed it.
[[nodiscard]] inline int end_of(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) std::abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// The lowest descriptor number that is free: unchanged across a piece of code, nothing leaked.
[[nodiscard]] inline int lowest_free_fd() {
    const int fd = ::dup(0);
    ::close(fd);
    return fd;
}

}  // namespace tach::tests
