// Who may write: the creator, no child of it, and whoever adopts.

#include "shm/producer_mark.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <utility>

#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using tests::end_of;
using tests::fork_child;

TEST_CASE("the creator is the producer and a forked child is not") {
    const auto mark = shm::ProducerMark::create();
    REQUIRE(mark);
    CHECK(mark->is_producer());
    CHECK(end_of(fork_child([&] { return mark->is_producer() ? 1 : 0; })) == 0);
    CHECK(mark->is_producer());
}

TEST_CASE("a child that adopts is the producer, its own children are not") {
    auto mark = shm::ProducerMark::create();
    REQUIRE(mark);
    const pid_t child = fork_child([&] {
        mark->adopt();
        if (!mark->is_producer()) return 1;
        return end_of(fork_child([&] { return mark->is_producer() ? 2 : 0; }));
    });
    CHECK(end_of(child) == 0);
    CHECK(mark->is_producer());
}

TEST_CASE("a child of the bare system call is no producer either") {
    const auto mark = shm::ProducerMark::create();
    REQUIRE(mark);
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (child == 0) ::syscall(SYS_exit_group, mark->is_producer() ? 1 : 0);
    CHECK(end_of(child) == 0);
}

TEST_CASE("every thread of the producer is the producer") {
    const auto mark = shm::ProducerMark::create();
    REQUIRE(mark);
    bool is_producer = false;
    std::thread([&] { is_producer = mark->is_producer(); }).join();
    CHECK(is_producer);
}

TEST_CASE("a mark that is moved is still its creator's alone") {
    auto mark = shm::ProducerMark::create();
    REQUIRE(mark);
    const shm::ProducerMark moved = std::move(*mark);
    CHECK(moved.is_producer());
    CHECK(end_of(fork_child([&] { return moved.is_producer() ? 1 : 0; })) == 0);
}

TEST_CASE("a child that adopts one mark has not adopted another") {
    auto one = shm::ProducerMark::create();
    const auto other = shm::ProducerMark::create();
    REQUIRE((one && other));
    CHECK(end_of(fork_child([&] {
              one->adopt();
              return one->is_producer() && !other->is_producer() ? 0 : 1;
          })) == 0);
}
