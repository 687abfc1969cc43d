#include "base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/pidfd.h"

namespace tach::base {
namespace {

struct SpawnSettings {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    SpawnSettings() {
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawnattr_init(&attributes);
    }
    ~SpawnSettings() {
        ::posix_spawnattr_destroy(&attributes);
        ::posix_spawn_file_actions_destroy(&files);
    }
    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;
};

std::vector<char*> environment_in_english() {
    static char language[] = "LC_ALL=C";  // execve's array is not const
    std::vector<char*> variables;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        if (std::strncmp(*variable, "LC_ALL=", 7) != 0) variables.push_back(*variable);
    }
    variables.push_back(language);
    variables.push_back(nullptr);
    return variables;
}

Result<pid_t> spawn(const std::vector<std::string>& command, int standard_output, int standard_error) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT
    argv.push_back(nullptr);
    SpawnSettings settings;
    ::posix_spawn_file_actions_addopen(&settings.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&settings.files, standard_output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&settings.files, standard_error, STDERR_FILENO);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&settings.attributes, &none);
    sigset_t ignored_here;
    ::sigemptyset(&ignored_here);
    ::sigaddset(&ignored_here, SIGPIPE);
    ::sigaddset(&ignored_here, SIGXFSZ);
    ::posix_spawnattr_setsigdefault(&settings.attributes, &ignored_here);
    ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> variables = environment_in_english();
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, argv.front(), &settings.files, &settings.attributes, argv.data(), variables.data());
    if (error != 0) return fail(errno_error(command.front(), error));
    return pid;
}

Result<UniqueFd> create_memory_file() {
    UniqueFd file(::memfd_create("tach-command", MFD_CLOEXEC));
    if (!file.valid()) return fail(errno_error("memfd_create"));
    return file;
}

std::string contents_of(int file) {
    const off_t size = ::lseek(file, 0, SEEK_END);
    std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
    const ssize_t count = ::pread(file, text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// False when the time is over.
bool wait_until_readable(int fd, int timeout_ms) {
    const std::int64_t deadline_ns = monotonic_ns() + timeout_ms * kNsPerMs;
    pollfd wait{fd, POLLIN, 0};
    while (true) {
        const std::int64_t left_ms = (deadline_ns - monotonic_ns()) / kNsPerMs;
        if (left_ms <= 0) return false;
        const int ready = ::poll(&wait, 1, static_cast<int>(left_ms));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

}  // namespace

Result<RunningCommand> RunningCommand::start(const std::vector<std::string>& command) {
    auto output = create_memory_file();
    if (!output) return fail(output.error());
    auto error_output = create_memory_file();
    if (!error_output) return fail(error_output.error());
    RunningCommand running;
    running.output_ = *std::move(output);
    running.error_output_ = *std::move(error_output);
    const auto pid = spawn(command, running.output_.get(), running.error_output_.get());
    if (!pid) return fail(pid.error());
    running.pid_ = *pid;
    auto pidfd = open_pidfd(*pid);
    if (!pidfd) return fail(pidfd.error());
    running.pidfd_ = *std::move(pidfd);
    return running;
}

RunningCommand::RunningCommand(RunningCommand&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      output_(std::move(other.output_)),
      error_output_(std::move(other.error_output_)) {}

// What this one had is killed with `other`.
RunningCommand& RunningCommand::operator=(RunningCommand&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(output_, other.output_);
    std::swap(error_output_, other.error_output_);
    return *this;
}

RunningCommand::~RunningCommand() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);  // our child, and not waited for yet: the number is still its own
    static_cast<void>(wait_for(pid_));
}

bool RunningCommand::ends_within(int timeout_ms) const {
    return wait_until_readable(pidfd_.get(), timeout_ms);
}

Finished RunningCommand::finish() {
    const int status = wait_for(std::exchange(pid_, -1));
    return {.status = status,
            .standard_output = contents_of(output_.get()),
            .standard_error = contents_of(error_output_.get())};
}

Result<Finished> run_command(const std::vector<std::string>& command, int timeout_ms) {
    auto running = RunningCommand::start(command);
    if (!running) return fail(running.error());
    if (!running->ends_within(timeout_ms)) return fail(errno_error(command.front(), ETIMEDOUT));
    return running->finish();
}

}  // namespace tach::base
