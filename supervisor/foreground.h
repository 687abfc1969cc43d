#pragma once

// The terminal's foreground process group, as job control has it: who may read, and whom the keys Ctrl-C and Ctrl-Z
// concern. Driven by the Session, which lends it to a test that stops in a debugger; see tcsetpgrp(3).
//
// The descriptor is the supervisor's standard input and is borrowed. Where that is no terminal, or not the one that
// controls this process, nothing needs lending: whoever asks may read.

#include <sys/types.h>
#include <termios.h>

#include <optional>

namespace tach::supervisor {

class Foreground {
  public:
    explicit Foreground(int fd);
    ~Foreground() { take_back(); }
    Foreground(const Foreground&) = delete;
    Foreground& operator=(const Foreground&) = delete;

    // Whether it is a terminal that decides who may read.
    [[nodiscard]] bool is_terminal() const { return controls_; }

    // Whether our own group has it now: false while the shell runs us in the background.
    [[nodiscard]] bool is_ours() const;

    // Makes `group` the one in front. Until take_back() the keys are its, and settings of the terminal are remembered.
    void lend(pid_t group);

    // Our own group is in front again, with the settings that there were: a debugger that was killed has not put them
    // back. Does nothing unless it is lent.
    void take_back();

    // Whether `pid`, which is stopped, waits in the kernel for this terminal to be its own: it reads from it or sets
    // it.
    [[nodiscard]] bool is_wanted_by(pid_t pid) const;

  private:
    void put_in_front(pid_t group) const;

    int fd_;
    bool controls_;
    bool lent_ = false;
    std::optional<termios> settings_;
};

}  // namespace tach::supervisor
