// What a rewind costs without Python: pages of a heap are written, as a test would, and the process is rewound, over
// and over. Beside it, in the same run, the floor: the guard's own calls, one scan, a memcpy of the same pages. Then
// the guard item by item.
//
// Printed: medians, in microseconds. A system call's own price is told first; it differs tenfold between machines.

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/write_protection.h"
#include "zygote/rewinder.h"

using namespace tach;
using zygote::Passage;
using zygote::Rewinder;

namespace {

constexpr std::size_t kResidentPages = 22 * 256;  // 22 MB, a small Python with pytest
constexpr int kRewinds = 1000;

struct Samples {  // in shared memory, so that they survive
    std::array<std::int64_t, kRewinds> reset_ns;
    std::array<std::int64_t, kRewinds> guard_ns;
    std::int64_t scan_ns;
    std::int64_t copy_ns;
};

double median_us(std::span<const std::int64_t> values) {
    std::vector<std::int64_t> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    return static_cast<double>(sorted[sorted.size() / 2]) / 1e3;
}

template <class T>
T* map_memory(std::size_t bytes, int sharing) {
    void* const got = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    return got == MAP_FAILED ? nullptr : static_cast<T*>(got);
}

// Spread over the heap, as objects are.
void write_pages(std::byte* heap, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) heap[i * (kResidentPages / count) * base::kPageSize] = std::byte{1};
}

// The parts of a rewind that nobody can do without, once the hot set is known.
void measure_floor(std::byte* heap, std::size_t count, Samples& samples) {
    auto tracker = base::WriteProtection::create();
    const base::AddressRange range{base::address_of(heap), base::address_of(heap) + kResidentPages * base::kPageSize};
    if (!tracker || !tracker->watch(range)) return;
    std::vector<base::PageRun> runs(8192);
    std::vector<std::byte> image(count * base::kPageSize);
    std::array<std::int64_t, 101> scans{};
    std::array<std::int64_t, 101> copies{};
    for (std::size_t round = 0; round < scans.size(); ++round) {
        static_cast<void>(tracker->protect(range));
        write_pages(heap, count);
        const std::int64_t started = base::monotonic_ns();
        const base::ScanQuery query{.all_of = base::kPageWatched | base::kPageWritten, .reported = base::kPageWritten};
        static_cast<void>(tracker->scan({0x1000, 0x7ffffffff000}, query, runs));
        const std::int64_t scanned = base::monotonic_ns();
        for (std::size_t i = 0; i < count; ++i) {
            std::memcpy(heap + i * (kResidentPages / count) * base::kPageSize, image.data() + i * base::kPageSize,
                        base::kPageSize);
        }
        scans[round] = scanned - started;
        copies[round] = base::monotonic_ns() - scanned;
    }
    samples.scan_ns = static_cast<std::int64_t>(median_us(scans) * 1e3);
    samples.copy_ns = static_cast<std::int64_t>(median_us(copies) * 1e3);
}

int rewind_many(Rewinder::Engine kind, std::size_t count, Samples& samples) {
    auto* const heap = map_memory<std::byte>(kResidentPages * base::kPageSize, MAP_PRIVATE);
    std::memset(heap, 7, kResidentPages * base::kPageSize);
    auto* const ended = map_memory<std::int64_t>(base::kPageSize, MAP_SHARED);
    measure_floor(heap, count, samples);
    auto created = Rewinder::create(kind);
    if (!created) {
        fmt::print("  not here: {}\n", created.error().what);
        return 1;
    }
    Rewinder& engine = **created;
    const Rewinder::Return returned = engine.push();
    if (returned == Rewinder::Return::kRefused) return 1;
    std::size_t position = 0;
    if (returned == Rewinder::Return::kCameBack) {
        position = engine.passage().position;
        samples.reset_ns[position - 1] = base::monotonic_ns() - *ended;
        samples.guard_ns[position - 1] = engine.passage().stats.guard_ns;
    }
    if (position == kRewinds) return 0;
    write_pages(heap, count);
    *ended = base::monotonic_ns();
    engine.rewind(Passage{.position = position + 1});
    return 1;
}

void bench(const char* name, Rewinder::Engine kind, std::size_t count) {
    auto* const samples = map_memory<Samples>(sizeof(Samples), MAP_SHARED);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(rewind_many(kind, count, *samples));
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) {
        fmt::print("{:8} {:4} pages: failed\n", name, count);
        return;
    }
    const double reset = median_us(samples->reset_ns);
    const double guard = median_us(samples->guard_ns);
    const double scan = static_cast<double>(samples->scan_ns) / 1e3;
    const double copy = static_cast<double>(samples->copy_ns) / 1e3;
    fmt::print(
        "{:8} {:4} pages: reset {:6.1f}, floor {:6.1f} (guard {:.1f}, scan {:.1f}, memcpy {:.1f}), ratio {:.2f}\n",
        name, count, reset, guard + scan + copy, guard, scan, copy, reset / (guard + scan + copy));
    ::munmap(samples, sizeof(Samples));
}

double cost_us(const std::function<void()>& what) {
    std::array<std::int64_t, 201> times{};
    for (std::int64_t& time : times) {
        const std::int64_t started = base::monotonic_ns();
        what();
        time = base::monotonic_ns() - started;
    }
    return median_us(times);
}

// The calls that zygote/kernel_state.cpp makes for each, for a process with twelve descriptors.
void bench_guard() {
    std::vector<int> descriptors;
    for (int i = 0; i < 12; ++i) descriptors.push_back(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const int copy = ::dup(descriptors[0]);
    const int tasks = ::open("/proc/self/task", O_PATH | O_DIRECTORY);
    const int timers = ::open("/proc/self/timers", O_RDONLY);
    struct stat status {};
    std::array<char, 4096> text{};
    std::array<std::uint64_t, 32> out{};
    const std::array<std::pair<const char*, std::function<void()>>, 9> items{{
        {"one system call (getppid)", [] { ::syscall(SYS_getppid); }},
        {"threads", [&] { ::fstat(tasks, &status); }},
        {"children",
         [] {
             siginfo_t info{};
             ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
         }},
        {"signal dispositions (64)",
         [&] {
             for (int signal = 1; signal <= 64; ++signal) ::syscall(SYS_rt_sigaction, signal, nullptr, out.data(), 8);
         }},
        {"stack, timers, umask",
         [&] {
             ::sigaltstack(nullptr, nullptr);
             itimerval timer{};
             for (const int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
                 ::syscall(SYS_getitimer, which, &timer);
             }
             static_cast<void>(::pread(timers, text.data(), text.size(), 0));
             ::umask(::umask(0));
         }},
        {"resource limits (16)",
         [&] {
             for (int i = 0; i < RLIM_NLIMITS; ++i) ::syscall(SYS_prlimit64, 0, i, nullptr, out.data());
         }},
        {"identity, session, priority, affinity",
         [&] {
             uid_t a = 0;
             uid_t b = 0;
             uid_t c = 0;
             ::getresuid(&a, &b, &c);
             ::getresgid(&a, &b, &c);
             ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
             ::prctl(PR_GET_SECCOMP);
             ::getsid(0);
             ::getpgrp();
             ::syscall(SYS_getpriority, PRIO_PROCESS, 0);
             ::syscall(SYS_sched_getaffinity, 0, 128, out.data());
         }},
        {"descriptors (12)",
         [&] {
             constexpr int kDupFdQuery = 1024 + 3;  // F_DUPFD_QUERY, Linux 6.10
             for (const int fd : descriptors) {
                 ::fcntl(fd, kDupFdQuery, copy);
                 ::fcntl(fd, F_GETFD);
                 ::fcntl(fd, F_GETFL);
                 ::lseek(fd, 0, SEEK_CUR);
             }
         }},
        {"directory, pending signals",
         [&] {
             ::syscall(SYS_getcwd, text.data(), text.size());
             sigset_t pending;
             ::sigpending(&pending);
         }},
    }};
    for (const auto& [name, what] : items) fmt::print("guard: {:38} {:6.2f}\n", name, cost_us(what));
}

}  // namespace

int main() {
    for (const std::size_t count : {std::size_t{110}, std::size_t{370}, std::size_t{680}}) {
        bench("wp-async", Rewinder::Engine::kWpAsync, count);
        bench("cow", Rewinder::Engine::kCow, count);
    }
    bench_guard();
    return 0;
}
