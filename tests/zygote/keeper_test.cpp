// The keeper: starts a command, tells its end, and leaves nothing behind. Each test forks a keeper and plays the
// supervisor; a shell plays the interpreter.

#include "zygote/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/eventfd.h"
#include "base/fd_passing.h"
#include "base/pidfd.h"
#include "base/process_tree.h"
#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/owned_child.h"
#include "tests/temp_dir.h"

using namespace tach;
using base::UniqueFd;
using test::TempDir;
using tests::eventually;
using tests::kGuardMs;
using zygote::KeeperNews;
using zygote::KeeperOptions;

namespace {

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// All that arrives until every process has closed the other end, or up to `stop`.
std::string read_until(const UniqueFd& fd, char stop = '\0') {
    std::string text;
    while (base::wait_readable(fd.get(), kGuardMs) == base::Waited::kReadable) {
        char byte = '\0';
        if (::read(fd.get(), &byte, 1) != 1 || byte == stop) break;
        text += byte;
    }
    return text;
}

// Whether no process has the other end any more.
bool is_at_end(const UniqueFd& fd) {
    pollfd entry{.fd = fd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLIN | POLLHUP)) == POLLHUP;
}

std::string end_text(int status) {
    return WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                             : "signal " + std::to_string(WTERMSIG(status));
}

std::string link_of(pid_t pid, const std::string& fd) {
    std::error_code gone;
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + fd, gone).string();
}

// Whether the process has a descriptor of the file that /proc calls `link`.
bool has_open(pid_t pid, const std::string& link) {
    const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd");
    return std::any_of(begin(fds), end(fds),
                       [&](const auto& entry) { return link_of(pid, entry.path().filename().string()) == link; });
}

// A keeper in a process of its own, and the supervisor's end of its lifeline.
class Keeper {
  public:
    explicit Keeper(KeeperOptions options) {
        REQUIRE(base::become_subreaper());  // what a broken keeper leaves behind comes to this process
        auto pair = base::create_packet_pair();
        REQUIRE(pair);
        Pipe errors = make_pipe();
        lifeline_ = std::move(pair->first);
        errors_ = std::move(errors.read);
        their_end_ = link_of(::getpid(), std::to_string(pair->second.get()));
        pid_ = tests::fork_child([&] {
            lifeline_.reset();
            ::fcntl(pair->second.get(), F_SETFD, 0);  // as it is after the supervisor's exec
            options.lifeline = std::move(pair->second);
            const auto kept = zygote::keep(std::move(options));
            if (kept) return 0;
            const std::string& what = kept.error().what;
            return ::write(errors.write.get(), what.data(), what.size()) < 0 ? -1 : kept.error().code;
        });
    }
    ~Keeper() {
        if (pid_ > 0) ::kill(pid_, SIGKILL);
        static_cast<void>(base::kill_descendants(::getpid()));
        base::reap_ended_children();
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    // The keeper's end of the lifeline, as /proc calls it.
    [[nodiscard]] const std::string& their_end() const { return their_end_; }

    // The next news, in words.
    [[nodiscard]] std::string told() const {
        if (base::wait_readable(lifeline_.get(), kGuardMs) != base::Waited::kReadable) return "nothing";
        const auto packet = base::receive_packet(lifeline_.get());
        REQUIRE(packet);
        if (packet->status == base::Packet::Status::kClosed) return "closed";
        KeeperNews news{};
        REQUIRE(packet->bytes.size() == sizeof(news));
        std::memcpy(&news, packet->bytes.data(), sizeof(news));
        switch (static_cast<KeeperNews::Tag>(news.tag)) {
            case KeeperNews::Tag::kInterpreterEnded:
                return "interpreter: " + end_text(news.value);
            case KeeperNews::Tag::kSwept:
                return "swept " + std::to_string(news.value);
        }
        return "tag " + std::to_string(news.tag);
    }

    // The supervisor is done, and listens.
    void finish() const { REQUIRE(::shutdown(lifeline_.get(), SHUT_WR) == 0); }
    // The supervisor is gone.
    void abandon() { lifeline_.reset(); }
    void say(std::byte byte) const { REQUIRE(base::send_packet(lifeline_.get(), {&byte, 1})); }

    // How the keeper itself ends, and the error it had.
    [[nodiscard]] std::string end() {
        int status = 0;
        if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return "never";
        pid_ = -1;
        return end_text(status);
    }
    [[nodiscard]] std::string error() const { return read_until(errors_); }

  private:
    pid_t pid_ = -1;
    UniqueFd lifeline_;
    UniqueFd errors_;
    std::string their_end_;
};

KeeperOptions shell(const std::string& script) {
    KeeperOptions options;
    options.command = {"/bin/sh", "-c", script};
    return options;
}

// Gives the interpreter the descriptor under its number.
void inherit(KeeperOptions& options, UniqueFd fd) {
    REQUIRE(::fcntl(fd.get(), F_SETFD, 0) == 0);
    options.inherited.push_back(std::move(fd));
}

// For redirections: a shell need not know numbers above 9.
std::string path_of(const UniqueFd& fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
}

// What a shell that runs `script` under a keeper writes to its descriptor $OUT, all of it.
std::string output_of(const std::string& script, std::vector<std::string> environment = {}) {
    Pipe out = make_pipe();
    KeeperOptions options = shell("OUT=" + path_of(out.write) + "\n" + script);
    options.environment = std::move(environment);
    inherit(options, std::move(out.write));
    const Keeper keeper(std::move(options));
    return read_until(out.read);
}

}  // namespace

// --- news of the interpreter ----------------------------------------------------------------------------------------

TEST_CASE("the interpreter's exit status is told") {
    const Keeper keeper(shell("exit 7"));
    CHECK(keeper.told() == "interpreter: exit 7");
}

TEST_CASE("the signal that killed the interpreter is told") {
    const Keeper keeper(shell("kill -KILL $$"));
    CHECK(keeper.told() == "interpreter: signal 9");
}

TEST_CASE("an orphan is waited for, and its end is no news") {
    Pipe orphan = make_pipe();
    Pipe go = make_pipe();
    const std::string inner = "sh -c 'sh -c : & echo $!' > " + path_of(orphan.write);
    KeeperOptions options = shell(inner + "; read line < " + path_of(go.read) + "; exit 5");
    inherit(options, std::move(orphan.write));
    inherit(options, std::move(go.read));
    const Keeper keeper(std::move(options));
    const pid_t pid = std::stoi(read_until(orphan.read, '\n'));
    CHECK(eventually([&] { return ::kill(pid, 0) != 0 && errno == ESRCH; }));
    REQUIRE(::write(go.write.get(), "\n", 1) == 1);
    CHECK(keeper.told() == "interpreter: exit 5");
}

TEST_CASE("the keeper stays when the interpreter has ended, until the lifeline closes") {
    Keeper keeper(shell("exit 0"));
    REQUIRE(keeper.told() == "interpreter: exit 0");
    keeper.finish();
    CHECK(keeper.told() == "swept 0");
    CHECK(keeper.told() == "closed");
    CHECK(keeper.end() == "exit 0");
}

// --- what the interpreter gets --------------------------------------------------------------------------------------

TEST_CASE("the interpreter gets its arguments as they are") {
    Pipe out = make_pipe();
    KeeperOptions options = shell("printf '%s|' \"$@\" > " + path_of(out.write));
    options.command.insert(options.command.end(), {"name", "one two", "", "$HOME"});
    inherit(options, std::move(out.write));
    const Keeper keeper(std::move(options));
    CHECK(read_until(out.read) == "one two||$HOME|");
}

TEST_CASE("the environment is set where it is not set already") {
    ::setenv("TACH_TEST_OLD", "old", 1);
    ::unsetenv("TACH_TEST_NEW");
    CHECK(output_of("echo $TACH_TEST_OLD $TACH_TEST_NEW > $OUT", {"TACH_TEST_OLD=new", "TACH_TEST_NEW=a=b"}) ==
          "old a=b\n");
    ::unsetenv("TACH_TEST_OLD");
}

TEST_CASE("the interpreter starts with no signal blocked") {
    CHECK(output_of("exec grep SigBlk /proc/self/status > $OUT") == "SigBlk:\t0000000000000000\n");
}

TEST_CASE("the interpreter has no end of the lifeline") {
    Pipe up = make_pipe();
    Pipe go = make_pipe();
    KeeperOptions options = shell("echo $$ > " + path_of(up.write) + "; read line < " + path_of(go.read));
    inherit(options, std::move(up.write));
    inherit(options, std::move(go.read));
    const Keeper keeper(std::move(options));
    const pid_t interpreter = std::stoi(read_until(up.read, '\n'));
    REQUIRE(has_open(keeper.pid(), keeper.their_end()));
    CHECK_FALSE(has_open(interpreter, keeper.their_end()));
}

TEST_CASE("what the interpreter inherits is closed with it, although the keeper lives on") {
    Pipe inherited = make_pipe();
    KeeperOptions options = shell("exit 0");
    inherit(options, std::move(inherited.write));
    Keeper keeper(std::move(options));
    REQUIRE(keeper.told() == "interpreter: exit 0");
    CHECK(is_at_end(inherited.read));
    keeper.finish();
    CHECK(keeper.told() == "swept 0");
}

// --- signals --------------------------------------------------------------------------------------------------------

TEST_CASE("a keeper has a process group of its own, or stays in the supervisor's") {
    for (const bool own : {true, false}) {
        KeeperOptions options = shell("exit 0");
        options.own_group = own;
        const Keeper keeper(std::move(options));
        REQUIRE(keeper.told() == "interpreter: exit 0");
        CHECK(::getpgid(keeper.pid()) == (own ? keeper.pid() : ::getpgrp()));
    }
}

TEST_CASE("signals that a terminal sends do not end the keeper") {
    Pipe up = make_pipe();
    Pipe go = make_pipe();
    KeeperOptions options = shell("echo up > " + path_of(up.write) + "; read line < " + path_of(go.read) + "; exit 3");
    inherit(options, std::move(up.write));
    inherit(options, std::move(go.read));
    const Keeper keeper(std::move(options));
    REQUIRE(read_until(up.read, '\n') == "up");
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTTOU}) REQUIRE(::kill(keeper.pid(), signal) == 0);
    REQUIRE(::write(go.write.get(), "\n", 1) == 1);
    CHECK(keeper.told() == "interpreter: exit 3");
}

// --- the lifeline ---------------------------------------------------------------------------------------------------

namespace {

// A keeper whose interpreter has started a daemon, and the end of a pipe that both of them have.
struct Family {
    Pipe ready;
    Keeper keeper;
    pid_t daemon;

    Family() : Family(make_pipe()) {}
    ~Family() = default;
    Family(const Family&) = delete;
    Family& operator=(const Family&) = delete;

  private:
    explicit Family(Pipe pipe) : ready(std::move(pipe)), keeper(options()), daemon(read_pid()) {}

    KeeperOptions options() {
        KeeperOptions options;
        options.command = {TACH_TEST_FAMILY, std::to_string(ready.write.get())};
        inherit(options, std::move(ready.write));
        return options;
    }

    [[nodiscard]] pid_t read_pid() const {
        pid_t pid = 0;
        REQUIRE(base::wait_readable(ready.read.get(), kGuardMs) == base::Waited::kReadable);
        REQUIRE(::read(ready.read.get(), &pid, sizeof(pid)) == sizeof(pid));
        return pid;
    }
};

}  // namespace

TEST_CASE("a daemon is still the keeper's, whatever it did to get away") {
    const Family family;
    const auto found = base::descendants(family.keeper.pid());
    REQUIRE(found);
    CHECK(found->size() == 2);
    CHECK(std::count(found->begin(), found->end(), family.daemon) == 1);
}

TEST_CASE("ends that come at once are all heard") {
    const Family family;
    const auto found = base::descendants(family.keeper.pid());
    REQUIRE((found && found->size() == 2));
    // One SIGCHLD for both: the keeper is stopped meanwhile.
    REQUIRE(::kill(family.keeper.pid(), SIGSTOP) == 0);
    REQUIRE(::waitpid(family.keeper.pid(), nullptr, WUNTRACED) == family.keeper.pid());
    for (const pid_t pid : *found) {
        const auto pidfd = base::open_pidfd(pid);
        REQUIRE((pidfd && base::send_signal(pidfd->get(), SIGKILL)));
        REQUIRE(base::wait_readable(pidfd->get(), kGuardMs) == base::Waited::kReadable);
    }
    REQUIRE(::kill(family.keeper.pid(), SIGCONT) == 0);
    CHECK(family.keeper.told() == "interpreter: signal 9");
    CHECK(eventually([&] { return ::kill(family.daemon, 0) != 0 && errno == ESRCH; }));
}

TEST_CASE("when the supervisor is done, everything is killed and counted before it is told") {
    Family family;
    REQUIRE_FALSE(is_at_end(family.ready.read));
    family.keeper.finish();
    CHECK(family.keeper.told() == "swept 2");
    CHECK(is_at_end(family.ready.read));
    CHECK(family.keeper.told() == "closed");
    CHECK(family.keeper.end() == "exit 0");
}

TEST_CASE("when the supervisor is gone, everything is killed") {
    Family family;
    family.keeper.abandon();
    CHECK(family.keeper.end() == "exit 0");
    CHECK(is_at_end(family.ready.read));
}

TEST_CASE("a packet over the lifeline does not end anything") {
    Pipe go = make_pipe();
    KeeperOptions options = shell("read line < " + path_of(go.read) + "; exit 3");
    inherit(options, std::move(go.read));
    const Keeper keeper(std::move(options));
    keeper.say(std::byte{1});
    REQUIRE(::write(go.write.get(), "\n", 1) == 1);
    CHECK(keeper.told() == "interpreter: exit 3");
}

// --- commands that cannot be executed -------------------------------------------------------------------------------

TEST_CASE("a command that is not there is an error that names it") {
    KeeperOptions options;
    options.command = {"/nowhere/python"};
    Keeper keeper(std::move(options));
    CHECK(keeper.error() == "/nowhere/python: No such file or directory");
    CHECK(keeper.end() == "exit " + std::to_string(ENOENT));
    CHECK(keeper.told() == "closed");
}

TEST_CASE("a command that may not be executed is an error that names it") {
    const TempDir project;
    const std::string path = project.file("python", "#!/bin/sh\n").string();
    KeeperOptions options;
    options.command = {path};
    Keeper keeper(std::move(options));
    CHECK(keeper.error() == path + ": Permission denied");
    CHECK(keeper.end() == "exit " + std::to_string(EACCES));
}

TEST_CASE("a command that is no program is an error that names it") {
    const TempDir project;
    const std::filesystem::path path = project.file("python", "no program");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    KeeperOptions options;
    options.command = {path.string()};
    Keeper keeper(std::move(options));
    CHECK(keeper.error() == path.string() + ": Exec format error");
    CHECK(keeper.end() == "exit " + std::to_string(ENOEXEC));
}
