#include "supervisor/memory.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "tests/catch.h"
#include "tests/largest_file.h"
#include "tests/temp_dir.h"

using namespace tach::supervisor;
namespace fs = std::filesystem;

namespace {

// A project of two test files.
class Project {
  public:
    Project() {
        directory_.file("a.py", "");
        directory_.file("b.py", "");
    }

    [[nodiscard]] const fs::path& root() const { return directory_.path(); }
    [[nodiscard]] fs::path memory() const { return root() / ".tach" / "memory.json"; }

    void write(const fs::path& name, const std::string& text) const { directory_.file(name, text); }

    [[nodiscard]] static std::string read(const fs::path& path) {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

  private:
    tach::test::TempDir directory_;
};

void learn(const fs::path& root, std::string_view nodeid, std::int64_t ns) {
    Memory memory = Memory::load(root);
    memory.learn_duration(nodeid, ns);
    memory.save();
    CHECK_FALSE(memory.take_warning());
}

}  // namespace

TEST_CASE("a project without a memory knows nothing and complains of nothing") {
    const Project project;
    Memory memory = Memory::load(project.root());
    CHECK_FALSE(memory.take_warning());
    CHECK_FALSE(memory.has_durations());
    CHECK_FALSE(memory.duration_s("a.py::test"));
    CHECK(memory.late_fixtures("a.py").empty());
    memory.save();
    CHECK_FALSE(fs::exists(project.root() / ".tach"));
}

TEST_CASE("what was learned is known in the next run") {
    const Project project;
    Memory memory = Memory::load(project.root());
    const Opinion opinion{
        .verdict = Opinion::Verdict::kOrderDependent, .needs = {"a.py::one"}, .alone = "failed", .key = "k"};
    memory.learn_duration("a.py::T::test[x::y]", 1'234'567'000);
    memory.learn_opinion("a.py::two", opinion);
    memory.learn_late_fixture("b.py", "database");
    memory.learn_import("old", (project.root() / "gone.py").string());
    memory.learn_import("moved", (project.root() / "gone.py").string());
    memory.learn_import("moved", (project.root() / "b.py").string());
    memory.learn_import("hopeless", (project.root() / "b.py").string());
    memory.forget_import("hopeless");
    memory.learn_import("threaded", (project.root() / "b.py").string());
    memory.learn_left_out("threaded",
                          {.origin = (project.root() / "b.py").string(), .stamp = "1.2", .why = "a thread"});
    memory.learn_left_out("vanished", {.origin = (project.root() / "gone.py").string(), .stamp = "1.2", .why = "it"});
    memory.save();

    const Memory again = Memory::load(project.root());
    CHECK(again.has_durations());
    CHECK(*again.duration_s("a.py::T::test[x::y]") == 1.234567);
    REQUIRE(again.opinion("a.py::two", "k") != nullptr);
    CHECK(*again.opinion("a.py::two", "k") == opinion);
    CHECK(again.late_fixtures("b.py") == std::set<std::string>{"database"});
    REQUIRE(again.imports().size() == 1);  // the other one's file is not there
    CHECK(again.imports().at("moved") == (project.root() / "b.py").string());
    REQUIRE(again.left_out().size() == 1);
    CHECK(again.left_out().at("threaded").stamp == "1.2");
    CHECK(again.left_out().at("threaded").why == "a thread");
}

TEST_CASE("an opinion holds only under the key it was learned under") {
    Memory memory("/nonexistent");
    memory.learn_opinion("a.py::two", {.key = "old"});
    CHECK(memory.opinion("a.py::two", "new") == nullptr);
    CHECK(memory.opinion("a.py::one", "old") == nullptr);
}

TEST_CASE("durations of tests that were not in this run are kept") {
    const Project project;
    learn(project.root(), "a.py::one", 5'000'000);
    learn(project.root(), "b.py::two", 7'000'000);
    learn(project.root(), "b.py::two", 9'000'000);
    const Memory memory = Memory::load(project.root());
    CHECK(*memory.duration_s("a.py::one") == 0.005);
    CHECK(*memory.duration_s("b.py::two") == 0.009);
}

TEST_CASE("what belongs to a file that has vanished is forgotten") {
    const Project project;
    Memory memory = Memory::load(project.root());
    memory.learn_duration("a.py::one", 1'000'000);
    memory.learn_opinion("a.py::one", {.key = "k"});
    memory.learn_late_fixture("a.py", "f");
    memory.learn_duration("b.py::one", 1'000'000);
    memory.save();
    fs::remove(project.root() / "a.py");
    learn(project.root(), "b.py::two", 1'000'000);

    const Memory again = Memory::load(project.root());
    CHECK_FALSE(again.duration_s("a.py::one"));
    CHECK(again.opinion("a.py::one", "k") == nullptr);
    CHECK(again.late_fixtures("a.py").empty());
    CHECK(again.duration_s("b.py::one"));
}

TEST_CASE("the number of durations is bounded, old and fast ones go first") {
    const Project project;
    {
        Memory memory = Memory::load(project.root());
        for (std::int64_t i = 0; i < 200'000; ++i) memory.learn_duration(fmt::format("a.py::t{}", i), 1000 * (i + 1));
        memory.save();
    }
    learn(project.root(), "b.py::fast", 0);
    const Memory memory = Memory::load(project.root());
    CHECK(memory.duration_s("b.py::fast"));
    CHECK_FALSE(memory.duration_s("a.py::t0"));
    CHECK(memory.duration_s("a.py::t1"));
}

TEST_CASE("a damaged memory is one warning and a fresh start") {
    const Project project;
    const auto text =
        GENERATE(as<std::string>{}, "", "{", "[]", "null", "\xff\xfe", R"({"version":1})", R"({"version":"1"})",
                 R"({"version":1,"durations":{"a.py":[]},"opinions":{},"late_fixtures":{}})",
                 R"({"version":1,"durations":{},"opinions":{},"late_fixtures":{},"imports":["os"]})",
                 R"({"version":1,"durations":{},"opinions":{"a":{}},"late_fixtures":{}})");
    project.write(".tach/memory.json", text);
    Memory memory = Memory::load(project.root());
    const auto warning = memory.take_warning();
    REQUIRE(warning);
    CHECK(*warning == project.memory().string() + " is damaged: starting afresh");
    CHECK_FALSE(memory.take_warning());
    CHECK_FALSE(memory.has_durations());
    memory.learn_duration("a.py::one", 1'000'000);
    memory.save();
    CHECK(Memory::load(project.root()).has_durations());
}

TEST_CASE("a damaged part does not leave the rest half read") {
    const Project project;
    project.write(".tach/memory.json", R"({"version":1,"durations":{"a.py":{"t":1}},"opinions":{},"late_fixtures":7})");
    CHECK_FALSE(Memory::load(project.root()).has_durations());
}

TEST_CASE("a memory of another version is one warning that names both") {
    const Project project;
    project.write(".tach/memory.json", R"({"version": 99})");
    const auto warning = Memory::load(project.root()).take_warning();
    REQUIRE(warning);
    CHECK(warning->find("has format 99, this tach knows 1: starting afresh") != std::string::npos);
}

TEST_CASE("a memory that is a directory is one warning, and saving adds none") {
    const Project project;
    project.write(".tach/memory.json/x", "");
    Memory memory = Memory::load(project.root());
    memory.learn_duration("a.py::one", 1);
    memory.save();
    const auto warning = memory.take_warning();
    REQUIRE(warning);
    CHECK(warning->find("memory.json: not a regular file") != std::string::npos);
    CHECK_FALSE(memory.take_warning());
    // and no temporary file is left
    CHECK(std::distance(fs::directory_iterator(project.root() / ".tach"), {}) == 2);
}

TEST_CASE("a place that cannot be written is one warning and the old memory stays") {
    const Project project;
    project.write(".tach", "a file, in the way");
    Memory memory = Memory::load(project.root());
    memory.learn_duration("a.py::one", 1);
    memory.save();
    const auto warning = memory.take_warning();
    REQUIRE(warning);
    CHECK(warning->find(".tach") != std::string::npos);
    CHECK(project.read(project.root() / ".tach") == "a file, in the way");
}

TEST_CASE("a full disk leaves the old memory as it was") {
    const Project project;
    learn(project.root(), "a.py::one", 1'000'000);
    const std::string before = project.read(project.memory());
    Memory memory = Memory::load(project.root());
    memory.learn_duration("a.py::two", 1);
    {
        // The limit of a file stands for the end of the disk.
        const tach::test::LargestFile limit(10);
        memory.save();
    }
    const auto warning = memory.take_warning();
    REQUIRE(warning);
    CHECK(warning->find("File too large") != std::string::npos);
    CHECK(project.read(project.memory()) == before);
}

TEST_CASE("git does not see the memory, and a user's own ignore file is left alone") {
    const Project project;
    learn(project.root(), "a.py::one", 1);
    CHECK(project.read(project.root() / ".tach/.gitignore") == "*\n");
    project.write(".tach/.gitignore", "mine\n");
    learn(project.root(), "a.py::one", 1);
    CHECK(project.read(project.root() / ".tach/.gitignore") == "mine\n");
}

TEST_CASE("a node id that is not UTF-8 does no harm") {
    const Project project;
    Memory memory = Memory::load(project.root());
    memory.learn_duration("a.py::\xff", 1);
    memory.save();
    CHECK_FALSE(memory.take_warning());
    CHECK_FALSE(Memory::load(project.root()).take_warning());
}

TEST_CASE("a content key depends on names, contents and the rest, and not on the order") {
    const Project project;
    const std::vector<fs::path> files{project.root() / "a.py", project.root() / "b.py"};
    const std::vector<fs::path> reversed(files.rbegin(), files.rend());
    const std::string key = ContentKeys().key(files, "3.11");
    CHECK(key.size() == 32);
    CHECK(ContentKeys().key(files, "3.11") == key);
    CHECK(ContentKeys().key(reversed, "3.11") == key);
    CHECK(ContentKeys().key(files, "3.12") != key);
    CHECK(ContentKeys().key(std::span(files).first(1), "3.11") != key);
    project.write("a.py", "x = 1");
    const std::string changed = ContentKeys().key(files, "3.11");
    CHECK(changed != key);
    fs::remove(project.root() / "a.py");
    const std::string missing = ContentKeys().key(files, "3.11");
    CHECK(missing != key);
    CHECK(missing != changed);
}

TEST_CASE("within a run a file is read again when its size or time changes") {
    const Project project;
    const std::vector<fs::path> files{project.root() / "a.py"};
    ContentKeys keys;
    const std::string empty = keys.key(files, "");
    project.write("a.py", "1");
    const std::string one = keys.key(files, "");
    CHECK(one != empty);
    project.write("a.py", "2");
    fs::last_write_time(files[0], fs::last_write_time(files[0]) + std::chrono::seconds(2));
    CHECK(keys.key(files, "") != one);
    fs::remove(files[0]);
    const std::string missing = keys.key(files, "");
    CHECK(missing != empty);
}

TEST_CASE("what the guard found is remembered under its key, as long as its file is there") {
    const Project project;
    Memory memory = Memory::load(project.root());
    memory.learn_judgement("a.py::test_it", "it left a thread running", "k");
    memory.learn_judgement("a.py::TestA::test_b", "", "k");
    memory.learn_judgement("gone.py::test_it", "it left a child", "k");
    memory.save();

    Memory again = Memory::load(project.root());
    const Judgements* of_a = again.judgements("a.py");
    REQUIRE(of_a != nullptr);
    CHECK(of_a->key == "k");
    REQUIRE(of_a->of("a.py::test_it") != nullptr);
    CHECK(*of_a->of("a.py::test_it") == "it left a thread running");
    REQUIRE(of_a->of("a.py::TestA::test_b") != nullptr);
    CHECK(of_a->of("a.py::TestA::test_b")->empty());
    CHECK(of_a->of("a.py::test_other") == nullptr);
    CHECK(again.judgements("gone.py") == nullptr);

    again.learn_judgement("a.py::test_it", "", "another");
    CHECK(again.judgements("a.py")->key == "another");
    CHECK(again.judgements("a.py")->why.size() == 1);
}

TEST_CASE("what tests gather is remembered under its key, as long as their file is there") {
    const Project project;
    Memory memory = Memory::load(project.root());
    memory.learn_gathering("a.py::test_it", {.reader = "fixture rows reads", .at_end = false}, "k");
    memory.learn_gathering("a.py::test_end", {.reader = "conftest.py reads", .at_end = true}, "k");
    memory.learn_gathering("gone.py::test_it", {.reader = "conftest.py reads", .at_end = true}, "k");
    memory.save();

    Memory again = Memory::load(project.root());
    REQUIRE(again.gathering("a.py::test_it", "k") != nullptr);
    CHECK(*again.gathering("a.py::test_it", "k") == Gathering{.reader = "fixture rows reads", .at_end = false});
    REQUIRE(again.gathering("a.py::test_end", "k") != nullptr);
    CHECK(again.gathering("a.py::test_end", "k")->at_end);
    CHECK(again.gathering("a.py::test_it", "another") == nullptr);
    CHECK(again.gathering("a.py::test_it", "") == nullptr);
    CHECK(again.gathering("a.py::test_other", "k") == nullptr);
    CHECK_FALSE(again.gatherings().contains("gone.py"));

    again.learn_gathering("a.py::test_it", {.reader = "fixture rows reads", .at_end = false}, "another");
    CHECK(again.gathering("a.py::test_end", "k") == nullptr);
    CHECK(again.gathering("a.py::test_end", "another") == nullptr);
}
