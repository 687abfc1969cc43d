#include "base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/unique_fd.h"

namespace tach::base {
namespace {

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

// Our end does not block: what the program leaves running may keep the other one open.
Result<Pipe> create_pipe() {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail(errno_error("pipe2"));
    Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
    if (::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) return fail(errno_error("fcntl"));
    return pipe;
}

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
    ::posix_spawnattr_setsigdefault(&settings.attributes, &ignored_here);
    ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> variables = environment_in_english();
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, argv.front(), &settings.files, &settings.attributes, argv.data(), variables.data());
    if (error != 0) return fail(errno_error(command.front(), error));
    return pid;
}

// What is there now. False: nothing more will come.
bool read_some(int fd, std::string& text) {
    std::array<char, 65536> buffer{};  // a pipe's usual capacity
    while (true) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(count));
            continue;
        }
        if (count < 0 && errno == EINTR) continue;
        return count < 0 && errno == EAGAIN;
    }
}

// Until the program has ended; false when the time is over.
bool collect(int pidfd, int output, int error_output, std::int64_t deadline_ns, Finished& finished) {
    std::array<pollfd, 3> waits{{{pidfd, POLLIN, 0}, {output, POLLIN, 0}, {error_output, POLLIN, 0}}};
    while (true) {
        const std::int64_t left_ms = (deadline_ns - monotonic_ns()) / 1000000;
        if (left_ms <= 0) return false;
        const int ready = ::poll(waits.data(), waits.size(), static_cast<int>(left_ms));
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return false;
        if (waits[1].fd >= 0 && !read_some(output, finished.standard_output)) waits[1].fd = -1;
        if (waits[2].fd >= 0 && !read_some(error_output, finished.standard_error)) waits[2].fd = -1;
        // It had ended before the last read, so that has all that it wrote.
        if (waits[0].revents != 0) return true;
    }
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<Finished> run_command(const std::vector<std::string>& command, int timeout_ms) {
    auto output = create_pipe();
    if (!output) return fail(std::move(output.error()));
    auto error_output = create_pipe();
    if (!error_output) return fail(std::move(error_output.error()));
    const auto pid = spawn(command, output->write.get(), error_output->write.get());
    if (!pid) return fail(pid.error());
    output->write.reset();
    error_output->write.reset();
    const auto pidfd = open_pidfd(*pid);
    Finished finished;
    const std::int64_t deadline_ns = monotonic_ns() + std::int64_t{timeout_ms} * 1000000;
    const bool has_ended =
        pidfd && collect(pidfd->get(), output->read.get(), error_output->read.get(), deadline_ns, finished);
    if (!has_ended) ::kill(*pid, SIGKILL);  // our child, and not waited for yet: the number is still its own
    finished.status = wait_for(*pid);
    if (!pidfd) return fail(pidfd.error());
    if (!has_ended) return fail(errno_error(command.front(), ETIMEDOUT));
    return finished;
}

}  // namespace tach::base
