// Descendants: found however deep, killed however fast they multiply. Each test forks a root of its own and
// makes it a subreaper, as the keeper is, so that the test program's own children stay out of it.

#include "base/process_tree.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using tests::end_of;
using tests::fork_child;

namespace {

int sleep_for_ever() {
    while (true) ::pause();
}

// Waits until `root` has `count` living descendants.
bool has_descendants(pid_t root, std::size_t count) {
    const std::int64_t deadline = base::monotonic_ns() + 10 * base::kNsPerSecond;
    while (base::monotonic_ns() < deadline) {
        const auto found = base::descendants(root);
        if (found && found->size() == count) return true;
        base::sleep_ns(base::kNsPerMs);
    }
    return false;
}

// Exit statuses of the roots, each naming the step that failed.
enum Step : int { kGood = 0, kNotFound = 1, kNotKilled = 2, kNotReaped = 3, kFailed = 4 };

}  // namespace

TEST_CASE("descendants are found through every generation, orphans of a subreaper included") {
    const pid_t root = fork_child([] {
        if (!base::become_subreaper()) return kFailed;
        (void)fork_child([] {
            (void)fork_child(sleep_for_ever);
            (void)fork_child([] {
                (void)fork_child(sleep_for_ever);  // an orphan at once
                return 0;
            });
            return sleep_for_ever();
        });
        if (!has_descendants(::getpid(), 3)) return kNotFound;
        if (base::kill_descendants(::getpid()) != true) return kNotKilled;
        // Orphans of the killed arrive as zombies of the subreaper.
        base::sleep_ns(20 * base::kNsPerMs);
        if (base::reap_ended_children() == 0) return kNotReaped;
        return has_descendants(::getpid(), 0) ? kGood : kNotFound;
    });
    CHECK(end_of(root) == kGood);
}

TEST_CASE("a child in its own session that ignores SIGTERM and SIGHUP is killed too") {
    const pid_t root = fork_child([] {
        if (!base::become_subreaper()) return kFailed;
        (void)fork_child([] {
            ::setsid();
            ::signal(SIGTERM, SIG_IGN);
            ::signal(SIGHUP, SIG_IGN);
            return sleep_for_ever();
        });
        if (!has_descendants(::getpid(), 1)) return kNotFound;
        return base::kill_descendants(::getpid()) == true ? kGood : kNotKilled;
    });
    CHECK(end_of(root) == kGood);
}

TEST_CASE("a chain of processes that fork and end faster than they are looked at is ended") {
    const pid_t root = fork_child([] {
        if (!base::become_subreaper()) return kFailed;
        (void)fork_child([] {
            // Each lives for a millisecond; bounded, so that a broken kill does not leave a chain behind for
            // long.
            for (int generation = 0; generation < 5000; ++generation) {
                base::sleep_ns(base::kNsPerMs);
                if (::fork() != 0) ::_exit(0);
            }
            return 0;
        });
        base::sleep_ns(20 * base::kNsPerMs);
        if (base::kill_descendants(::getpid()) != true) return kNotKilled;
        base::sleep_ns(20 * base::kNsPerMs);
        return has_descendants(::getpid(), 0) ? kGood : kNotFound;
    });
    CHECK(end_of(root) == kGood);
}

TEST_CASE("a process whose first thread has ended still counts as alive") {
    const pid_t root = fork_child([] {
        (void)fork_child([] {
            std::thread(sleep_for_ever).detach();
            ::syscall(SYS_exit, 0);  // this thread only; pthread_exit() would unwind into the test framework
            return 0;
        });
        base::sleep_ns(50 * base::kNsPerMs);
        if (!has_descendants(::getpid(), 1)) return kNotFound;
        return base::kill_descendants(::getpid()) == true ? kGood : kNotKilled;
    });
    CHECK(end_of(root) == kGood);
}

TEST_CASE("zombies do not count, and a process without descendants is done at once") {
    const pid_t root = fork_child([] {
        (void)fork_child([] { return 0; });
        if (!has_descendants(::getpid(), 0)) return kNotFound;
        if (base::kill_descendants(::getpid()) != true) return kNotKilled;
        return base::reap_ended_children() == 1 ? kGood : kNotReaped;
    });
    CHECK(end_of(root) == kGood);
}

TEST_CASE("a process name with blanks and parentheses does not hide its family") {
    const pid_t root = fork_child([] {
        (void)fork_child([] {
            ::prctl(PR_SET_NAME, "a) R 1 (b");
            return sleep_for_ever();
        });
        if (!has_descendants(::getpid(), 1)) return kNotFound;
        return base::kill_descendants(::getpid()) == true ? kGood : kNotKilled;
    });
    CHECK(end_of(root) == kGood);
}
