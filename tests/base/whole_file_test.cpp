// Files that are read and replaced as a whole.

#include "base/whole_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/child.h"
#include "tests/largest_file.h"
#include "tests/temp_dir.h"

using namespace tach;
using base::read_file;
using base::replace_file;
using tests::end_of;
using tests::fork_child;
using Names = std::vector<std::string>;

namespace {

Names names_in(const std::filesystem::path& directory) {
    Names names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
    return names;
}

// With another user's rights, if this one may do everything. In a child: there is no way back.
bool drop_rights() {
    constexpr uid_t kNobody = 65534;
    return ::geteuid() != 0 || (::setgid(kNobody) == 0 && ::setuid(kNobody) == 0);
}

}  // namespace

TEST_CASE("a file is replaced as a whole, with the directories above it") {
    const test::TempDir directory;
    const std::string path = directory.path() / "a/b/file";
    REQUIRE(replace_file(path, {"one", std::string_view("\0two", 4)}));
    CHECK(read_file(path) == std::string("one\0two", 7));
    REQUIRE(replace_file(path, {}));
    CHECK(read_file(path) == std::string());
    CHECK(names_in(directory.path() / "a/b") == Names{"file"});
}

TEST_CASE("the umask decides who may read it") {
    const test::TempDir directory;
    const std::string path = directory.path() / "file";
    const mode_t before = ::umask(027);
    const auto done = replace_file(path, {"x"});
    ::umask(before);
    REQUIRE(done);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("what is no regular file is neither read nor replaced") {
    const test::TempDir directory;
    const std::string fifo = directory.path() / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    for (const std::string& path : {directory.path().string(), fifo, std::string("/dev/null")}) {
        INFO(path);
        CHECK(read_file(path).error().code == EINVAL);
        CHECK(replace_file(path, {"x"}).error().code == EINVAL);
    }
    CHECK(names_in(directory.path()) == Names{"fifo"});
}

TEST_CASE("a file that is not there, or too large, is an error that says so") {
    const test::TempDir directory;
    const std::string path = directory.file("file", "12345");
    CHECK(read_file(directory.path() / "none").error().code == ENOENT);
    CHECK(read_file(path, 5) == std::string("12345"));
    const auto refused = read_file(path, 4);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EFBIG);
    CHECK(refused.error().what == path + ": too large");
}

TEST_CASE("in a directory that may not be written nothing is changed") {
    const test::TempDir directory;
    const std::string path = directory.file("closed/file", "before");
    std::filesystem::permissions(directory.path(), std::filesystem::perms(0755));
    std::filesystem::permissions(directory.path() / "closed", std::filesystem::perms(0555));
    CHECK(end_of(fork_child([&] {
              if (!drop_rights()) return 2;
              const auto done = replace_file(path, {"after"});
              return done ? 1 : done.error().code == EACCES ? 0 : 3;
          })) == 0);
    CHECK(read_file(path) == std::string("before"));
    CHECK(names_in(directory.path() / "closed") == Names{"file"});
}

TEST_CASE("when there is no room the old file stays, and nothing is left beside it") {
    const test::TempDir directory;
    const std::string path = directory.file("file", "before");
    {
        const test::LargestFile limit(1000);
        const auto done = replace_file(path, {std::string(900, 'x'), std::string(900, 'y')});
        REQUIRE_FALSE(done);
        CHECK(done.error().code == EFBIG);
    }
    CHECK(read_file(path) == std::string("before"));
    CHECK(names_in(directory.path()) == Names{"file"});
}

TEST_CASE("of what several write at once, readers see one or the other, whole") {
    constexpr std::size_t kSize = 100'000;
    constexpr int kRounds = 50;
    const test::TempDir directory;
    const std::string path = directory.path() / "file";
    REQUIRE(replace_file(path, {std::string(kSize, 'a')}));
    std::vector<pid_t> writers;
    for (const char letter : std::array{'b', 'c', 'd'}) {
        writers.push_back(fork_child([&] {
            const std::string half(kSize / 2, letter);
            for (int i = 0; i < kRounds; ++i) {
                if (!replace_file(path, {half, half})) return 1;
            }
            return 0;
        }));
    }
    for (int i = 0; i < kRounds; ++i) {
        const auto text = read_file(path);
        REQUIRE(text);
        REQUIRE(text->size() == kSize);
        REQUIRE(text->find_first_not_of(text->front()) == std::string::npos);
    }
    for (const pid_t writer : writers) CHECK(end_of(writer) == 0);
    CHECK(names_in(directory.path()) == Names{"file"});
}

TEST_CASE("what a process of the same number has left is no obstacle") {
    const test::TempDir directory;
    const std::string left = "file." + std::to_string(::getpid()) + "-0.tmp";
    static_cast<void>(directory.file(left, "left"));
    const std::string path = directory.path() / "file";
    REQUIRE(replace_file(path, {"new"}));
    CHECK(read_file(path) == std::string("new"));
    CHECK(read_file(directory.path() / left) == std::string("left"));
}

TEST_CASE("a file that is read settled comes with the status that it had") {
    const tach::test::TempDir directory;
    const std::string path = directory.file("file", "text").string();
    const auto file = tach::base::read_settled_file(path);
    REQUIRE(file);
    CHECK(file->bytes == "text");
    CHECK(file->status.size == 4);
    CHECK(file->looked_at_ns >= file->status.ctime_ns - 100'000'000);  // the clock of files goes in ticks
    CHECK(tach::base::read_settled_file(path, 3).error().code == EFBIG);
    CHECK(tach::base::read_settled_file(path + "x").error().code == ENOENT);
    CHECK(tach::base::read_settled_file(directory.path()).error().code == EINVAL);
}
