// Programs that are run for what they say.

#include "base/command.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/pidfd.h"
#include "tests/catch.h"

using namespace tach;
using base::run_command;
using base::RunningCommand;

TEST_CASE("a command's output, status and death come back, and its time is bounded") {
    const auto loud = run_command({"sh", "-c", "head -c 300000 /dev/zero; echo why >&2; exit 3"}, 10000);
    REQUIRE(loud);
    CHECK(loud->status == 3);
    CHECK(loud->standard_output.size() == 300000);
    CHECK(loud->standard_error == "why\n");
    const auto dead = run_command({"sh", "-c", "kill -TERM $$"}, 10000);
    REQUIRE(dead);
    CHECK(dead->status == 128 + 15);
    const auto slow = run_command({"sleep", "100"}, 50);
    REQUIRE_FALSE(slow);
    CHECK(slow.error().code == ETIMEDOUT);
    const auto left = run_command({"sh", "-c", "sleep 3 & echo done"}, 2000);
    REQUIRE(left);
    CHECK(left->standard_output == "done\n");
    const auto missing = run_command({"no-such-program"}, 1000);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ENOENT);
}

TEST_CASE("a command that runs beside us is waited for, or killed") {
    auto running = RunningCommand::start({"sh", "-c", "cat; echo done"});
    REQUIRE(running);
    RunningCommand moved = *std::move(running);
    CHECK(moved.finish().standard_output == "done\n");

    pid_t pid = -1;
    {
        const auto endless = RunningCommand::start({"sleep", "100"});
        REQUIRE(endless);
        pid = base::pidfd_pid(endless->pidfd()).value();
        CHECK(::kill(pid, 0) == 0);
        CHECK_FALSE(endless->ends_within(20));
    }
    CHECK(::kill(pid, 0) != 0);

    auto brief = RunningCommand::start({"true"});
    REQUIRE(brief);
    CHECK(brief->ends_within(10000));
    CHECK(brief->ends_within(10000));
    CHECK(brief->finish().status == 0);
}
