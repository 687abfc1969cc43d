#include "base/companion.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/pidfd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach::base;

namespace {

// What it sends, up to its end.
std::string heard(const Companion& companion) {
    std::string text;
    std::array<char, 256> buffer{};
    while (true) {
        pollfd wait{companion.socket(), POLLIN, 0};
        ::poll(&wait, 1, -1);
        const ssize_t got = ::recv(companion.socket(), buffer.data(), buffer.size(), 0);
        if (got <= 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

Companion shell(const std::string& script) {
    return Companion::start({"/bin/sh", "-c", script}).value();
}

}  // namespace

TEST_CASE("a companion talks over descriptor 3, and what it prints is kept aside") {
    Companion companion = shell("read -r word <&3; echo printed; echo complained >&2; echo \"got $word\" >&3");
    REQUIRE(::send(companion.socket(), "it\n", 3, 0) == 3);
    CHECK(heard(companion) == "got it\n");
    CHECK(companion.said() == "printed\ncomplained\n");
    CHECK(companion.end() == 0);
}

TEST_CASE("a companion has nothing to read and no descriptor of ours") {
    const int ours = ::open("/dev/null", O_RDONLY);
    Companion companion = shell("cat && exec ls /proc/self/fd >&3");
    // The last is that of the directory, while ls lists it.
    CHECK(heard(companion) == "0\n1\n2\n3\n4\n");
    CHECK(companion.end() == 0);
    ::close(ours);
}

TEST_CASE("how a companion has ended is known, whoever ended it") {
    Companion exits = shell("exit 7");
    heard(exits);
    CHECK(exits.end() == 7);
    Companion dies = shell("kill -SEGV $$");
    heard(dies);
    CHECK(dies.end() == 128 + SIGSEGV);
    CHECK(shell("exec sleep 1000").end() == 128 + SIGKILL);
}

TEST_CASE("what cannot be executed is an error that names it") {
    const auto companion = Companion::start({"/nowhere/program"});
    REQUIRE_FALSE(companion);
    CHECK(companion.error().code == ENOENT);
    CHECK(companion.error().what == "/nowhere/program: No such file or directory");
    CHECK(Companion::start({"/dev/null"}).error().code == EACCES);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a companion that is let go is gone, with all its descriptors") {
    const int before = tach::tests::lowest_free_fd();
    {
        Companion one = shell("exec sleep 1000");
        Companion other = shell("exec sleep 1000");
        one = std::move(other);
    }
    CHECK(tach::tests::lowest_free_fd() == before);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a companion dies with whoever has started it") {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const pid_t owner = tach::tests::fork_child([&] {
        const Companion companion = shell("echo $$ >&3; exec sleep 1000");
        pollfd wait{companion.socket(), POLLIN, 0};
        ::poll(&wait, 1, -1);
        std::array<char, 32> number{};
        const ssize_t got = ::recv(companion.socket(), number.data(), number.size(), 0);
        static_cast<void>(!::write(pipe[1], number.data(), static_cast<std::size_t>(got)));
        ::pause();
        return 0;
    });
    std::array<char, 32> number{};
    REQUIRE(::read(pipe[0], number.data(), number.size() - 1) > 0);
    const auto pidfd = open_pidfd(std::stoi(number.data()));
    REQUIRE(pidfd);
    ::kill(owner, SIGKILL);
    CHECK(tach::tests::end_of(owner) == -SIGKILL);
    pollfd wait{pidfd->get(), POLLIN, 0};
    CHECK(::poll(&wait, 1, 10'000) == 1);
    ::close(pipe[0]);
    ::close(pipe[1]);
}
