#include "supervisor/foreground.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "base/unique_fd.h"

namespace tach::supervisor {

Foreground::Foreground(int fd) : fd_(fd), controls_(::isatty(fd) == 1 && ::tcgetpgrp(fd) >= 0) {}

bool Foreground::is_ours() const {
    return !controls_ || ::tcgetpgrp(fd_) == ::getpgrp();
}

// A group in the background that calls tcsetpgrp(3) is stopped by SIGTTOU, unless that is blocked.
void Foreground::put_in_front(pid_t group) const {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    static_cast<void>(::tcsetpgrp(fd_, group));  // a group that has ended meanwhile: it cannot read either
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Foreground::lend(pid_t group) {
    if (!controls_) return;
    termios settings{};
    if (::tcgetattr(fd_, &settings) == 0) settings_ = settings;
    lent_ = true;
    put_in_front(group);
}

void Foreground::take_back() {
    if (!lent_) return;
    lent_ = false;
    put_in_front(::getpgrp());
    if (settings_) static_cast<void>(::tcsetattr(fd_, TCSADRAIN, &*settings_));
    settings_.reset();
}

// proc(5), syscall: number and arguments of the call in which a process waits; of a stopped one, that it was stopped
// in.
bool Foreground::is_wanted_by(pid_t pid) const {
    if (!controls_) return false;
    const base::UniqueFd file(::open(fmt::format("/proc/{}/syscall", pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return false;
    std::array<char, 256> text{};
    if (::read(file.get(), text.data(), text.size() - 1) <= 0) return false;
    char* end = nullptr;
    const long number = std::strtol(text.data(), &end, 10);
    if (end == text.data() || (number != SYS_read && number != SYS_ioctl)) return false;
    const unsigned long read_fd = std::strtoul(end, nullptr, 16);
    struct stat theirs {};
    struct stat ours {};
    if (::stat(fmt::format("/proc/{}/fd/{}", pid, read_fd).c_str(), &theirs) != 0 || ::fstat(fd_, &ours) != 0)
        return false;
    // /dev/tty has a number of its own (char 5:0) and stands for whatever terminal controls the process.
    constexpr dev_t kDevTty = 5U << 8U;
    return S_ISCHR(theirs.st_mode) && (theirs.st_rdev == ours.st_rdev || theirs.st_rdev == kDevTty);
}

}  // namespace tach::supervisor
