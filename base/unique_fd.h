#pragma once

// The owner of one file descriptor. A parameter of type UniqueFd takes ownership, an int borrows.

#include <utility>

#include "base/result.h"

namespace tach::base {

class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    ~UniqueFd() { reset(); }

    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool valid() const { return fd_ >= 0; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

    // Closes what it holds (errno stays as it was) and takes `fd`.
    void reset(int fd = -1);

    // A second descriptor of the same open file, close-on-exec, numbered `lowest` or higher.
    [[nodiscard]] Result<UniqueFd> duplicate(int lowest = 0) const;

  private:
    int fd_ = -1;
};

}  // namespace tach::base
