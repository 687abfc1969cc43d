#include "zygote/trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>

#include "base/fd_passing.h"
#include "zygote/fault_server.h"

namespace tach::zygote {
namespace {

// A trial takes milliseconds; one that takes this long hangs.
constexpr unsigned kTrialSeconds = 10;

struct Report {
    int code;                    // 0: it works
    std::array<char, 252> text;  // ends with a zero
};

void tell(int fd, int code, const std::string& text) {
    Report report{.code = code, .text = {}};
    text.copy(report.text.data(), report.text.size() - 1);
    static_cast<void>(::write(fd, &report, sizeof report));
}

void tell(int fd, const Refusal& refusal) {
    const int code = refusal.code != 0 ? refusal.code : EIO;
    tell(fd, code, fmt::format("{}: {}", refusal.why, base::errno_error("", code).what.substr(2)));
}

// In a process that does nothing else.
void push_and_rewind(Rewinder::Engine kind, int fault_socket, int told) {
    volatile int golden = 1;
    auto created = Rewinder::create(kind, nullptr, fault_socket);
    if (!created) return tell(told, created.error().code, created.error().what);
    Rewinder& engine = **created;
    switch (engine.push()) {
        case Rewinder::Return::kRefused:
            return tell(told, engine.refusal());
        case Rewinder::Return::kPushed:
            golden = 2;
            engine.rewind({});
            return tell(told, engine.refusal());
        case Rewinder::Return::kCameBack:
            return golden == 1 ? tell(told, 0, "") : tell(told, EIO, "memory was not what it had been");
    }
}

// Until the trial has told what it misses, or has ended.
std::unique_ptr<FaultServer> serve_faults(int socket) {
    auto packet = base::receive_packet(socket, FaultServer::kPacketFds);
    if (!packet || packet->status != base::Packet::Status::kReceived) return nullptr;
    auto server = FaultServer::start();
    if (!server || !(*server)->add(*std::move(packet))) return nullptr;  // the alarm ends who waits for it
    return *std::move(server);
}

// The image process is a sibling of the one it is an image of, so a process between us and both waits for them.
[[noreturn]] void hold_trial(Rewinder::Engine kind, int told) {
    ::alarm(kTrialSeconds);
    auto sockets = base::create_packet_pair();
    if (!sockets) {
        tell(told, sockets.error().code, sockets.error().what);
        ::_exit(0);
    }
    auto& [ours, theirs] = *sockets;
    const pid_t trial = ::fork();
    if (trial == 0) {
        ::alarm(kTrialSeconds);
        push_and_rewind(kind, theirs.get(), told);
        ::_exit(0);
    }
    theirs.reset();
    const auto faults = serve_faults(ours.get());
    int status = 0;
    if (trial < 0 || ::waitpid(trial, &status, 0) < 0) {
        tell(told, errno, base::errno_error("fork").what);
    } else if (WIFSIGNALED(status)) {
        tell(told, ECHILD, fmt::format("a process died of it, signal {}", WTERMSIG(status)));
    }
    while (::waitpid(-1, nullptr, 0) > 0) continue;
    ::_exit(0);
}

}  // namespace

base::Result<void> try_engine(Rewinder::Engine engine) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::fail(base::errno_error("pipe"));
    const base::UniqueFd reading(ends[0]);
    base::UniqueFd writing(ends[1]);
    const pid_t holder = ::fork();
    if (holder < 0) return base::fail(base::errno_error("fork"));
    if (holder == 0) hold_trial(engine, writing.get());
    writing.reset();
    Report report{};
    ssize_t got = 0;
    while ((got = ::read(reading.get(), &report, sizeof report)) < 0 && errno == EINTR) continue;
    int status = 0;
    while (::waitpid(holder, &status, 0) < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof report)) return base::fail({ECHILD, "its trial did not come to an end"});
    if (report.code != 0) return base::fail({report.code, report.text.data()});
    return {};
}

}  // namespace tach::zygote
