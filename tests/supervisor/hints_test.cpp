#include "supervisor/hints.h"

#include "tests/catch.h"

using tach::supervisor::hints;
using Lines = std::vector<std::string>;

TEST_CASE("an option that is near one of ours is named with it") {
    CHECK(hints(Lines{"--enigne", "fork"}) == Lines{"--enigne: did you mean --engine?"});
    CHECK(hints(Lines{"--worker=4"}) == Lines{"--worker: did you mean --workers?"});
    CHECK(hints(Lines{"--numproceses", "4"}) == Lines{"--numproceses: did you mean --numprocesses?"});
}

TEST_CASE("what pytest knows, what is near nothing and what is a path is left alone") {
    CHECK(hints(Lines{"--fixtures", "--lf", "--maxfail=1"}).empty());
    CHECK(hints(Lines{"--snapshot-update", "-k", "--benchmark-only"}).empty());
    CHECK(hints(Lines{"/", ".", "tests/test_a.py::test_b"}).empty());
    CHECK(hints(Lines{"--", "--enigne"}).empty());
}

TEST_CASE("a word that is near a subcommand, and no path") {
    CHECK(hints(Lines{"docter"}) == Lines{"docter: did you mean the subcommand doctor?"});
}
