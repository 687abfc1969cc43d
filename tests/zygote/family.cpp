// What a bad test leaves behind, for the keeper's tests:
//
//   family FD
//
// starts a daemon (forked twice, in its own session, deaf to all polite signals), writes the daemon's pid to the
// descriptor FD as an int and waits for ever, as the daemon does.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

namespace {

constexpr int kFailed = 1;

[[noreturn]] void run_daemon(int ready) {
    for (const int polite : {SIGTERM, SIGHUP, SIGINT, SIGQUIT}) ::signal(polite, SIG_IGN);
    const pid_t self = ::getpid();
    if (::write(ready, &self, sizeof(self)) != sizeof(self)) ::_exit(kFailed);
    while (true) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return kFailed;
    std::array<int, 2> ready{};
    if (::pipe(ready.data()) != 0) return kFailed;
    const pid_t between = ::fork();
    if (between == 0) {
        ::setsid();
        if (::fork() == 0) run_daemon(ready[1]);
        ::_exit(0);
    }
    // The daemon is an orphan from here on.
    if (::waitpid(between, nullptr, 0) != between) return kFailed;
    pid_t daemon = 0;
    if (::read(ready[0], &daemon, sizeof(daemon)) != sizeof(daemon)) return kFailed;
    if (::write(std::atoi(argv[1]), &daemon, sizeof(daemon)) != sizeof(daemon)) return kFailed;
    while (true) ::pause();
}
