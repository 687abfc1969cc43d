#include "supervisor/listing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tach::supervisor;
namespace fs = std::filesystem;

namespace {

std::int64_t coarse_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Waits for the kernel's clock of file times to tick: what was written is older than what is from now on. Twice, since
// that clock lags behind the one that gives a file its time when somebody has just asked for it (Linux 6.13).
std::int64_t tick() {
    for (int i = 0; i < 2; ++i) {
        const std::int64_t before = coarse_now_ns();
        while (coarse_now_ns() == before) {
        }
    }
    return coarse_now_ns();
}

bool holds(const std::vector<Evidence>& all) {
    bool renewed = false;
    return std::all_of(all.begin(), all.end(), [&renewed](Evidence evidence) { return evidence.holds(renewed); });
}

}  // namespace

TEST_CASE("a kept listing comes back as it was, and a damaged one does not come back") {
    const KeptListing kept{.texts = {{tach::shm::Stage::kProgress, "a\n"}, {tach::shm::Stage::kSummary, "\xc3\xa4\n"}},
                           .evidence = {{.kind = Evidence::Kind::kFile,
                                         .path = "/a",
                                         .stamp = {.size = 1, .mtime_ns = 2, .ctime_ns = 3, .inode = 4, .mode = 5},
                                         .digest = "d"}}};
    const std::string file = pack(kept);
    const auto back = unpack(file);
    REQUIRE(back);
    CHECK(back->texts == kept.texts);
    CHECK(back->evidence == kept.evidence);
    for (std::size_t at = 0; at < file.size(); ++at) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        CHECK_FALSE(unpack(damaged));
        CHECK_FALSE(unpack(file.substr(0, at)));
    }
}

TEST_CASE("what differs from shell to shell is not part of an environment") {
    const std::array<const char*, 6> variables{"SHLVL=2", "PYTHONPATH=/b", "SSH_TTY=/dev/pts/3",
                                               "A=1",     "_=/bin/ls",     nullptr};
    CHECK(lasting_environment(variables.data()) == "A=1\nPYTHONPATH=/b\n");
}

TEST_CASE("evidence holds until its contents change") {
    const tach::test::TempDir directory;
    const std::string file = directory.file("a/x.py", "one").string();
    const std::string parent = fs::path(file).parent_path().string();
    Witness witness{.began_ns = tick()};
    witness.read = {file, file + ".missing"};
    witness.listed = {parent};
    witness.looked_at = {"s0 " + parent + "/flag"};
    const auto all = gather(witness);
    REQUIRE(all);
    REQUIRE(holds(*all));

    SECTION("a file is written again with what it held") {
        directory.file("a/x.py", "one");
        CHECK(holds(*all));
    }
    SECTION("a file is edited, and its time of modification set back") {
        struct stat before {};
        REQUIRE(::stat(file.c_str(), &before) == 0);
        directory.file("a/x.py", "two");
        const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
        REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times.data(), 0) == 0);
        CHECK_FALSE(holds(*all));
    }
    SECTION("a file comes to the directory") {
        directory.file("a/y.py", "");
        CHECK_FALSE(holds(*all));
    }
    SECTION("what runs leave in a directory does not count") {
        directory.file("a/__pycache__/x.pyc", "");
        directory.file("a/.tach/memory.json", "");
        CHECK(holds(*all));
    }
    SECTION("a path appears that was looked for") {
        fs::create_directory(parent + "/flag");
        CHECK_FALSE(holds(*all));
    }
    SECTION("a file goes") {
        fs::remove(file);
        CHECK_FALSE(holds(*all));
    }
}

TEST_CASE("what changes while the interpreter runs is no evidence") {
    const tach::test::TempDir directory;
    const std::string file = directory.file("a/x.py", "one").string();
    const std::string parent = fs::path(file).parent_path().string();
    Witness witness{.began_ns = tick()};
    SECTION("a file that was read") {
        witness.read = {file};
        directory.file("a/x.py", "two");
        CHECK_FALSE(gather(witness));
    }
    SECTION("a file that was read and is gone") {
        witness.read = {file};
        fs::remove(file);
        CHECK_FALSE(gather(witness));
    }
    SECTION("a directory that was listed") {
        witness.listed = {parent};
        directory.file("a/y.py", "");
        CHECK_FALSE(gather(witness));
    }
    SECTION("a directory below it") {
        witness.listed = {parent};
        directory.file("a/b/y.py", "");
        CHECK_FALSE(gather(witness));
    }
    SECTION("a path that was looked for") {
        witness.looked_at = {"s0 " + parent + "/flag"};
        directory.file("a/flag", "");
        CHECK_FALSE(gather(witness));
    }
    SECTION("but for what the interpreter itself leaves in a directory") {
        witness.listed = {parent};
        directory.file("a/__pycache__/x.pyc", "");
        CHECK(gather(witness));
    }
}
