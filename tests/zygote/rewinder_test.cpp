// The snapshot engine on this very process: every case runs in a child of its own, which is rewound some times.

#include "zygote/rewinder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/fd_passing.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "zygote/descriptors.h"
#include "zygote/fault_server.h"
#include "zygote/trial.h"

using namespace tach;
using tests::end_of;
using tests::fork_child;
using zygote::Passage;
using zygote::Rewinder;

namespace {

constexpr int kOk = 0;
constexpr int kUnavailable = 77;

using Engine = Rewinder::Engine;

// Those that can be had here: kMissing needs CAP_SYS_PTRACE, and says so.
const std::vector<Engine>& engines() {
    static const std::vector<Engine> those = [] {
        std::vector<Engine> found{Engine::kWpAsync, Engine::kCow};
        const auto tried = zygote::try_engine(Engine::kMissing);
        if (tried) found.push_back(Engine::kMissing);
        CHECK((tried || tried.error().code == EPERM));
        return found;
    }();
    return those;
}

// The end of a child that runs body(socket); with kMissing the pages that it misses are served.
template <class Body>
int end_of_rewound(Engine kind, const Body& body) {
    auto sockets = base::create_packet_pair();
    REQUIRE(sockets);
    // Out of the way of cases that look at the lowest numbers.
    auto ours = sockets->first.duplicate(zygote::lowest_harness_descriptor());
    auto theirs = sockets->second.duplicate(zygote::lowest_harness_descriptor());
    REQUIRE(ours);
    REQUIRE(theirs);
    *sockets = {};
    const pid_t child = fork_child([&] { return body(theirs->get()); });
    theirs->reset();
    if (kind != Engine::kMissing) return end_of(child);
    auto packet = base::receive_packet(ours->get(), zygote::FaultServer::kPacketFds);
    REQUIRE(packet);
    if (packet->status != base::Packet::Status::kReceived) return end_of(child);
    auto server = zygote::FaultServer::start();
    REQUIRE(server);
    REQUIRE((*server)->add(*std::move(packet)));
    const int end = end_of(child);
    CHECK((*server)->pages_served() > 0);
    return end;
}

template <class Change, class IsGolden>
int rewind_in_child_with(Rewinder::Engine kind, int times, const Change& change, const IsGolden& is_golden) {
    return end_of_rewound(kind, [&](int socket) {
        auto rewinder = Rewinder::create(kind, nullptr, socket);
        if (!rewinder) return kUnavailable;
        Rewinder& engine = **rewinder;
        const Rewinder::Return returned = engine.push();
        if (returned == Rewinder::Return::kRefused) {
            std::fprintf(stderr, "push refused: %s (%d)\n", engine.refusal().why, engine.refusal().code);
            return 2;
        }
        const int position = returned == Rewinder::Return::kCameBack ? static_cast<int>(engine.passage().position) : 0;
        if (!is_golden()) return 3;
        if (position == times) return kOk;
        change(position);
        engine.rewind(Passage{.position = static_cast<std::uint64_t>(position) + 1});
        std::fprintf(stderr, "rewind refused: %s (%d)\n", engine.refusal().why, engine.refusal().code);
        return 4;
    });
}

// Pushes a layer, then calls change() and rewinds `times` times; before each and at the end is_golden() must hold. With
// each engine; returns how the first child that did not end well ended.
template <class Change, class IsGolden>
int rewind_in_child(int times, const Change& change, const IsGolden& is_golden) {
    for (const Rewinder::Engine kind : engines()) {
        const int end = rewind_in_child_with(kind, times, change, is_golden);
        if (end != kOk) {
            std::fprintf(stderr, "engine %d\n", static_cast<int>(kind));
            return end;
        }
    }
    return kOk;
}

// What stands in the way of a rewind after change(), or "".
template <class Change>
std::string refusal_after(const Change& change, Rewinder::Engine kind = Rewinder::Engine::kWpAsync) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const pid_t child = fork_child([&] {
        ::close(ends[0]);
        auto rewinder = Rewinder::create(kind);
        if (!rewinder) return kUnavailable;
        if ((*rewinder)->push() != Rewinder::Return::kPushed) return kOk;
        change();
        (*rewinder)->rewind({});
        const char* const why = (*rewinder)->refusal().why;
        return ::write(ends[1], why, std::strlen(why)) > 0 ? kOk : 5;
    });
    ::close(ends[1]);
    std::array<char, 256> text{};
    const ssize_t length = ::read(ends[0], text.data(), text.size());
    ::close(ends[0]);
    REQUIRE(end_of(child) == kOk);
    return {text.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

int global_value = 1;                   // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): .data
std::array<char, 100'000> global_room;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): .bss

std::byte* map_pages(std::size_t pages, int flags = MAP_PRIVATE) {
    void* const got = ::mmap(nullptr, pages * base::kPageSize, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    return got == MAP_FAILED ? nullptr : static_cast<std::byte*>(got);
}

bool is_mapped(const void* address) {
    return ::msync(const_cast<void*>(address), base::kPageSize, MS_ASYNC) == 0;  // NOLINT
}

}  // namespace

TEST_CASE("a rewind restores heap, stack, data and bss") {
    auto* const heap = new std::vector<int>(100'000, 7);
    volatile int local = 5;
    const int end = rewind_in_child(
        100,
        [&](int position) {
            global_value = position + 2;
            global_room.fill('x');
            local = 6;
            heap->assign(300'000, position);
            static_cast<void>(new int(3));
        },
        [&] {
            return global_value == 1 && global_room[50'000] == 0 && local == 5 && heap->size() == 100'000 &&
                   (*heap)[99'999] == 7;
        });
    CHECK(end == kOk);
    delete heap;
}

TEST_CASE("mappings come back to what they were") {
    SECTION("a new one is unmapped") {
        std::byte* seen = nullptr;
        std::byte** const place = &seen;
        CHECK(rewind_in_child(
                  5, [&](int) { *place = map_pages(100); }, [&] { return *place == nullptr; }) == kOk);
    }
    SECTION("one that was unmapped is mapped again") {
        std::byte* const pages = map_pages(10);
        std::memset(pages, 9, 10 * base::kPageSize);
        CHECK(rewind_in_child(
                  5, [&](int) { ::munmap(pages + base::kPageSize, 3 * base::kPageSize); },
                  [&] { return is_mapped(pages + base::kPageSize) && pages[base::kPageSize] == std::byte{9}; }) == kOk);
    }
    SECTION("one that was replaced by one of the same size in its place") {
        std::byte* const pages = map_pages(10);
        std::memset(pages, 9, 10 * base::kPageSize);
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      ::munmap(pages, 10 * base::kPageSize);
                      void* const got = ::mmap(pages, 10 * base::kPageSize, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
                      static_cast<std::byte*>(got)[5] = std::byte{1};
                  },
                  [&] { return pages[5] == std::byte{9} && pages[9 * base::kPageSize] == std::byte{9}; }) == kOk);
    }
    SECTION("one that moved and grew") {
        std::byte* const pages = map_pages(10);
        std::memset(pages, 9, 10 * base::kPageSize);
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      static_cast<void>(::mremap(pages, 10 * base::kPageSize, 1000 * base::kPageSize, MREMAP_MAYMOVE));
                  },
                  [&] { return is_mapped(pages) && pages[5] == std::byte{9}; }) == kOk);
    }
    SECTION("contents that were dropped") {
        std::byte* const pages = map_pages(10);
        std::memset(pages, 9, 10 * base::kPageSize);
        const int advice = GENERATE(MADV_DONTNEED, MADV_FREE);
        CHECK(rewind_in_child(
                  5, [&](int) { ::madvise(pages, 10 * base::kPageSize, advice); },
                  [&] { return pages[5] == std::byte{9} && pages[9 * base::kPageSize] == std::byte{9}; }) == kOk);
    }
    SECTION("protection") {
        std::byte* const pages = map_pages(10);
        std::memset(pages, 9, 10 * base::kPageSize);
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      pages[0] = std::byte{1};
                      ::mprotect(pages, 10 * base::kPageSize, PROT_READ);
                  },
                  [&] {
                      const bool golden = pages[0] == std::byte{9};
                      pages[1] = std::byte{9};  // can be written
                      return golden;
                  }) == kOk);
    }
    SECTION("the end of the heap") {
        auto* const ends = reinterpret_cast<void**>(map_pages(1, MAP_SHARED));  // NOLINT: what survives
        CHECK(rewind_in_child(
                  5,
                  [&](int position) {
                      ends[position] = ::sbrk(0);
                      auto* const fresh = static_cast<char*>(::sbrk(1 << 20));
                      std::memset(fresh, 1, 1 << 20);
                  },
                  [] { return true; }) == kOk);
        CHECK(ends[0] != nullptr);
        CHECK(ends[4] == ends[0]);
    }
}

TEST_CASE("read-only memory that was patched is restored") {
    const auto function = base::address_of(reinterpret_cast<const void*>(&map_pages));  // NOLINT
    auto* const page = base::pointer_to(function / base::kPageSize * base::kPageSize);
    auto* const code = base::pointer_to(function);
    const std::byte before = code[0];
    CHECK(rewind_in_child(
              5,
              [&](int) {
                  ::mprotect(page, base::kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC);
                  code[0] = std::byte{0xc3};
                  ::mprotect(page, base::kPageSize, PROT_READ | PROT_EXEC);
              },
              [&] { return code[0] == before; }) == kOk);
}

TEST_CASE("a shared mapping is not rewound") {
    auto* const counter = reinterpret_cast<int*>(map_pages(1, MAP_SHARED));  // NOLINT
    CHECK(rewind_in_child_with(
              Rewinder::Engine::kWpAsync, 7, [&](int) { ++*counter; }, [] { return true; }) == kOk);
    CHECK(*counter == 7);
}

TEST_CASE("layers stack, and going on without one keeps what came since") {
    const Engine kind = GENERATE(from_range(engines()));
    const int end = end_of_rewound(kind, [&](int socket) {
        auto created = Rewinder::create(kind, nullptr, socket);
        if (!created) return kUnavailable;
        Rewinder& engine = **created;
        auto* const shared = reinterpret_cast<int*>(map_pages(1, MAP_SHARED));  // NOLINT: what survives
        auto* const value = new int(1);
        if (engine.push() == Rewinder::Return::kCameBack) {
            // From the layer above, which was dropped: all of it is gone.
            return *value == 1 && shared[0] == 3 && shared[1] == 1 ? kOk : 10;
        }
        *value = 2;
        std::byte* const mapped = map_pages(50);
        mapped[0] = std::byte{4};
        const bool back = engine.push() == Rewinder::Return::kCameBack;
        if (*value != 2 || mapped[0] != std::byte{4}) return 11;
        if (back) ++shared[0];
        if (shared[0] < 3) {
            *value = 100 + shared[0];
            mapped[0] = std::byte{5};
            engine.rewind({});
            return 12;
        }
        engine.drop();
        ++shared[1];
        engine.rewind({});
        return 13;
    });
    CHECK(end == kOk);
}

TEST_CASE("the kernel's state of the process is restored") {
    struct stat null {};
    REQUIRE(::stat("/dev/null", &null) == 0);
    const auto is_null = [&](int fd) {
        struct stat status {};
        return ::fstat(fd, &status) == 0 && status.st_rdev == null.st_rdev;
    };
    const int golden = ::open("/dev/null", O_RDONLY);
    SECTION("leaked descriptors are closed") {
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      for (int i = 0; i < 20; ++i) static_cast<void>(::socket(AF_UNIX, SOCK_STREAM, 0));
                      static_cast<void>(::dup2(golden, 900));
                  },
                  [&] { return ::fcntl(golden + 1, F_GETFD) == -1 && ::fcntl(900, F_GETFD) == -1; }) == kOk);
    }
    SECTION("closed and replaced ones are opened again") {
        CHECK(rewind_in_child(
                  5,
                  [&](int position) {
                      if (position % 2 == 0) {
                          ::close(golden);
                      } else {
                          ::dup2(::open("/", O_RDONLY), golden);
                      }
                  },
                  [&] { return is_null(golden); }) == kOk);
    }
    SECTION("the engine does not keep a pipe open") {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        const pid_t child = fork_child([&] {
            auto created = Rewinder::create(Rewinder::Engine::kWpAsync);
            if (!created || (*created)->push() != Rewinder::Return::kPushed) return kUnavailable;
            ::close(ends[1]);
            char byte = 0;
            return ::read(ends[0], &byte, 1) == 0 ? kOk : 5;
        });
        ::close(ends[0]);
        ::close(ends[1]);
        CHECK(end_of(child) == kOk);
    }
    SECTION("offsets") {
        const int file = ::open("/proc/self/exe", O_RDONLY);
        ::lseek(file, 100, SEEK_SET);
        CHECK(rewind_in_child(
                  5, [&](int) { ::lseek(file, 7, SEEK_CUR); }, [&] { return ::lseek(file, 0, SEEK_CUR) == 100; }) ==
              kOk);
        ::close(file);
    }
    SECTION("but not those of files that are written, and may be shared") {
        const int file = static_cast<int>(::memfd_create("log", MFD_CLOEXEC));
        CHECK(rewind_in_child_with(
                  Rewinder::Engine::kWpAsync, 5, [&](int) { static_cast<void>(::write(file, "line\n", 5)); },
                  [] { return true; }) == kOk);
        CHECK(::lseek(file, 0, SEEK_CUR) == 25);
        ::close(file);
    }
    SECTION("flags of descriptors") {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      ::fcntl(ends[0], F_SETFD, 0);
                      ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
                  },
                  [&] {
                      return ::fcntl(ends[0], F_GETFD) == FD_CLOEXEC && (::fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0;
                  }) == kOk);
        ::close(ends[0]);
        ::close(ends[1]);
    }
    SECTION("POSIX timers are deleted") {
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      timer_t timer{};
                      const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 1'000'000}};
                      ::timer_create(CLOCK_MONOTONIC, nullptr, &timer);
                      ::timer_settime(timer, 0, &soon, nullptr);
                  },
                  [] { return ::usleep(2000) == 0; }) == kOk);
    }
    SECTION("capture files are emptied") {
        const int file = static_cast<int>(::memfd_create("tach-capture", MFD_CLOEXEC));
        CHECK(rewind_in_child(
                  5, [&](int) { static_cast<void>(::write(file, "output", 6)); },
                  [&] { return ::lseek(file, 0, SEEK_END) == 0; }) == kOk);
        ::close(file);
    }
    SECTION("signals, timers, directory, umask, limits, priority") {
        const mode_t mask = ::umask(022);
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      ::signal(SIGUSR1, SIG_IGN);
                      ::signal(SIGALRM, [](int) {});
                      const itimerval soon{.it_interval = {0, 1000}, .it_value = {0, 1000}};
                      ::setitimer(ITIMER_REAL, &soon, nullptr);
                      sigset_t blocked;
                      ::sigemptyset(&blocked);
                      ::sigaddset(&blocked, SIGUSR2);
                      ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
                      ::raise(SIGUSR2);
                      static_cast<void>(::chdir("/"));
                      ::umask(0);
                      rlimit limit{};
                      ::getrlimit(RLIMIT_CORE, &limit);
                      limit.rlim_cur = 0;
                      ::setrlimit(RLIMIT_CORE, &limit);
                      if (::geteuid() == 0) ::setpriority(PRIO_PROCESS, 0, 5);  // others cannot come back from it
                  },
                  [&] {
                      struct sigaction now {};
                      ::sigaction(SIGUSR1, nullptr, &now);
                      itimerval timer{};
                      ::getitimer(ITIMER_REAL, &timer);
                      sigset_t blocked;
                      ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
                      std::array<char, 4096> directory{};
                      const bool moved = std::string(::getcwd(directory.data(), directory.size())) == "/";
                      const mode_t umask_now = ::umask(022);
                      return now.sa_handler == SIG_DFL && timer.it_value.tv_usec == 0 &&
                             ::sigismember(&blocked, SIGUSR2) == 0 && !moved && umask_now == 022 &&
                             (::geteuid() != 0 || ::getpriority(PRIO_PROCESS, 0) == 0);
                  }) == kOk);
        ::umask(mask);
    }
    SECTION("ended children are reaped") {
        CHECK(rewind_in_child(
                  5,
                  [&](int) {
                      siginfo_t info{};
                      const auto child = static_cast<id_t>(fork_child([] { return 0; }));
                      ::waitid(P_PID, child, &info, WEXITED | WNOWAIT);
                  },
                  [&] { return ::waitpid(-1, nullptr, WNOHANG) == -1; }) == kOk);
    }
    ::close(golden);
}

TEST_CASE("what cannot be restored is refused, and the process goes on") {
    CHECK(refusal_after([] { std::thread([] { ::pause(); }).detach(); }) == "it left a thread running");
    CHECK(refusal_after([] {
              static_cast<void>(fork_child([] {
                  ::sleep(1);
                  return 0;
              }));
          }) == "it left a child process running");
    CHECK(refusal_after([] { ::setsid(); }) == "it started a new session");
    std::byte* const shared = map_pages(4, MAP_SHARED);
    CHECK(refusal_after([&] { ::munmap(shared, 4 * base::kPageSize); }) == "a mapping of a file was unmapped");
    ::munmap(shared, 4 * base::kPageSize);
}

TEST_CASE("a thread that has ended is no obstacle") {
    CHECK(rewind_in_child(
              20, [](int) { std::thread([] {}).join(); }, [] { return true; }) == kOk);
}

// Pages in all, private dirty kB, mappings and descriptors of this process.
std::array<std::uint64_t, 4> measure() {
    std::array<std::uint64_t, 4> result{};
    std::ifstream("/proc/self/statm") >> result[0];
    std::ifstream rollup("/proc/self/smaps_rollup");
    for (std::string word; rollup >> word;) {
        if (word == "Private_Dirty:") rollup >> result[1];
    }
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) ++result[2];
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++result[3];
    return result;
}

TEST_CASE("from rewind 100 to rewind 10,000 nothing grows") {
    auto* const seen = reinterpret_cast<std::array<std::uint64_t, 4>*>(map_pages(1, MAP_SHARED));  // NOLINT: survives
    const auto change = [&](int position) {
        std::vector<std::string> strings;
        for (int i = 0; i < 200; ++i) strings.emplace_back(static_cast<std::size_t>(position % 500), 'x');
        static_cast<void>(new std::string(10'000, 'y'));
        if (position == 100) seen[0] = measure();
        if (position == 9'999) seen[1] = measure();
    };
    const Engine kind = GENERATE(from_range(engines()));
    CHECK(rewind_in_child_with(kind, 10'000, change, [] { return true; }) == kOk);
    CHECK(seen[0][1] > 0);
    CHECK(seen[1][0] == seen[0][0]);
    CHECK(seen[1][1] <= seen[0][1] + 100);  // a few pages are still touched for the first time
    CHECK(seen[1][2] == seen[0][2]);
    CHECK(seen[1][3] == seen[0][3]);
}

TEST_CASE("memory that is meant to be lost is left alone") {
    constexpr int kDroppable = 0x08;  // MAP_DROPPABLE, Linux 6.11; a type of its own beside MAP_PRIVATE
    void* const got = ::mmap(nullptr, base::kPageSize, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | kDroppable, -1, 0);
    if (got == MAP_FAILED) return;  // an older kernel
    auto* const word = static_cast<volatile int*>(got);
    *word = -1;
    auto* const last = reinterpret_cast<int*>(map_pages(1, MAP_SHARED));  // NOLINT: what survives
    // A fork wipes it, and the kernel may do so at any time: it is never what it was at the push, once it was changed.
    *last = 0;
    const auto change = [&](int position) { *word = *last = position + 1; };
    CHECK(rewind_in_child(20, change, [&] { return *word == 0 || *word == *last; }) == kOk);
    CHECK(*last == 20);
    ::munmap(got, base::kPageSize);
}

// A copy of this process that is nobody's child that we could see. It ends when all others have closed the pipe.
void fork_rival(const std::array<int, 2>& ends) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::fork() == 0) {
            ::close(ends[1]);
            char byte = 0;
            static_cast<void>(::read(ends[0], &byte, 1));
        }
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
}

TEST_CASE("engine cow: a process that shares the memory is in the way of a rewind") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const std::string why = refusal_after([&] { fork_rival(ends); }, Rewinder::Engine::kCow);
    ::close(ends[1]);
    ::close(ends[0]);
    CHECK(why == "it left a process that shares its memory");
}

// What is in a page above level 0 that is pushed, changed and rewound, after `hide` and before `show`.
template <class Hide, class Show>
int rewind_hidden(Rewinder::Engine kind, const Hide& hide, const Show& show) {
    return end_of_rewound(kind, [&](int socket) {
        std::byte* const page = map_pages(1);
        auto created = Rewinder::create(kind, nullptr, socket);
        if (!created) return kUnavailable;
        Rewinder& engine = **created;
        if (engine.push() != Rewinder::Return::kPushed) return 2;
        page[0] = std::byte{49};
        hide(page);
        const Rewinder::Return returned = engine.push();
        show(page);
        if (returned == Rewinder::Return::kCameBack) return page[0] == std::byte{49} ? kOk : 3;
        page[0] = std::byte{50};
        hide(page);
        engine.rewind({});
        return 4;
    });
}

TEST_CASE("memory that cannot be read at a push is restored") {
    const Engine kind = GENERATE(from_range(engines()));
    const auto hide = [](std::byte* page) { ::mprotect(page, base::kPageSize, PROT_NONE); };
    const auto show = [](std::byte* page) { ::mprotect(page, base::kPageSize, PROT_READ | PROT_WRITE); };
    CHECK(rewind_hidden(kind, hide, show) == kOk);
}

TEST_CASE("a guard in the place of a page is taken away") {
    constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL, Linux 6.13
    std::byte* const pages = map_pages(2);
    std::memset(pages, 7, 2 * base::kPageSize);
    const auto change = [&](int) { ::madvise(pages, base::kPageSize, kGuardInstall); };
    CHECK(rewind_in_child(5, change, [&] { return pages[0] == std::byte{7}; }) == kOk);
}

TEST_CASE("engine cow: nothing is pushed while another process shares the memory") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const int end = end_of(fork_child([&] {
        auto created = Rewinder::create(Rewinder::Engine::kCow);
        if (!created) return kUnavailable;
        Rewinder& engine = **created;
        if (engine.push() != Rewinder::Return::kPushed) return 2;
        fork_rival(ends);
        if (engine.push() != Rewinder::Return::kRefused) return 3;
        return std::string(engine.refusal().why) == "another process shares its memory" ? kOk : 4;
    }));
    ::close(ends[1]);
    ::close(ends[0]);
    CHECK(end == kOk);
}

// --- engine missing -------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kBytes = 8 * base::kPageSize;

bool all_are(const std::byte* begin, std::size_t bytes, int value) {
    return std::all_of(begin, begin + bytes, [&](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

// Untouched pages of 7 that are dropped, moved, grown, unmapped or forked. Returns what is wrong, 0 for nothing.
int mistreat(std::byte* dropped, std::byte* moved, std::byte* replaced, const std::byte* forked) {
    ::madvise(dropped, kBytes / 2, MADV_DONTNEED);
    if (!all_are(dropped, kBytes / 2, 0) || !all_are(dropped + kBytes / 2, kBytes / 2, 7)) return 20;
    std::byte* const place = map_pages(4 * kBytes / base::kPageSize);
    void* const now = ::mremap(moved, kBytes, 2 * kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (now != place || !all_are(place, kBytes, 7) || !all_are(place + kBytes, kBytes, 0)) return 21;
    ::munmap(replaced, kBytes);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    ::mmap(replaced, kBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (!all_are(replaced, kBytes, 0)) return 22;
    const int end = end_of(fork_child([&] {
        if (!all_are(forked, kBytes, 7) || !all_are(dropped, kBytes / 2, 0)) return 1;
        return end_of(fork_child([&] { return all_are(forked, kBytes, 7) ? 0 : 1; }));
    }));
    return end == 0 ? 0 : 23;
}

}  // namespace

TEST_CASE("pages that nobody has touched follow what is done to them") {
    std::array<std::byte*, 4> pages{};
    for (std::byte*& some : pages) {
        some = map_pages(kBytes / base::kPageSize);
        std::memset(some, 7, kBytes);
    }
    auto* const wrong = reinterpret_cast<int*>(map_pages(1, MAP_SHARED));  // NOLINT: what survives
    const auto is_golden = [&] {
        if (*wrong != 0) std::fprintf(stderr, "wrong: %d\n", *wrong);
        return *wrong == 0;
    };
    SECTION("by a test") {
        const auto change = [&](int) { *wrong = mistreat(pages[0], pages[1], pages[2], pages[3]); };
        CHECK(rewind_in_child(5, change, is_golden) == kOk);
        const auto touch = [&](int position) {
            // What was mistreated before must be whole again.
            for (const std::byte* some : pages) *wrong = *wrong != 0 || all_are(some, kBytes, 7) ? *wrong : 30;
            if (position % 2 == 0) *wrong = *wrong != 0 ? *wrong : mistreat(pages[0], pages[1], pages[2], pages[3]);
        };
        CHECK(rewind_in_child(6, touch, is_golden) == kOk);
    }
    SECTION("by a layer") {
        const Engine kind = GENERATE(from_range(engines()));
        auto* const times = wrong + 1;
        const int end = end_of_rewound(kind, [&](int socket) {
            auto created = Rewinder::create(kind, nullptr, socket);
            if (!created) return kUnavailable;
            Rewinder& engine = **created;
            if (engine.push() == Rewinder::Return::kCameBack) {
                for (const std::byte* some : pages) {
                    if (!all_are(some, kBytes, 7)) return 30;
                }
                return *times == 3 ? kOk : 31;
            }
            if (mistreat(pages[0], pages[1], pages[2], pages[3]) != 0) return 32;
            ::madvise(pages[3], kBytes, MADV_DONTNEED);
            pages[3][0] = std::byte{9};
            if (engine.push() == Rewinder::Return::kRefused) return 33;
            if (!all_are(pages[0], kBytes / 2, 0) || !all_are(pages[0] + kBytes / 2, kBytes / 2, 7)) return 34;
            if (!all_are(pages[2], kBytes, 0)) return 35;
            if (pages[3][0] != std::byte{9} || !all_are(pages[3] + 1, kBytes - 1, 0)) return 36;
            std::memset(pages[0], 1, kBytes);
            std::memset(pages[2], 1, kBytes);
            ::madvise(pages[3], kBytes, MADV_DONTNEED);
            if (++*times < 3) engine.rewind({});
            engine.drop();
            engine.rewind({});
            return 37;
        });
        CHECK(end == kOk);
    }
}

TEST_CASE("a page that a layer has dropped is zeros for all that runs in it") {
    std::byte* const page = map_pages(1);
    std::memset(page, 7, base::kPageSize);
    const Engine kind = GENERATE(from_range(engines()));
    const bool unmap = GENERATE(false, true);
    const int end = end_of_rewound(kind, [&](int socket) {
        auto created = Rewinder::create(kind, nullptr, socket);
        if (!created) return kUnavailable;
        Rewinder& engine = **created;
        if (engine.push() != Rewinder::Return::kPushed) return 2;
        ::madvise(page, base::kPageSize, MADV_DONTNEED);
        if (unmap) {
            ::munmap(page, base::kPageSize);
            ::mmap(page, base::kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        }
        if (engine.push() == Rewinder::Return::kRefused) return 3;
        if (!all_are(page, base::kPageSize, 0)) return 4;
        const std::uint64_t position = engine.passage().position;
        if (position == 3) return kOk;
        page[0] = std::byte{1};
        engine.rewind({.position = position + 1});
        return 5;
    });
    CHECK(end == kOk);
}

TEST_CASE("engine missing: a thread may miss pages, and so may the kernel") {
    std::byte* const pages = map_pages(kBytes / base::kPageSize);
    std::memset(pages, 7, kBytes);
    auto* const wrong = reinterpret_cast<int*>(map_pages(1, MAP_SHARED));  // NOLINT: what survives
    const auto change = [&](int) {
        std::thread([&] { *wrong += all_are(pages, kBytes / 2, 7) ? 0 : 1; }).join();
        const int file = static_cast<int>(::memfd_create("sink", MFD_CLOEXEC));
        *wrong += ::write(file, pages + kBytes / 2, kBytes / 2) == kBytes / 2 ? 0 : 1;
        ::close(file);
        std::ifstream arguments("/proc/self/cmdline");
        *wrong += arguments.get() > 0 ? 0 : 1;
    };
    CHECK(rewind_in_child(20, change, [&] { return *wrong == 0; }) == kOk);
}
