#include "analyzer/changes.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/command.h"
#include "tests/catch.h"

using tach::analyzer::changed_since;
using tach::base::run_command;

namespace {

namespace fs = std::filesystem;

// A repository of its own; nothing of the user's configuration.
class Repository {
  public:
    Repository() {
        std::string name = fs::temp_directory_path() / "tach-changes-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        root_ = fs::canonical(name);
    }
    ~Repository() { fs::remove_all(root_); }
    Repository(const Repository&) = delete;
    Repository& operator=(const Repository&) = delete;

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }

    void git(std::vector<std::string> arguments) const {
        std::vector<std::string> command{"git", "-C", root_, "-c", "user.name=a", "-c", "user.email=a@b"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        const auto finished = run_command(command, 30000);
        REQUIRE(finished);
        INFO(finished->standard_error);
        REQUIRE(finished->status == 0);
    }

    void commit() const {
        git({"init", "-q"});
        git({"add", "-A"});
        git({"commit", "-q", "-m", "first"});
    }

    [[nodiscard]] std::string path(const std::string& below = {}) const {
        return below.empty() ? root_ : root_ / below;
    }

  private:
    fs::path root_;
};

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("changed, staged, new, renamed and deleted files are all there, ignored ones are not") {
    const Repository repository;
    for (const char* path : {"same.py", "changed.py", "staged.py", "old name.py", "gone.py"})
        repository.write(path, path);
    repository.write(".gitignore", "*.log\n");
    repository.commit();
    repository.write("changed.py", "1");
    repository.write("staged.py", "2");
    repository.git({"add", "staged.py"});
    repository.git({"mv", "old name.py", "ne\nw \xc3\xa4.py"});
    fs::remove(repository.path("gone.py"));
    repository.write("sub/new.py", "3");
    repository.write("debug.log", "4");
    const auto changed = changed_since(repository.path(), "HEAD");
    REQUIRE(changed);
    CHECK(*changed == Paths{"changed.py", "gone.py", "ne\nw \xc3\xa4.py", "old name.py", "staged.py", "sub/new.py"});
}

TEST_CASE("a root below the repository's top: its own files are relative, others absolute") {
    const Repository repository;
    repository.write("part/a.py", "a");
    repository.write("part2/b.py", "b");
    repository.commit();
    repository.write("part/a.py", "1");
    repository.write("part2/b.py", "2");
    repository.write("part/new.py", "3");
    repository.write("top.py", "4");
    const auto changed = changed_since(repository.path("part"), "HEAD");
    REQUIRE(changed);
    CHECK(*changed == Paths{repository.path("part2/b.py"), repository.path("top.py"), "a.py", "new.py"});
}

TEST_CASE("nothing has changed: an empty list") {
    const Repository repository;
    repository.write("a.py", "a");
    repository.commit();
    const auto changed = changed_since(repository.path(), "HEAD");
    REQUIRE(changed);
    CHECK(changed->empty());
}

TEST_CASE("a revision that is none, an option among them, is one line") {
    const Repository repository;
    repository.write("a.py", "a");
    repository.commit();
    for (const std::string revision : {"nosuch", "--output=x", "", "HEAD:a.py"}) {
        const auto changed = changed_since(repository.path(), revision);
        REQUIRE_FALSE(changed);
        CHECK(changed.error().what == "--since: " + revision + ": no such revision in " + repository.path());
    }
}

TEST_CASE("a directory in no repository is one line") {
    const Repository repository;  // not initialised
    const auto changed = changed_since(repository.path(), "HEAD");
    REQUIRE_FALSE(changed);
    CHECK(changed.error().what == "--since: " + repository.path() + " is in no Git repository");
}

TEST_CASE("no Git on PATH is one line") {
    const std::string path = std::getenv("PATH");
    ::setenv("PATH", "/nonexistent", 1);
    const auto changed = changed_since("/", "HEAD");
    ::setenv("PATH", path.c_str(), 1);
    REQUIRE_FALSE(changed);
    CHECK(changed.error().what == "--since: git is not installed, or not on PATH");
}
