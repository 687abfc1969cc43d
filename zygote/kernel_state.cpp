#include "zygote/kernel_state.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <string_view>

#include "base/descriptor_limit.h"
#include "zygote/descriptors.h"
#include "zygote/guard.h"
#include "zygote/thread_grace.h"

namespace tach::zygote {
namespace {

// include/uapi/linux/fcntl.h, Linux 6.10: F_LINUX_SPECIFIC_BASE + 3
constexpr int kDupFdQuery = 1024 + 3;
// pytest's capture files, made by process.py
constexpr const char* kCaptureName = "/memfd:tach-capture";

constexpr std::array kTimers{ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};

// The kernel's struct sigaction, not the C library's.
long query_disposition(int signal, void* now) {  // NOLINT(google-runtime-int)
    return ::syscall(SYS_rt_sigaction, signal, nullptr, now, sizeof(std::uint64_t));
}

Refusal refuse(const char* why, std::uint64_t what = 0, int code = 0) {
    return {why, what, code};
}

// Calls visit(fd) for each open descriptor but its own. Unlike opendir(3) it allocates nothing: what is allocated now
// is not in the image any more. 0 or an error number.
template <class Visit>
int for_each_descriptor(const Visit& visit) {
    const base::UniqueFd directory(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return errno;
    alignas(dirent64) std::array<char, 4096> entries{};
    while (true) {
        const long got = ::syscall(SYS_getdents64, directory.get(), entries.data(), entries.size());  // NOLINT
        if (got <= 0) return got == 0 ? 0 : errno;
        for (long at = 0; at < got;) {  // NOLINT(google-runtime-int)
            const auto* entry =
                reinterpret_cast<const dirent64*>(entries.data() + at);  // NOLINT: what the kernel wrote
            const char* const name = static_cast<const char*>(entry->d_name);
            int fd = -1;
            const auto [end, error] = std::from_chars(name, name + std::strlen(name), fd);
            if (error == std::errc{} && *end == '\0' && fd != directory.get()) visit(fd);
            at += entry->d_reclen;
        }
    }
}

bool is_capture_file(int fd) {
    std::array<char, 32> path{};
    std::array<char, 64> target{};
    char* const end = std::copy_n("/proc/self/fd/", 14, path.data());
    *std::to_chars(end, path.data() + path.size() - 1, fd).ptr = '\0';
    const ssize_t length = ::readlink(path.data(), target.data(), target.size());
    const auto wanted = static_cast<ssize_t>(std::strlen(kCaptureName));
    return length >= wanted && std::memcmp(target.data(), kCaptureName, static_cast<std::size_t>(wanted)) == 0;
}

// In force for this thread, see capget(2); to be root is not enough in a container.
bool has_capability(int capability) {
    __user_cap_header_struct header{};
    header.version = _LINUX_CAPABILITY_VERSION_3;
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    return (data[CAP_TO_INDEX(static_cast<unsigned>(capability))].effective &
            CAP_TO_MASK(static_cast<unsigned>(capability))) != 0;
}

// A duplicate of one end of a conversation of the suite's own would keep the other end from seeing it closed.
bool is_conversation(int fd, const struct stat& status) {
    if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)) return false;
    return fd < lowest_harness_descriptor() && !Guard::is_standard_stream(status);
}

}  // namespace

base::Result<KernelState::Probes> KernelState::Probes::open() {
    Probes probes;
    for (auto [place, path] : {std::pair{&probes.tasks, "/proc/self/task"}, {&probes.descriptors, "/proc/self/fd"}}) {
        base::UniqueFd fd(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!fd.valid()) return base::fail(base::errno_error(path));
        auto high = fd.duplicate(lowest_own_descriptor());
        *place = high ? *std::move(high) : std::move(fd);
    }
    probes.status.reset(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (!probes.status.valid()) return base::fail(base::errno_error("/proc/self/status"));
    if (auto high = probes.status.duplicate(lowest_own_descriptor())) probes.status = *std::move(high);
    const base::UniqueFd timers(::open("/proc/self/timers", O_RDONLY | O_CLOEXEC));
    if (timers.valid()) {
        if (auto high = timers.duplicate(lowest_own_descriptor())) probes.timers = *std::move(high);
    }
    return probes;
}

KernelState::KernelState(const Probes& probes, std::pmr::memory_resource* memory)
    : probes_(&probes), descriptors_(memory), ours_(memory) {}

KernelState::~KernelState() {
    for (const Descriptor& descriptor : descriptors_) {
        if (descriptor.copy >= 0) ::close(descriptor.copy);
    }
}

std::int64_t KernelState::count_threads() const {
    struct stat status {};
    // "." and ".." and one directory for each thread, fs/proc/base.c
    return ::fstat(probes_->tasks.get(), &status) == 0 ? static_cast<std::int64_t>(status.st_nlink) - 2 : -1;
}

std::int64_t KernelState::count_descriptors() const {
    struct stat status {};
    if (::fstat(probes_->descriptors.get(), &status) != 0 || status.st_size == 0) return -1;
    return status.st_size;
}

// --- record ---------------------------------------------------------------------------------------------------------

Refusal KernelState::record() {
    if (count_threads() != 1) return refuse("the process has more than one thread");
    if (Refusal refusal = check_children()) return refusal;
    read(settings_);
    read_timers(timers_);
    const long length = ::syscall(SYS_getcwd, directory_.data(), directory_.size());  // NOLINT(google-runtime-int)
    if (length <= 0) return refuse("the working directory cannot be read", 0, errno);
    directory_length_ = static_cast<std::size_t>(length);
    directory_fd_.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (auto high = directory_fd_.duplicate(lowest_own_descriptor())) directory_fd_ = *std::move(high);
    return record_descriptors();
}

Refusal KernelState::record_descriptors() {
    if (const int error = for_each_descriptor([&](int fd) { descriptors_.push_back({.fd = fd}); }); error != 0) {
        return refuse("/proc/self/fd cannot be read", 0, error);
    }
    std::sort(descriptors_.begin(), descriptors_.end(), [](const auto& a, const auto& b) { return a.fd < b.fd; });
    // What the layers below have as copies need not be copied again, nor compared: no test knows of it.
    std::erase_if(descriptors_, [this](const Descriptor& d) {
        if (d.fd < lowest_own_descriptor()) return false;
        ours_.push_back(d.fd);
        return true;
    });
    for (Descriptor& descriptor : descriptors_) {
        struct stat status {};
        if (::fstat(descriptor.fd, &status) != 0) return refuse("a descriptor cannot be read", 0, errno);
        descriptor.own_flags = ::fcntl(descriptor.fd, F_GETFD);
        descriptor.file_flags = ::fcntl(descriptor.fd, F_GETFL);
        descriptor.device = status.st_dev;
        descriptor.inode = status.st_ino;
        if (S_ISREG(status.st_mode)) {
            // Other files that are open for writing may be shared with other processes, and a log goes on where it is.
            const bool capture = is_capture_file(descriptor.fd);
            const bool read_only = (descriptor.file_flags & O_ACCMODE) == O_RDONLY;
            if (capture || read_only) descriptor.offset = ::lseek(descriptor.fd, 0, SEEK_CUR);
            if (capture) descriptor.size = status.st_size;
        }
        if (is_conversation(descriptor.fd, status)) continue;
        descriptor.copy = ::fcntl(descriptor.fd, F_DUPFD_CLOEXEC, lowest_own_descriptor());
        if (descriptor.copy < 0 && errno == EINVAL) {
            const base::DescriptorRoom room(kEnoughDescriptors);
            descriptor.copy = ::fcntl(descriptor.fd, F_DUPFD_CLOEXEC, lowest_own_descriptor());
        }
        if (descriptor.copy >= 0) ours_.push_back(descriptor.copy);
    }
    std::sort(ours_.begin(), ours_.end());
    const auto copied =
        std::find_if(descriptors_.begin(), descriptors_.end(), [](const auto& d) { return d.copy >= 0; });
    can_compare_files_ = copied != descriptors_.end() && ::fcntl(copied->fd, kDupFdQuery, copied->copy) == 1;
    open_count_ = count_descriptors();
    return {};
}

void KernelState::read(Settings& settings) const {
    for (int signal = 1; signal <= kSignals; ++signal) {
        query_disposition(signal, &settings.dispositions[static_cast<std::size_t>(signal - 1)]);
    }
    stack_t stack{};
    ::sigaltstack(nullptr, &stack);
    settings.alternate_stack = {reinterpret_cast<std::uintptr_t>(stack.ss_sp),  // NOLINT
                                static_cast<std::uint64_t>(stack.ss_flags), stack.ss_size};
    for (std::size_t i = 0; i < kTimers.size(); ++i) {
        itimerval timer{};
        ::getitimer(kTimers[i], &timer);
        // One that has expired is armed again when its signal is taken, and shows only its interval until then.
        settings.timers_armed[i] = (timer.it_value.tv_sec | timer.it_value.tv_usec | timer.it_interval.tv_sec |
                                    timer.it_interval.tv_usec) != 0;
    }
    settings.umask = ::umask(0);
    ::umask(settings.umask);
    for (int i = 0; i < RLIM_NLIMITS; ++i) {
        ::syscall(SYS_prlimit64, 0, i, nullptr, &settings.limits[static_cast<std::size_t>(i)]);
    }
    auto& ids = settings.credentials;
    ::getresuid(&ids[0], &ids[1], &ids[2]);
    ::getresgid(&ids[3], &ids[4], &ids[5]);
    settings.no_new_privileges = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    settings.seccomp = ::prctl(PR_GET_SECCOMP);
    settings.session = ::getsid(0);
    settings.group = ::getpgrp();
    settings.nice = ::syscall(SYS_getpriority, PRIO_PROCESS, 0);
    ::syscall(SYS_sched_getaffinity, 0, sizeof settings.affinity, settings.affinity.data());
    settings.locked_kib = read_locked_memory();
}

// "VmLck:        0 kB" is among the first lines, see proc_pid_status(5).
std::int64_t KernelState::read_locked_memory() const {
    static constexpr std::string_view kName = "VmLck:";
    std::array<char, 1024> buffer{};
    const ssize_t got = ::pread(probes_->status.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return -1;
    const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t line = text.find(kName);
    if (line == std::string_view::npos) return -1;
    const std::size_t digits = text.find_first_not_of(" \t", line + kName.size());
    std::int64_t value = -1;
    if (digits != std::string_view::npos) std::from_chars(&text[digits], text.data() + text.size(), value);
    return value;
}

// --- check ----------------------------------------------------------------------------------------------------------

Refusal KernelState::check() {
    if (count_threads() < 0) return refuse("it closed descriptors of tach");
    if (Refusal refusal = check_threads()) return refusal;
    if (Refusal refusal = check_children()) return refusal;
    if (Refusal refusal = check_timers()) return refusal;
    read(now_);
    if (Refusal refusal = check_settings()) return refusal;
    for (Descriptor& descriptor : descriptors_) {
        descriptor.lost = !is_same(descriptor);
        if (descriptor.lost && ::fcntl(descriptor.copy, F_GETFD) < 0) {
            return refuse("a descriptor was closed or replaced", static_cast<std::uint64_t>(descriptor.fd));
        }
    }
    return {};
}

Refusal KernelState::check_threads() const {
    return await_threads([&] { return count_threads() == 1; }) ? Refusal{} : refuse("it left a thread running");
}

Refusal KernelState::check_children() {
    while (true) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) {
            return errno == ECHILD ? Refusal{} : refuse("children cannot be waited for", 0, errno);
        }
        if (info.si_pid == 0) return refuse("it left a child process running");
        // It has ended and nobody will remember it.
    }
}

// Blocks of lines of which the first is "ID: N", see proc_pid_timers(5).
void KernelState::read_timers(TimerIds& ids) const {
    ids.fill(-1);
    std::array<char, 4096> text{};
    const ssize_t got = probes_->timers.valid() ? ::pread(probes_->timers.get(), text.data(), text.size(), 0) : 0;
    std::string_view rest(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    static constexpr std::string_view kMark = "ID: ";
    std::size_t count = 0;
    while (count < ids.size() && rest.starts_with(kMark)) {
        rest.remove_prefix(kMark.size());
        std::from_chars(rest.data(), rest.data() + rest.size(), ids.at(count++));
        const std::size_t next = rest.find("\nID: ");
        rest.remove_prefix(next == std::string_view::npos ? rest.size() : next + 1);
    }
}

// Deletes those that are new.
Refusal KernelState::check_timers() {
    TimerIds now{};
    read_timers(now);
    if (now == timers_) return {};
    for (const int id : now) {
        const bool known = std::find(timers_.begin(), timers_.end(), id) != timers_.end();
        if (!known) ::syscall(SYS_timer_delete, id);
    }
    read_timers(now);
    return now == timers_ ? Refusal{} : refuse("it deleted a timer");
}

Refusal KernelState::check_settings() const {
    const Settings& now = now_;
    if (now.credentials != settings_.credentials) return refuse("it changed the process' user or group");
    if (now.session != settings_.session) return refuse("it started a new session");
    if (now.no_new_privileges != settings_.no_new_privileges) return refuse("it set no_new_privs");
    if (now.seccomp != settings_.seccomp) return refuse("it installed a seccomp filter");
    if (now.timers_armed != settings_.timers_armed &&
        std::any_of(settings_.timers_armed.begin(), settings_.timers_armed.end(), [](bool armed) { return armed; })) {
        return refuse("it changed an interval timer");
    }
    for (std::size_t i = 0; i < now.limits.size(); ++i) {
        if (now.limits[i].rlim_max < settings_.limits[i].rlim_max && !has_capability(CAP_SYS_RESOURCE)) {
            return refuse("it lowered a hard resource limit", i);
        }
    }
    if (now.nice < settings_.nice && !has_capability(CAP_SYS_NICE)) return refuse("it raised the nice value");
    if (now.locked_kib != settings_.locked_kib && settings_.locked_kib != 0) {
        return refuse("it locked or unlocked memory where other memory is locked");
    }
    return {};
}

bool KernelState::is_same(const Descriptor& descriptor) const {
    if (descriptor.copy >= 0 && can_compare_files_) {
        return ::fcntl(descriptor.fd, kDupFdQuery, descriptor.copy) == 1;
    }
    struct stat status {};
    return ::fstat(descriptor.fd, &status) == 0 && status.st_dev == descriptor.device &&
           status.st_ino == descriptor.inode;
}

bool KernelState::has_same_descriptors() const {
    return open_count_ >= 0 && count_descriptors() == open_count_ &&
           std::all_of(descriptors_.begin(), descriptors_.end(), [this](const Descriptor& d) { return is_same(d); });
}

// --- restore --------------------------------------------------------------------------------------------------------

Refusal KernelState::restore() {
    if (Refusal refusal = restore_settings()) return refusal;
    if (Refusal refusal = restore_descriptors()) return refusal;
    if (Refusal refusal = restore_directory()) return refusal;
    sigset_t pending;
    while (::sigpending(&pending) == 0 && ::sigisemptyset(&pending) == 0) {
        const timespec at_once{};
        if (::sigtimedwait(&pending, nullptr, &at_once) < 0 && errno != EINTR) break;
    }
    return {};
}

Refusal KernelState::restore_directory() {
    std::array<char, 4096> directory{};
    const long length = ::syscall(SYS_getcwd, directory.data(), directory.size());  // NOLINT(google-runtime-int)
    const bool same = length > 0 && static_cast<std::size_t>(length) == directory_length_ &&
                      std::memcmp(directory.data(), directory_.data(), directory_length_) == 0;
    if (!same && ::fchdir(directory_fd_.get()) != 0) {
        return refuse("the working directory cannot be restored", 0, errno);
    }
    return {};
}

Refusal KernelState::restore_settings() {
    const Settings& now = now_;
    // Timers first: what they still send is drained.
    for (std::size_t i = 0; i < kTimers.size(); ++i) {
        const itimerval off{};
        if (now.timers_armed[i] && !settings_.timers_armed[i]) ::setitimer(kTimers[i], &off, nullptr);
    }
    for (std::size_t i = 0; i < now.dispositions.size(); ++i) {
        if (now.dispositions[i] == settings_.dispositions[i]) continue;
        const auto signal = static_cast<int>(i + 1);
        if (::syscall(SYS_rt_sigaction, signal, &settings_.dispositions[i], nullptr, sizeof(std::uint64_t)) != 0) {
            return refuse("a signal handler cannot be restored", static_cast<std::uint64_t>(signal), errno);
        }
    }
    if (now.alternate_stack != settings_.alternate_stack) {
        stack_t stack{};
        stack.ss_sp = reinterpret_cast<void*>(settings_.alternate_stack[0]);  // NOLINT
        stack.ss_flags = static_cast<int>(settings_.alternate_stack[1]);
        stack.ss_size = settings_.alternate_stack[2];
        if (::sigaltstack(&stack, nullptr) != 0) return refuse("the alternate stack cannot be restored", 0, errno);
    }
    if (now.umask != settings_.umask) ::umask(settings_.umask);
    for (std::size_t i = 0; i < now.limits.size(); ++i) {
        const rlimit& wanted = settings_.limits[i];
        if (now.limits[i].rlim_cur == wanted.rlim_cur && now.limits[i].rlim_max == wanted.rlim_max) continue;
        if (::syscall(SYS_prlimit64, 0, static_cast<int>(i), &wanted, nullptr) != 0) {
            return refuse("a resource limit cannot be restored", i, errno);
        }
    }
    if (now.group != settings_.group && ::setpgid(0, settings_.group) != 0) {
        return refuse("the process group cannot be restored", 0, errno);
    }
    // getpriority(2) gives 20 minus the nice value as a system call.
    if (now.nice != settings_.nice) ::setpriority(PRIO_PROCESS, 0, static_cast<int>(20 - settings_.nice));
    if (now.affinity != settings_.affinity) {
        ::syscall(SYS_sched_setaffinity, 0, sizeof settings_.affinity, settings_.affinity.data());
    }
    // Locked memory is not dropped (EINVAL), neither by a later test nor by the snapshot.
    if (now.locked_kib != settings_.locked_kib && ::munlockall() != 0) {
        return refuse("memory cannot be unlocked", 0, errno);
    }
    return {};
}

Refusal KernelState::restore_descriptors() {
    bool replaced = false;
    for (const Descriptor& descriptor : descriptors_) {
        if (descriptor.lost) {
            replaced = true;
            if (::dup2(descriptor.copy, descriptor.fd) < 0) {
                return refuse("a descriptor cannot be restored", static_cast<std::uint64_t>(descriptor.fd), errno);
            }
        }
        if (::fcntl(descriptor.fd, F_GETFD) != descriptor.own_flags) {
            ::fcntl(descriptor.fd, F_SETFD, descriptor.own_flags);
        }
        if (::fcntl(descriptor.fd, F_GETFL) != descriptor.file_flags) {
            ::fcntl(descriptor.fd, F_SETFL, descriptor.file_flags);  // takes what may change
        }
        if (descriptor.offset >= 0 && ::lseek(descriptor.fd, 0, SEEK_CUR) != descriptor.offset) {
            ::lseek(descriptor.fd, descriptor.offset, SEEK_SET);
        }
        if (descriptor.size < 0) continue;
        struct stat status {};
        if (::fstat(descriptor.fd, &status) == 0 && status.st_size != descriptor.size &&
            ::ftruncate(descriptor.fd, descriptor.size) != 0) {
            return refuse("a capture file cannot be restored", static_cast<std::uint64_t>(descriptor.fd), errno);
        }
    }
    if (replaced || open_count_ < 0 || count_descriptors() != open_count_) close_others();
    return {};
}

// Closes what is neither known nor ours, one gap after the other.
void KernelState::close_others() const {
    int from = 0;
    const auto close_up_to = [&from](int known) {
        if (from < known) ::syscall(SYS_close_range, from, known - 1, 0);
        from = known + 1;
    };
    for (const Descriptor& descriptor : descriptors_) close_up_to(descriptor.fd);
    // Ours are above; what a test opens there or duplicates to is closed between them.
    for (const int fd : ours_) close_up_to(fd);
    ::syscall(SYS_close_range, from, ~0U, 0);
}

}  // namespace tach::zygote
