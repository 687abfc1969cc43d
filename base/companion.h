#pragma once

// A program that works for us for as long as we live, and that we talk with over a stream socket: its descriptor
// kCompanionSocket. It reads /dev/null, and what it prints is kept aside, so that nothing disturbs the conversation. It
// dies with us, dumps no core, and is in a process group of its own: what a terminal sends to ours (Ctrl-C) is our
// business.
//
// The caller has one thread. Not thread-safe.

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::base {

inline constexpr int kCompanionSocket = 3;  // the first after the standard ones

class Companion {
  public:
    // The program is a path. Codes ENOENT, EACCES, ...: it cannot be executed.
    [[nodiscard]] static Result<Companion> start(const std::vector<std::string>& command);
    ~Companion();
    Companion(Companion&& other) noexcept;
    Companion& operator=(Companion&& other) noexcept;
    Companion(const Companion&) = delete;
    Companion& operator=(const Companion&) = delete;

    [[nodiscard]] int socket() const { return socket_.get(); }  // ours: non-blocking; at its end: it has died
    // What it has printed so far, at most the last 64 KiB.
    [[nodiscard]] std::string said() const;
    // Kills it if it is still there. Its exit code; 128 and the number of the signal that ended it. Once.
    [[nodiscard]] int end();

  private:
    Companion() = default;

    pid_t pid_ = -1;  // -1: it has been waited for
    UniqueFd socket_;
    UniqueFd output_;
};

}  // namespace tach::base
