// The guard: what it finds, in which words, what it lets pass, and how it keeps the offsets of files.

#include "zygote/guard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/eventfd.h"
#include "base/fd_passing.h"
#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/owned_child.h"
#include "tests/temp_dir.h"

using namespace tach;
using base::UniqueFd;
using test::TempDir;
using tests::end_of;
using tests::eventually;
using tests::fork_child;
using tests::OwnedChild;
using zygote::Guard;

namespace {

// ThreadSanitizer's runtime has a thread of its own in every process.
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t kThreadsAtRest = 2;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr std::size_t kThreadsAtRest = 2;
#else
constexpr std::size_t kThreadsAtRest = 1;
#endif
#else
constexpr std::size_t kThreadsAtRest = 1;
#endif

using Lines = std::vector<std::string>;

// "kind: detail", without the threads that are there at rest.
Lines found_by(const Guard& guard) {
    const std::string at_rest = "thread: " + std::to_string(kThreadsAtRest) + " threads";
    Lines lines;
    for (const zygote::Finding& finding : guard.findings()) {
        const std::string line = finding.kind + ": " + finding.detail;
        if (line != at_rest || kThreadsAtRest == 1) lines.push_back(line);
    }
    return lines;
}

Guard marked() {
    Guard guard;
    guard.mark();
    return guard;
}

// How a finding speaks of a descriptor.
std::string described(const UniqueFd& fd) {
    const std::string number = std::to_string(fd.get());
    return "descriptor " + number + " is " + std::filesystem::read_symlink("/proc/self/fd/" + number).string();
}

UniqueFd open_file(const std::filesystem::path& path, int flags) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, S_IRUSR | S_IWUSR));
    REQUIRE(fd.valid());
    return fd;
}

std::pair<UniqueFd, UniqueFd> make_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

off_t offset_of(const UniqueFd& fd) {
    return ::lseek(fd.get(), 0, SEEK_CUR);
}

char next_byte(const UniqueFd& fd) {
    char byte = '\0';
    return ::read(fd.get(), &byte, 1) == 1 ? byte : '\0';
}

// A page of memory, unmapped again at its end.
class Page {
  public:
    Page(int protection, int flags) : address_(::mmap(nullptr, size(), protection, flags | MAP_ANONYMOUS, -1, 0)) {}
    ~Page() { ::munmap(address_, size()); }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;

    static std::size_t size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

    // As /proc/self/maps writes it.
    [[nodiscard]] std::string range() const {
        const auto start = reinterpret_cast<std::uintptr_t>(address_);
        std::array<char, 64> text{};
        static_cast<void>(std::snprintf(text.data(), text.size(), "%08lx-%08lx", static_cast<unsigned long>(start),
                                        static_cast<unsigned long>(start + size())));
        return text.data();
    }

  private:
    void* address_;
};

}  // namespace

// --- what is found --------------------------------------------------------------------------------------------------

TEST_CASE("what was there at the mark is no finding") {
    const TempDir project;
    const UniqueFd log = open_file(project.path() / "log", O_WRONLY | O_CREAT);
    const auto pipe = make_pipe();
    const auto sockets = base::create_packet_pair();
    REQUIRE(sockets);
    const Page page(PROT_READ | PROT_WRITE, MAP_SHARED);
    CHECK(found_by(marked()) == Lines{});
}

TEST_CASE("a second thread is a finding until it has ended") {
    const Guard guard = marked();
    std::promise<void> end;
    std::thread second([&] { end.get_future().wait(); });
    const Lines found = found_by(guard);
    end.set_value();
    second.join();
    CHECK(found == Lines{"thread: " + std::to_string(kThreadsAtRest + 1) + " threads"});
    CHECK(eventually([&] { return found_by(guard).empty(); }));  // join() returns before the kernel has forgotten it
}

TEST_CASE("a thread that is on its way out is no finding") {
    const Guard guard = marked();
    std::thread second([] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
    const Lines found = found_by(guard);
    second.join();
    CHECK(found == Lines{});
}

TEST_CASE("a running child is a finding that names it, until it has been waited for") {
    const auto named = base::create_eventfd();
    REQUIRE(named);
    const Guard guard = marked();
    OwnedChild child([&] {
        ::prctl(PR_SET_NAME, "a daemon");
        base::signal_eventfd(named->get());
        return ::pause();
    });
    REQUIRE(base::wait_readable(named->get(), tests::kGuardMs) == base::Waited::kReadable);
    CHECK(found_by(guard) == Lines{"child: process " + std::to_string(child.pid()) + " (a daemon)"});
    ::kill(child.pid(), SIGKILL);
    CHECK(child.end() == -SIGKILL);
    CHECK(found_by(guard) == Lines{});
}

TEST_CASE("a child that has ended is a finding, and is left for others to wait for") {
    const Guard guard = marked();
    OwnedChild child([] {
        ::prctl(PR_SET_NAME, "short");
        return 7;
    });
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT) == 0);
    CHECK(found_by(guard) ==
          Lines{"child: process " + std::to_string(child.pid()) + " (short), ended, not waited for"});
    CHECK(child.end() == 7);
}

TEST_CASE("a child that another thread started is a finding that names it") {
    const auto named = base::create_eventfd();
    const auto done = base::create_eventfd();
    REQUIRE((named && done));
    const Guard guard = marked();
    std::promise<pid_t> started;
    std::thread second([&] {
        OwnedChild child([&] {
            ::prctl(PR_SET_NAME, "of a thread");
            base::signal_eventfd(named->get());
            return ::pause();
        });
        started.set_value(child.pid());
        static_cast<void>(base::wait_readable(done->get(), tests::kGuardMs));
    });
    const pid_t child = started.get_future().get();
    const auto waited = base::wait_readable(named->get(), tests::kGuardMs);
    const Lines found = found_by(guard);
    base::signal_eventfd(done->get());
    second.join();
    CHECK(waited == base::Waited::kReadable);
    CHECK(found == Lines{"thread: " + std::to_string(kThreadsAtRest + 1) + " threads",
                         "child: process " + std::to_string(child) + " (of a thread)"});
}

TEST_CASE("a new socket is a finding") {
    const Guard guard = marked();
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(fd.valid());
    CHECK(found_by(guard) == Lines{"socket: " + described(fd)});
}

TEST_CASE("either end of a new pipe is a finding") {
    const Guard guard = marked();
    const auto [read_end, write_end] = make_pipe();
    CHECK(found_by(guard) == Lines{"pipe: " + described(read_end), "pipe: " + described(write_end)});
}

TEST_CASE("a new file that is open for writing is a finding") {
    const TempDir project;
    const Guard guard = marked();
    SECTION("for writing only") {
        const UniqueFd fd = open_file(project.path() / "data", O_WRONLY | O_CREAT);
        CHECK(found_by(guard) == Lines{"file: " + described(fd) + ", open for writing"});
    }
    SECTION("for reading too") {
        const UniqueFd fd = open_file(project.path() / "data", O_RDWR | O_CREAT);
        CHECK(found_by(guard) == Lines{"file: " + described(fd) + ", open for writing"});
    }
    SECTION("anonymous") {
        const UniqueFd fd(::memfd_create("data", MFD_CLOEXEC));
        CHECK(found_by(guard) == Lines{"file: " + described(fd) + ", open for writing"});
    }
}

TEST_CASE("what has no other name is a finding as a descriptor") {
    const Guard guard = marked();
    const auto fd = base::create_eventfd();
    REQUIRE(fd);
    CHECK(found_by(guard) == Lines{"descriptor: " + described(*fd)});
}

TEST_CASE("what a copy may have without harm is called regular") {
    const TempDir project;
    const std::filesystem::path file = project.file("data", "text");
    const Guard guard = marked();
    SECTION("a file that is read only") {
        const UniqueFd fd = open_file(file, O_RDONLY);
        CHECK(found_by(guard) == Lines{"regular: " + described(fd)});
    }
    SECTION("a log that is appended to") {
        const UniqueFd fd = open_file(file, O_WRONLY | O_APPEND);
        CHECK(found_by(guard) == Lines{"regular: " + described(fd)});
    }
    SECTION("a directory") {
        const UniqueFd fd = open_file(project.path(), O_RDONLY | O_DIRECTORY);
        CHECK(found_by(guard) == Lines{"regular: " + described(fd)});
    }
    SECTION("/dev/null, even for writing") {
        const UniqueFd fd = open_file("/dev/null", O_RDWR);
        CHECK(found_by(guard) == Lines{"regular: " + described(fd)});
    }
    SECTION("/dev/urandom") {
        const UniqueFd fd = open_file("/dev/urandom", O_RDONLY);
        CHECK(found_by(guard) == Lines{"regular: " + described(fd)});
    }
}

TEST_CASE("a descriptor that was closed again is no finding") {
    const Guard guard = marked();
    {
        const auto pipe = make_pipe();
        REQUIRE(found_by(guard).size() == 2);
    }
    CHECK(found_by(guard) == Lines{});
}

TEST_CASE("something else under a number that was there at the mark is a finding") {
    const auto [read_end, write_end] = make_pipe();
    const UniqueFd number = open_file("/dev/null", O_RDONLY);
    const Guard guard = marked();
    REQUIRE(::dup3(read_end.get(), number.get(), O_CLOEXEC) == number.get());
    CHECK(found_by(guard) == Lines{"pipe: " + described(number)});
}

TEST_CASE("a file that was read only at the mark and is open for writing now is a finding") {
    const TempDir project;
    const std::filesystem::path file = project.file("data", "text");
    UniqueFd fd = open_file(file, O_RDONLY);
    const int number = fd.get();
    const Guard guard = marked();
    fd.reset();
    fd = open_file(file, O_RDWR);
    REQUIRE(fd.get() == number);
    CHECK(found_by(guard) == Lines{"file: " + described(fd) + ", open for writing"});
}

TEST_CASE("a second mark takes what has come since for good and forgets what has gone") {
    auto old = make_pipe();
    Guard guard = marked();
    const UniqueFd kept(old.first.release());
    const auto socket = base::create_packet_pair();
    REQUIRE(socket);
    const int number = old.second.get();
    const UniqueFd elsewhere = old.second.duplicate().value();
    old.second.reset();
    guard.mark();
    CHECK(found_by(guard) == Lines{});
    REQUIRE(::dup3(elsewhere.get(), number, O_CLOEXEC) == number);  // known at the first mark only
    const UniqueFd again(number);
    CHECK(found_by(guard) == Lines{"pipe: " + described(again)});
}

TEST_CASE("a new writable shared mapping is a finding until it is unmapped") {
    const Guard guard = marked();
    {
        const Page page(PROT_READ | PROT_WRITE, MAP_SHARED);
        CHECK(found_by(guard) ==
              Lines{"shared memory: a writable shared mapping at " + page.range() + " /dev/zero (deleted)"});
    }
    CHECK(found_by(guard) == Lines{});
}

TEST_CASE("memory that is private or cannot be written is no finding") {
    const Guard guard = marked();
    const Page own(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    const Page read_only(PROT_READ, MAP_SHARED);
    CHECK(found_by(guard) == Lines{});
}

TEST_CASE("a process that cannot look is not taken for a good one") {
    const pid_t child = fork_child([] {
        const Guard guard = marked();
        const auto limit = static_cast<rlim_t>(tests::lowest_free_fd());
        const rlimit none{limit, limit};
        if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
        return found_by(guard) == Lines{"thread: /proc/self/task cannot be read",
                                        "descriptor: /proc/self/fd cannot be read",
                                        "shared memory: /proc/self/maps cannot be read"}
                   ? 0
                   : 2;
    });
    CHECK(end_of(child) == 0);
}

// --- files that are open for writing --------------------------------------------------------------------------------

namespace {

// The answer of a process that has no more than its standard streams and what `open` gives.
template <class Open>
bool has_writable_files_with(const Open& open) {
    const int status = end_of(fork_child([&] {
        ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
        const int fd = open();
        if (fd < 0) return 2;
        return Guard::writable_files().empty() ? 0 : 1;
    }));
    REQUIRE((status == 0 || status == 1));
    return status == 1;
}

}  // namespace

TEST_CASE("a process that cannot look may have writable files") {
    CHECK(has_writable_files_with([] {
        const rlimit none{STDERR_FILENO + 1, STDERR_FILENO + 1};
        return ::setrlimit(RLIMIT_NOFILE, &none);
    }));
}

TEST_CASE("a file on disk that is open for writing is told, an appended log included") {
    const TempDir project;
    const std::string file = project.file("data", "text").string();
    CHECK(has_writable_files_with([&] { return ::open(file.c_str(), O_WRONLY); }));
    CHECK(has_writable_files_with([&] { return ::open(file.c_str(), O_RDWR); }));
    CHECK(has_writable_files_with([&] { return ::open(file.c_str(), O_WRONLY | O_APPEND); }));
    CHECK(has_writable_files_with([&] { return ::memfd_create("data", 0); }));
}

TEST_CASE("what is read only, no file, a standard stream or tach's own is no writable file") {
    const TempDir project;
    const std::string file = project.file("data", "text").string();
    CHECK_FALSE(has_writable_files_with([&] { return ::open(file.c_str(), O_RDONLY); }));
    CHECK_FALSE(has_writable_files_with([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }));
    CHECK_FALSE(has_writable_files_with([] { return ::open("/dev/null", O_RDWR); }));
    CHECK_FALSE(has_writable_files_with([] { return ::memfd_create("tach-channel", 0); }));
    CHECK_FALSE(has_writable_files_with([&] {
        const int fd = ::open(file.c_str(), O_RDWR);
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(fd, stream);
        return ::close(fd);
    }));
}

TEST_CASE("what the standard streams were at the start is no writable file at any descriptor") {
    const TempDir project;
    const std::string file = project.file("data", "text").string();
    CHECK_FALSE(has_writable_files_with([&] {
        const int fd = ::open(file.c_str(), O_RDWR);
        ::dup2(fd, STDOUT_FILENO);
        Guard::mark_standard_streams();
        const int null = ::open("/dev/null", O_RDWR);  // as pytest's capture does
        return ::dup2(null, STDOUT_FILENO);
    }));
}

// --- offsets --------------------------------------------------------------------------------------------------------

TEST_CASE("a saved offset is restored after a forked test has moved it") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    REQUIRE(::lseek(fd.get(), 4, SEEK_SET) == 4);
    Guard guard;
    guard.save_offsets();
    REQUIRE(end_of(fork_child([&] { return next_byte(fd); })) == '4');
    REQUIRE(offset_of(fd) == 5);
    guard.restore_offsets();
    CHECK(offset_of(fd) == 4);
}

TEST_CASE("the offset of a file that is written to goes on where the last test ended") {
    const TempDir project;
    const UniqueFd fd = open_file(project.path() / "log", O_RDWR | O_CREAT);
    Guard guard;
    guard.save_offsets();
    REQUIRE(::write(fd.get(), "line\n", 5) == 5);
    guard.restore_offsets();
    CHECK(offset_of(fd) == 5);
}

TEST_CASE("a saved offset is not for another file under the same number") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    Guard guard;
    guard.save_offsets();
    const UniqueFd other = open_file(project.file("other", "0123456789"), O_RDONLY);
    REQUIRE(::dup3(other.get(), fd.get(), O_CLOEXEC) == fd.get());
    REQUIRE(::lseek(fd.get(), 7, SEEK_SET) == 7);
    guard.restore_offsets();
    CHECK(offset_of(fd) == 7);
}

TEST_CASE("a descriptor that was closed since does not keep the others from being restored") {
    const TempDir project;
    UniqueFd gone = open_file(project.file("gone", "0123456789"), O_RDONLY);
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    Guard guard;
    guard.save_offsets();
    gone.reset();
    REQUIRE(next_byte(fd) == '0');
    guard.restore_offsets();
    CHECK(offset_of(fd) == 0);
}

TEST_CASE("saving again forgets what was saved before") {
    const TempDir project;
    const std::filesystem::path file = project.file("data", "0123456789");
    UniqueFd fd = open_file(file, O_RDONLY);
    const int number = fd.get();
    Guard guard;
    guard.save_offsets();
    fd.reset();
    guard.save_offsets();
    fd = open_file(file, O_RDONLY);
    REQUIRE(fd.get() == number);
    REQUIRE(next_byte(fd) == '0');
    guard.restore_offsets();
    CHECK(offset_of(fd) == 1);
}

// --- open files of one's own ----------------------------------------------------------------------------------------

namespace {

// A child that unshares its files, as every worker does, and then runs `body`.
template <class Body>
int after_unsharing(const Body& body) {
    return end_of(fork_child([&] {
        Guard::unshare_read_only_files();
        return body();
    }));
}

}  // namespace

TEST_CASE("a process reads on where it was, and its siblings do not notice") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    REQUIRE(::lseek(fd.get(), 3, SEEK_SET) == 3);
    CHECK(after_unsharing([&] { return next_byte(fd); }) == '3');
    CHECK(offset_of(fd) == 3);
}

TEST_CASE("a deleted file is unshared too") {
    const TempDir project;
    const std::filesystem::path path = project.file("data", "0123456789");
    const UniqueFd fd = open_file(path, O_RDONLY);
    std::filesystem::remove(path);
    CHECK(after_unsharing([&] { return next_byte(fd); }) == '0');
    CHECK(offset_of(fd) == 0);
}

TEST_CASE("a file that is written to stays shared") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDWR);
    CHECK(after_unsharing([&] { return next_byte(fd); }) == '0');
    CHECK(offset_of(fd) == 1);
}

TEST_CASE("an unshared descriptor is closed on exec if it was before") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    for (const int flags : {0, FD_CLOEXEC}) {
        REQUIRE(::fcntl(fd.get(), F_SETFD, flags) == 0);
        CHECK(after_unsharing([&] { return ::fcntl(fd.get(), F_GETFD); }) == flags);
    }
}

TEST_CASE("unsharing leaves no descriptor behind") {
    const TempDir project;
    const UniqueFd fd = open_file(project.file("data", "0123456789"), O_RDONLY);
    const int free = tests::lowest_free_fd();
    CHECK(after_unsharing([] { return tests::lowest_free_fd(); }) == free);
}
