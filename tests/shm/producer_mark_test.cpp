// Who may write: the creator, no child of it, and whoever adopts.

#include "shm/producer_mark.h"

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
