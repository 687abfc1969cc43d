#include "base/companion.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace tach::base {
namespace {

constexpr off_t kMostSaid = off_t{1} << 16;  // more than any traceback: a guess

struct Ends {
    int socket;
    int output;
    int error_pipe;  // takes the errno value if the program cannot be executed
};

// A copy that none of the numbers which are given away below can be; close-on-exec.
int moved_up(int fd) {
    return ::fcntl(fd, F_DUPFD_CLOEXEC, kCompanionSocket + 1);
}

[[noreturn]] void become(char* const* argv, const Ends& ends, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before
    ::setpgid(0, 0);
    const rlimit no_core{};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int socket = moved_up(ends.socket);
    const int output = moved_up(ends.output);
    const int error_pipe = moved_up(ends.error_pipe);
    const int nothing = moved_up(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const bool is_set = ::dup2(nothing, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
                        ::dup2(output, STDERR_FILENO) >= 0 && ::dup2(socket, kCompanionSocket) >= 0;
    // What is open without being close-on-exec is none of its business. Linux 5.11; without that it has some more.
    ::close_range(kCompanionSocket + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (is_set) ::execv(argv[0], argv);
    const int reason = errno;
    static_cast<void>(!::write(error_pipe, &reason, sizeof reason));
    ::_exit(127);
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<Companion> Companion::start(const std::vector<std::string>& command) {
    Companion companion;
    companion.output_.reset(::memfd_create("tach-companion", MFD_CLOEXEC));
    if (!companion.output_.valid()) return fail(errno_error("memfd_create"));
    // Its writes go to the end, whoever of its own writes them.
    ::fcntl(companion.output_.get(), F_SETFL, O_APPEND);
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail(errno_error("socketpair"));
    companion.socket_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error("pipe"));
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    companion.pid_ = ::fork();
    if (companion.pid_ < 0) return fail(errno_error("fork"));
    if (companion.pid_ == 0) become(argv.data(), {theirs.get(), companion.output_.get(), writing.get()}, parent);
    writing.reset();
    int reason = 0;
    ssize_t got = 0;
    while ((got = ::read(reading.get(), &reason, sizeof reason)) < 0 && errno == EINTR) {
    }
    if (got == sizeof reason) return fail(errno_error(command.front(), reason));
    return companion;
}

Companion::Companion(Companion&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)), output_(std::move(other.output_)) {}

// What this one had is killed with `other`.
Companion& Companion::operator=(Companion&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(socket_, other.socket_);
    std::swap(output_, other.output_);
    return *this;
}

Companion::~Companion() {
    if (pid_ >= 0) static_cast<void>(end());
}

std::string Companion::said() const {
    const off_t size = ::lseek(output_.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(size - kMostSaid, 0);
    std::string text(size > 0 ? static_cast<std::size_t>(size - from) : 0, '\0');
    const ssize_t count = ::pread(output_.get(), text.data(), text.size(), from);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
}

int Companion::end() {
    socket_.reset();
    ::kill(pid_, SIGKILL);  // our child, and not waited for yet: the number is still its own
    return wait_for(std::exchange(pid_, -1));
}

}  // namespace tach::base
