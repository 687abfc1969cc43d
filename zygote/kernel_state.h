#pragma once

// The guard of the snapshot engine: the state of this process that lives in the kernel. record() at a push; at every
// rewind check() tells whether what was left behind can be put back, and then restore() puts it back:
//
//   put back   descriptors (leaked ones closed, closed or replaced ones from duplicates) with their flags, offsets of
//              files that are open for reading only, offsets and sizes of pytest's capture files, signal dispositions,
//              alternate stack, interval timers, POSIX timers that are new, working directory, umask, resource limits,
//              process group, nice value, affinity, locks of memory where there were none (mlock(2)); pending signals
//              are drained; ended children are reaped (by check() already)
//   refused    threads, running children, credentials, session, no_new_privs, seccomp, and what could not be put back
//
// Not looked at: file locks, namespaces, System V objects; only native code or privileged calls can reach most of them.
// Allocates in the given resource in record() only. About 150 system calls; a single thread, with all signals blocked.

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "base/unique_fd.h"
#include "zygote/refusal.h"

namespace tach::zygote {

class KernelState {
  public:
    // Descriptors of /proc, to be opened once; numbers of ours are high.
    struct Probes {
        base::UniqueFd tasks;        // /proc/self/task, O_PATH
        base::UniqueFd descriptors;  // /proc/self/fd, O_PATH
        base::UniqueFd status;       // /proc/self/status
        base::UniqueFd timers;       // /proc/self/timers; invalid where the kernel has none
        [[nodiscard]] static base::Result<Probes> open();
    };

    KernelState(const Probes& probes, std::pmr::memory_resource* memory);
    ~KernelState();  // closes the duplicates
    KernelState(const KernelState&) = delete;
    KernelState& operator=(const KernelState&) = delete;

    [[nodiscard]] Refusal record();
    [[nodiscard]] Refusal check();
    // Whether the same files are open as at record(). Cheaper than check(), and of no consequence.
    [[nodiscard]] bool has_same_descriptors() const;
    // Only after check(), whose readings it uses. A refusal leaves the process in pieces: it must end.
    [[nodiscard]] Refusal restore();

  private:
    // struct sigaction as rt_sigaction(2) has it, so that it can be compared.
    struct Disposition {
        std::uintptr_t handler;
        std::uint64_t flags;
        std::uintptr_t restorer;
        std::uint64_t mask;
        friend bool operator==(const Disposition&, const Disposition&) = default;
    };
    static constexpr int kSignals = 64;
    static constexpr std::size_t kAffinityWords = 16;  // 1024 processors

    // All that is a plain value.
    struct Settings {
        std::array<Disposition, kSignals> dispositions{};
        std::array<std::uint64_t, 3> alternate_stack{};
        std::array<bool, 3> timers_armed{};
        mode_t umask = 0;
        std::array<rlimit, RLIM_NLIMITS> limits{};
        std::array<std::uint32_t, 6> credentials{};  // real, effective, saved user; the same of the group
        int no_new_privileges = 0;
        int seccomp = 0;
        pid_t session = 0;
        pid_t group = 0;
        long nice = 0;  // NOLINT(google-runtime-int): as the system call has it
        std::array<std::uint64_t, kAffinityWords> affinity{};
        std::int64_t locked_kib = 0;  // memory that must not be swapped out, see mlock(2); -1: unknown
    };

    struct Descriptor {
        int fd = -1;
        int copy = -1;       // of the same open file, or -1 if there is none
        int own_flags = 0;   // FD_CLOEXEC
        int file_flags = 0;  // O_NONBLOCK and the like
        bool lost = false;   // at the last check: closed, or another file
        dev_t device = 0;
        ino_t inode = 0;
        off_t offset = -1;  // -1: it has none
        off_t size = -1;    // -1: not to be restored
    };

    using TimerIds = std::array<int, 16>;  // -1: none; nobody has more

    void read(Settings& settings) const;
    void read_timers(TimerIds& ids) const;
    [[nodiscard]] Refusal check_timers();
    [[nodiscard]] Refusal record_descriptors();
    [[nodiscard]] Refusal check_threads() const;
    [[nodiscard]] static Refusal check_children();
    [[nodiscard]] Refusal check_settings() const;
    [[nodiscard]] bool is_same(const Descriptor& descriptor) const;
    [[nodiscard]] Refusal restore_descriptors();
    [[nodiscard]] Refusal restore_settings();
    [[nodiscard]] Refusal restore_directory();
    void close_others() const;
    [[nodiscard]] std::int64_t count_descriptors() const;
    [[nodiscard]] std::int64_t count_threads() const;
    [[nodiscard]] std::int64_t read_locked_memory() const;

    const Probes* probes_;
    Settings settings_;
    Settings now_;  // at the last check
    TimerIds timers_{};
    std::pmr::vector<Descriptor> descriptors_;
    std::pmr::vector<int> ours_;     // duplicates and the like: open, not compared; in order
    std::int64_t open_count_ = -1;   // -1: the kernel does not tell it (before Linux 6.2)
    bool can_compare_files_ = true;  // F_DUPFD_QUERY, Linux 6.10
    std::array<char, 4096> directory_{};
    std::size_t directory_length_ = 0;
    base::UniqueFd directory_fd_;
};

}  // namespace tach::zygote
