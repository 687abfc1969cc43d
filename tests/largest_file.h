#pragma once

// No room on the disk, as far as this process sees: no file of it can grow beyond a limit while this is there. write()
// takes what fits, and then fails.

#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

namespace tach::test {

class LargestFile {
  public:
    explicit LargestFile(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        if (::getrlimit(RLIMIT_FSIZE, &before_) != 0) throw std::runtime_error("getrlimit");
        const rlimit limit{bytes, before_.rlim_max};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
    }
    ~LargestFile() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }
    LargestFile(const LargestFile&) = delete;
    LargestFile& operator=(const LargestFile&) = delete;

  private:
    using Handler = void (*)(int);
    Handler handler_;
    rlimit before_{};
};

}  // namespace tach::test
