// What a process may say of which tests.

#include "supervisor/claims.h"

#include <set>
#include <vector>

#include "tests/catch.h"

using namespace tach::supervisor;
using tach::shm::Kind;

namespace {

// A run of 3, 4, 5 and 7; what others have told the end of is in `done` beforehand.
struct Spoken {
    Claims claims;
    std::set<std::uint32_t> done;

    explicit Spoken(std::set<std::uint32_t> told = {}) : done(std::move(told)) { claims.begin({3, 4, 5, 7}); }

    Standing standing(std::uint32_t item) {
        return claims.standing(item, [this](std::uint32_t i) { return done.contains(i); });
    }
    void end(std::uint32_t item) {
        done.insert(item);
        claims.ended(item);
    }
};

}  // namespace

TEST_CASE("a process tells of one test of its run after the other") {
    Spoken spoken;
    CHECK(spoken.standing(3) == Standing::kCurrent);
    CHECK(spoken.standing(4) == Standing::kForeign);
    CHECK(spoken.standing(6) == Standing::kForeign);
    spoken.end(3);
    CHECK(spoken.standing(3) == Standing::kLast);
    CHECK(spoken.standing(4) == Standing::kCurrent);
    spoken.end(4);
    CHECK(spoken.standing(3) == Standing::kEarlier);
    CHECK(spoken.standing(4) == Standing::kLast);
    spoken.end(5);
    CHECK(spoken.standing(7) == Standing::kCurrent);
    spoken.end(7);
    CHECK(spoken.claims.ended_since(5) == std::vector<std::uint32_t>{5, 7});
    CHECK(spoken.claims.ended_since(6).empty());
}

TEST_CASE("a test that another process has told the end of is passed over") {
    Spoken spoken({3, 5});
    CHECK(spoken.standing(3) == Standing::kOthers);
    CHECK(spoken.standing(4) == Standing::kCurrent);
    spoken.end(4);
    CHECK(spoken.standing(7) == Standing::kCurrent);
    CHECK(spoken.standing(5) == Standing::kOthers);
}

TEST_CASE("what a process told in an earlier run it has told") {
    Spoken spoken;
    for (const std::uint32_t item : {3U, 4U, 5U, 7U}) spoken.end(item);
    spoken.claims.begin({9});
    CHECK(spoken.standing(9) == Standing::kCurrent);
    CHECK(spoken.standing(7) == Standing::kLast);
    CHECK(spoken.standing(4) == Standing::kEarlier);
}

TEST_CASE("a test that was interrupted is left until the next run") {
    Spoken spoken;
    spoken.claims.left(3);
    CHECK(spoken.claims.has_left(3));
    spoken.claims.begin({9});
    CHECK_FALSE(spoken.claims.has_left(3));
}

TEST_CASE("only of the test that it runs a process gives a verdict") {
    for (const Kind kind : {Kind::kStarted, Kind::kReport, Kind::kDone, Kind::kCrashed, Kind::kExit, Kind::kAmend,
                            Kind::kLogStart, Kind::kLogFinish, Kind::kLive, Kind::kJudged}) {
        CHECK(weigh(kind, Standing::kCurrent, true) == Claim::kHeard);
        CHECK(weigh(kind, Standing::kForeign, true) == Claim::kBroken);
        CHECK(weigh(kind, Standing::kEarlier, true) == Claim::kBroken);
        CHECK(weigh(kind, Standing::kOthers, true) == Claim::kIgnored);
    }
}

TEST_CASE("a test has no verdict before it has started, but its fixtures may die") {
    for (const Kind kind : {Kind::kReport, Kind::kDone, Kind::kLogStart, Kind::kLogFinish, Kind::kJudged}) {
        CHECK(weigh(kind, Standing::kCurrent, false) == Claim::kBroken);
    }
    for (const Kind kind : {Kind::kStarted, Kind::kWarning, Kind::kLive, Kind::kExit, Kind::kCrashed}) {
        CHECK(weigh(kind, Standing::kCurrent, false) == Claim::kHeard);
    }
}

TEST_CASE("to the last test only its layer's end can add something") {
    for (const Kind kind : {Kind::kAmend, Kind::kWarning, Kind::kExit, Kind::kCrashed}) {
        CHECK(weigh(kind, Standing::kLast, true) == Claim::kLate);
    }
    CHECK(weigh(Kind::kDone, Standing::kLast, true) == Claim::kIgnored);
    for (const Kind kind : {Kind::kStarted, Kind::kReport, Kind::kLogFinish}) {
        CHECK(weigh(kind, Standing::kLast, true) == Claim::kBroken);
    }
}

TEST_CASE("a warning never costs a process its life") {
    for (const Standing standing : {Standing::kEarlier, Standing::kForeign, Standing::kOthers, Standing::kLast}) {
        CHECK(weigh(Kind::kWarning, standing, false) != Claim::kBroken);
    }
}
