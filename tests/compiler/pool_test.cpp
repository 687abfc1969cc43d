#include "compiler/pool.h"

#include <map>

#include "base/clock.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/temp_dir.h"

using namespace tach::compiler;
using tach::shm::bytecode::Kind;
namespace base = tach::base;

namespace {

// An interpreter of the shell's: speaks the protocol, and does what it finds in a source.
constexpr std::string_view kShell = R"(#!/usr/bin/env python3
import os, struct, sys, time, signal
out = open(3, "r+b", buffering=0)
def answer(kind, content, line=0): out.write(struct.pack("<IIQQ", kind, line, len(content), number) + content)
print("noise"); sys.stdout.flush()
if len(sys.argv) > 1: exec(sys.argv[1])
number = 0
answer(0, b"key\0/a\0/b\0")
while head := out.read(24):
    kind, path_size, size, number = struct.unpack("<IIQQ", head)
    rest = b""
    while len(rest) < path_size + size: rest += out.read(path_size + size - len(rest))
    path, source = rest[:path_size], rest[path_size:]
    if kind == 2: answer(*((3, b"rewriter") if not os.environ.get("NO_REWRITER") else (4, b"none")))
    elif source.startswith(b"die"): os.kill(os.getpid(), signal.SIGABRT)
    elif source.startswith(b"exit"): os._exit(5)
    elif source.startswith(b"hang"): time.sleep(1000)
    elif source.startswith(b"nonsense"): out.write(b"\xff" * 40)
    elif source.startswith(b"twice"): answer(1, b"a"); answer(1, b"b")
    elif source.startswith(b"refuse"): answer(2, b"because", 4)
    elif source.startswith(b"empty"): answer(1, b"")
    else: answer(1, bytes([kind]) + source[::-1])
)";

struct Interpreters {
    tach::test::TempDir directory;
    base::EventLoop loop = base::EventLoop::create().value();
    std::map<std::size_t, Outcome> outcomes;

    PoolOptions options(const std::string& first_words = "") {
        const auto program = directory.executable("python");
        directory.file("python", std::string(kShell));
        std::filesystem::permissions(program, std::filesystem::perms::owner_all);
        PoolOptions made{.command = {program.string()},
                         .start_budget_ns = 60 * base::kNsPerSecond,
                         .budget_ns = 60 * base::kNsPerSecond};
        if (!first_words.empty()) made.command.push_back(first_words);
        return made;
    }

    base::Result<void> compile(Pool& pool, const std::vector<std::string>& sources, std::size_t at_most,
                               Kind kind = Kind::kPlain) {
        std::size_t next = 0;
        return pool.compile(
            at_most,
            [&]() -> std::optional<Task> {
                if (next == sources.size()) return std::nullopt;
                Task task{.number = next, .kind = kind, .path = "/p", .source = sources[next]};
                ++next;
                return task;
            },
            [&](Outcome outcome) {
                CHECK(outcomes.count(outcome.number) == 0);
                outcomes[outcome.number] = std::move(outcome);
            });
    }
};

}  // namespace

TEST_CASE("interpreters say what they are, and give code for sources") {
    Interpreters test;
    Pool pool(test.loop, test.options());
    const auto hello = pool.greet();
    REQUIRE(hello);
    CHECK(hello->key == "key");
    CHECK(hello->files == std::vector<std::string>{"/a", "/b"});
    std::vector<std::string> sources;
    for (int i = 0; i < 30; ++i) sources.push_back("source " + std::to_string(i));
    sources.push_back(std::string(3'000'000, 'x'));  // more than a socket takes at once
    REQUIRE(test.compile(pool, sources, 3));
    REQUIRE(test.outcomes.size() == sources.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
        CHECK(test.outcomes[i].code == '\0' + std::string(sources[i].rbegin(), sources[i].rend()));
    }
}

TEST_CASE("whatever an interpreter does costs the module that it is at") {
    Interpreters test;
    PoolOptions options = test.options();
    options.budget_ns = base::kNsPerSecond;  // more than what else is here takes, hopefully
    Pool pool(test.loop, options);
    REQUIRE(pool.greet());
    REQUIRE(test.compile(pool, {"a", "die", "b", "exit", "nonsense", "c", "d", "hang", "refuse", "empty", "e"}, 2));
    REQUIRE(test.outcomes.size() == 11);
    for (const std::size_t fine : {0, 2, 5, 6, 10}) CHECK_FALSE(test.outcomes[fine].code.empty());
    CHECK(test.outcomes[1].reason == "the interpreter was ended by signal 6");
    CHECK(test.outcomes[3].reason == "the interpreter ended with exit code 5");
    CHECK(test.outcomes[4].reason == "the interpreter said what is no answer");
    CHECK(test.outcomes[7].reason == "no answer within 1 s");
    CHECK(test.outcomes[8].reason == "because");
    CHECK(test.outcomes[8].line == 4);
    CHECK(test.outcomes[9].reason == "the interpreter said what is no answer");
}

TEST_CASE("an answer too many is never taken for that of the next source") {
    Interpreters test;
    Pool pool(test.loop, test.options());
    REQUIRE(pool.greet());
    REQUIRE(test.compile(pool, {"twice", "x", "y", "twice", "z"}, 1));
    for (const std::size_t number : {1, 2, 4}) {
        const Outcome& outcome = test.outcomes[number];
        CHECK((outcome.code.empty() || outcome.code.size() == 2));
    }
}

TEST_CASE("the rewriter is made ready once for each interpreter, and before it is needed") {
    Interpreters test;
    Pool pool(test.loop, test.options());
    REQUIRE(pool.greet());
    const auto rewriter = pool.load_rewriter();
    REQUIRE(rewriter);
    CHECK(rewriter->key == "rewriter");
    CHECK(rewriter->missing.empty());
    REQUIRE(test.compile(pool, std::vector<std::string>(20, "a"), 3, Kind::kRewritten));
    for (const auto& [number, outcome] : test.outcomes) CHECK(outcome.code == "\1a");
}

TEST_CASE("that there is no rewriter is said") {
    ::setenv("NO_REWRITER", "1", 1);
    Interpreters test;
    Pool pool(test.loop, test.options());
    REQUIRE(pool.greet());
    CHECK(pool.load_rewriter()->missing == "none");
    REQUIRE(test.compile(pool, {"a", "b"}, 1, Kind::kRewritten));
    CHECK((test.outcomes[0].no_rewriter && test.outcomes[1].no_rewriter));
    ::unsetenv("NO_REWRITER");
}

TEST_CASE("what is no interpreter is an error that says why") {
    Interpreters test;
    SECTION("it is not there") {
        Pool pool(test.loop, {.command = {"/nowhere/python"}, .start_budget_ns = 1, .budget_ns = 1});
        CHECK(pool.greet().error().what == "/nowhere/python: No such file or directory");
    }
    SECTION("it says something else") {
        Pool pool(test.loop, {.command = {"/bin/sh", "-c", "echo one; echo two"},
                              .start_budget_ns = 60 * base::kNsPerSecond,
                              .budget_ns = 1});
        CHECK(pool.greet().error().what == "/bin/sh: is no Python that can be used: two");
    }
    SECTION("it says nothing") {
        Pool pool(test.loop, {.command = {"/bin/sleep", "1000"}, .start_budget_ns = 1, .budget_ns = 1});
        CHECK(pool.greet().error().what == "/bin/sleep: is no Python that can be used: no answer within 0 s");
    }
}

TEST_CASE("if no interpreter can be started any more that is an error, and what is done stays done") {
    Interpreters test;
    const std::string flag = test.directory.path() / "flag";
    Pool pool(test.loop,
              test.options("if os.path.exists('" + flag + "'): sys.exit('no more')\nopen('" + flag + "', 'w')"));
    REQUIRE(pool.greet());
    const auto compiled = test.compile(pool, {"a", "die", "b"}, 1);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().what.ends_with("is no Python that can be used: no more"));
    CHECK(test.outcomes.size() == 2);
}

TEST_CASE("a stopped pool leaves no process and no descriptor") {
    const int free_before = tach::tests::lowest_free_fd();
    {
        Interpreters test;
        Pool pool(test.loop, test.options());
        REQUIRE(pool.greet());
        test.loop.after(base::kNsPerMs, [&] { pool.stop(); });
        const auto compiled = test.compile(pool, {"hang", "hang"}, 2);
        REQUIRE_FALSE(compiled);
        CHECK(compiled.error().code == EINTR);
    }
    CHECK(tach::tests::lowest_free_fd() == free_before);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}
