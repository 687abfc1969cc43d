#include "zygote/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/event_loop.h"
#include "base/fd_passing.h"
#include "base/process_tree.h"

namespace tach::zygote {
namespace {

using base::errno_error;
using base::fail;
using base::Result;

void prepare_environment(const std::vector<std::string>& assignments) {
    for (const std::string& assignment : assignments) {
        const std::size_t equals = assignment.find('=');
        // The keeper has one thread.
        ::setenv(assignment.substr(0, equals).c_str(), assignment.substr(equals + 1).c_str(),
                 /*overwrite=*/0);  // NOLINT(concurrency-mt-unsafe)
    }
}

// The interpreter starts with no signal blocked, whatever the keeper blocks for itself.
Result<pid_t> spawn(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT
    argv.push_back(nullptr);

    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t child = -1;
    const int error = ::posix_spawn(&child, command.front().c_str(), nullptr, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) return fail(errno_error(command.front(), error));
    return child;
}

class Keeper {
  public:
    Keeper(base::EventLoop loop, base::UniqueFd lifeline, base::UniqueFd signals, pid_t interpreter)
        : loop_(std::move(loop)),
          lifeline_(std::move(lifeline)),
          signals_(std::move(signals)),
          interpreter_(interpreter) {}

    Result<void> run() {
        if (auto added = loop_.add(lifeline_.get(), EPOLLIN, [this](std::uint32_t) { on_lifeline(); }); !added)
            return added;
        if (auto added = loop_.add(signals_.get(), EPOLLIN, [this](std::uint32_t) { on_signal(); }); !added)
            return added;
        return loop_.run();
    }

  private:
    void tell(KeeperNews::Tag tag, std::int32_t value) {
        const KeeperNews news{static_cast<std::uint32_t>(tag), value};
        // A supervisor that is gone needs no news.
        static_cast<void>(base::send_packet(lifeline_.get(), std::as_bytes(std::span(&news, 1))));
    }

    void on_lifeline() {
        auto packet = base::receive_packet(lifeline_.get());
        if (packet && packet->status == base::Packet::Status::kReceived) return;
        const auto left = base::descendants(::getpid());
        static_cast<void>(base::kill_descendants(::getpid()));
        tell(KeeperNews::Tag::kSwept, left ? static_cast<std::int32_t>(left->size()) : 0);
        loop_.stop();
    }

    void on_signal() {
        static_cast<void>(base::read_signal(signals_.get()));
        int status = 0;
        for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            if (ended == interpreter_) tell(KeeperNews::Tag::kInterpreterEnded, status);
        }
    }

    base::EventLoop loop_;
    base::UniqueFd lifeline_;
    base::UniqueFd signals_;
    pid_t interpreter_;
};

}  // namespace

Result<void> keep(KeeperOptions options) {
    if (auto subreaper = base::become_subreaper(); !subreaper) return subreaper;
    if (options.own_group) ::setpgid(0, 0);
    auto signals = base::open_signalfd({SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTTOU});
    if (!signals) return fail(signals.error());
    auto loop = base::EventLoop::create();
    if (!loop) return fail(loop.error());
    prepare_environment(options.environment);
    ::fcntl(options.lifeline.get(), F_SETFD, FD_CLOEXEC);
    auto interpreter = spawn(options.command);
    if (!interpreter) return fail(interpreter.error());
    options.inherited.clear();
    return Keeper(*std::move(loop), std::move(options.lifeline), *std::move(signals), *interpreter).run();
}

}  // namespace tach::zygote
