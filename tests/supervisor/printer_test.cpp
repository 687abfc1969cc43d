#include "supervisor/printer.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>

#include "tests/catch.h"

using namespace tach::supervisor;
namespace shm = tach::shm;

namespace {

constexpr std::int64_t kMs = 1'000'000;

// A terminal that keeps what was written to it, write by write.
struct Screen {
    std::vector<std::string> writes;
    unsigned width = 80;
    bool works = true;

    Terminal terminal(bool overprints, bool color = false) {
        return {.write =
                    [this](std::string_view bytes) {
                        writes.emplace_back(bytes);
                        return works;
                    },
                .width = [this] { return width; },
                .overprints = overprints,
                .color = color};
    }

    [[nodiscard]] std::string all() const {
        std::string text;
        for (const std::string& bytes : writes) text += bytes;
        return text;
    }

    // What can be read on it: the lines, with what was erased gone.
    [[nodiscard]] std::string visible() const {
        std::string text = all();
        for (std::size_t at; (at = text.find("\r\x1b[K")) != std::string::npos;) {
            const std::size_t newline = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
            const std::size_t start = newline == std::string::npos ? 0 : newline + 1;
            text.erase(start, at + 4 - start);
        }
        return text;
    }
};

Environment environment(std::map<std::string, std::string> variables) {
    auto shared = std::make_shared<std::map<std::string, std::string>>(std::move(variables));
    return [shared](const char* name) -> const char* {
        const auto found = shared->find(name);
        return found == shared->end() ? nullptr : found->second.c_str();
    };
}

const Progress kSome{.done = 123,
                     .total = 1000,
                     .counts = {.passed = 119, .failed = 2, .error = 1, .skipped = 1},
                     .running = {{"tests/x.py::test_quick", 0}, {"tests/x.py::test_slow", 12'300 * kMs}}};

}  // namespace

TEST_CASE("the progress line has counts and the oldest test first") {
    Screen screen;
    screen.width = 120;
    Printer printer(screen.terminal(true), {});
    printer.progress(kSome, 0);
    CHECK(screen.visible() ==
          "[  123/1000 ] 2 failed, 1 error, 1 skipped | tests/x.py::test_slow 12s, tests/x.py::test_quick 0s");
}

TEST_CASE("ages of a minute and more have minutes") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    printer.progress({.done = 0, .total = 1, .running = {{"t", 65'000 * kMs}}}, 0);
    CHECK(screen.visible() == "[ 0/1 ] | t 1m05s");
}

TEST_CASE("the progress line is elided to the window, whatever its width becomes") {
    Screen screen;
    screen.width = 30;
    Printer printer(screen.terminal(true), {});
    printer.progress(kSome, 0);
    CHECK(screen.visible() == "[  123/1000 ] 2 failed, 1 ...");
    screen.width = 20;
    printer.progress(kSome, 50 * kMs);
    CHECK(screen.visible() == "[  123/1000 ] 2 ...");
    screen.width = 1;
    printer.progress(kSome, 100 * kMs);
    CHECK(screen.visible().empty());
}

TEST_CASE("a window of unknown width has 80 columns") {
    Screen screen;
    screen.width = 0;
    Printer printer(screen.terminal(true), {});
    printer.progress(kSome, 0);
    CHECK(screen.visible().size() == 79);
}

TEST_CASE("ten thousand tests are not ten thousand writes") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    for (std::size_t i = 0; i < 10'000; ++i) {  // 0.3 ms a test: three seconds
        printer.text(shm::Stage::kProgress, ".");
        printer.progress({.done = i, .total = 10'000}, static_cast<std::int64_t>(i) * 300'000);
    }
    CHECK(screen.writes.size() <= 61);
}

TEST_CASE("a line that says the same is not painted again") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    printer.progress(kSome, 0);
    CHECK_FALSE(printer.due(49 * kMs));
    CHECK(printer.due(50 * kMs));
    printer.progress(kSome, 50 * kMs);
    CHECK(screen.writes.size() == 1);
}

TEST_CASE("a failure is a line above the progress line") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    printer.progress({.done = 1, .total = 3}, 0);
    printer.failure("t.py::test_a", Outcome::kFailed, "assert 1 == 2\nmore");
    CHECK(screen.visible() == "FAILED t.py::test_a - assert 1 == 2\n[ 1/3 ]");
    CHECK(screen.writes.size() == 2);
}

TEST_CASE("failures have pytest's words, red where there is colour") {
    Screen screen;
    Printer printer(screen.terminal(true, true), {});
    printer.failure("a", Outcome::kError, "");
    printer.failure("b", Outcome::kCrashed, "");
    printer.failure("c", Outcome::kTimeout, "");
    CHECK(screen.all() == "\x1b[31mERROR\x1b[0m a\n\x1b[31mCRASHED\x1b[0m b\n\x1b[31mTIMEOUT\x1b[0m c\n");
}

TEST_CASE("a failure's reason is cut to the window, its name never") {
    Screen screen;
    screen.width = 32;
    Printer printer(screen.terminal(true), {});
    printer.failure("t.py::test_a", Outcome::kFailed, "a long reason");
    printer.failure("t.py::test_with_a_long_name", Outcome::kFailed, "a long reason");
    CHECK(screen.all() == "FAILED t.py::test_a - a long ...\nFAILED t.py::test_with_a_long_name\n");
}

TEST_CASE("in a pipe there are pytest's bytes and nothing else") {
    Screen screen;
    Printer printer(screen.terminal(false), {});
    printer.text(shm::Stage::kHeader, "header\n");
    CHECK_FALSE(printer.due(0));
    printer.progress(kSome, 0);
    printer.text(shm::Stage::kProgress, "t.py .");
    printer.failure("t.py::test_a", Outcome::kFailed, "no");
    printer.text(shm::Stage::kProgress, "F\n");
    printer.text(shm::Stage::kSummary, "summary\n");
    printer.finish();
    CHECK(screen.all() == "header\nt.py .F\nsummary\n");
}

TEST_CASE("on a terminal the progress line stands for pytest's dots") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    printer.text(shm::Stage::kHeader, "header\n");
    printer.progress({.done = 1, .total = 2}, 0);
    printer.text(shm::Stage::kProgress, "t.py ..   [100%]\n");
    printer.text(shm::Stage::kSummary, "2 passed\n");
    printer.finish();
    CHECK(screen.visible() == "header\n2 passed\n");
}

TEST_CASE("with -v pytest's lines pass, each when it is complete") {
    Screen screen;
    Printer printer(screen.terminal(true), {.verbosity = 1});
    printer.progress({.done = 0, .total = 2}, 0);
    printer.text(shm::Stage::kProgress, "t.py::test_a ");
    CHECK(screen.visible() == "[ 0/2 ]");
    printer.text(shm::Stage::kProgress, "PASSED\nt.py::test_b ");
    CHECK(screen.visible() == "t.py::test_a PASSED\n[ 0/2 ]");
    printer.line("note");
    printer.finish();
    CHECK(screen.visible() == "t.py::test_a PASSED\nnote\nt.py::test_b \n");
}

TEST_CASE("a line of tach's own does not end up in the middle of another") {
    Screen screen;
    Printer printer(screen.terminal(false), {});
    printer.text(shm::Stage::kProgress, "t.py ..");
    printer.line("note");
    CHECK(screen.all() == "t.py ..\nnote\n");
}

TEST_CASE("finish leaves no half line and nothing to finish") {
    Screen screen;
    Printer printer(screen.terminal(true), {});
    printer.progress(kSome, 0);
    printer.finish();
    CHECK(screen.visible().empty());
    const std::size_t writes = screen.writes.size();
    printer.finish();
    CHECK(screen.writes.size() == writes);

    Screen pipe;
    Printer plain(pipe.terminal(false), {});
    plain.text(shm::Stage::kProgress, "..");
    plain.finish();
    CHECK(pipe.all() == "..\n");
}

TEST_CASE("when the tests own the terminal there is no progress line") {
    Screen screen;
    Printer printer(screen.terminal(true), {.status = false});
    CHECK_FALSE(printer.due(0));
    printer.text(shm::Stage::kProgress, "(Pdb) ");
    CHECK(screen.all() == "(Pdb) ");
}

TEST_CASE("nothing is written to a reader that has gone") {
    Screen screen;
    screen.works = false;
    Printer printer(screen.terminal(false), {});
    CHECK_FALSE(printer.broken());
    printer.text(shm::Stage::kHeader, "a\n");
    printer.text(shm::Stage::kHeader, "b\n");
    CHECK(printer.broken());
    CHECK(screen.writes.size() == 1);
}

TEST_CASE("elision counts columns and lets nothing through that moves the cursor") {
    CHECK(elide("abc", 3) == "abc");
    CHECK(elide("abcdef", 5) == "ab...");
    CHECK(elide("abcdef", 2) == "..");
    CHECK(elide("abc", 0).empty());
    CHECK(elide("a\x1b[31m\r\nb\x7f", kUnlimited) == "a?[31m??b?");
    CHECK(elide("\xff\xe6\x97z", kUnlimited) == "???z");
    CHECK(elide("\xc2\x9b", kUnlimited) == "?");                                // CSI as one character
    CHECK(elide("\xc3\xa9\xc3\xa9", 2) == "\xc3\xa9\xc3\xa9");                  // é, one column each
    CHECK(elide("\xe6\x97\xa5\xe6\x9c\xac", 4) == "\xe6\x97\xa5\xe6\x9c\xac");  // 日本, two each
    CHECK(elide("\xe6\x97\xa5\xe6\x9c\xac", 3) == "...");
    CHECK(columns("\xe6\x97\xa5z") == 3);
}

TEST_CASE("colour follows the option, then the variables, then the terminal") {
    CHECK(want_color(Color::kYes, false, environment({{"NO_COLOR", "1"}})));
    CHECK_FALSE(want_color(Color::kNo, true, environment({{"FORCE_COLOR", "1"}})));
    CHECK(want_color(Color::kAuto, true, environment({})));
    CHECK_FALSE(want_color(Color::kAuto, false, environment({})));
    CHECK_FALSE(want_color(Color::kAuto, true, environment({{"TERM", "dumb"}})));
    CHECK_FALSE(want_color(Color::kAuto, true, environment({{"NO_COLOR", "1"}})));
    CHECK(want_color(Color::kAuto, true, environment({{"NO_COLOR", ""}})));
    CHECK(want_color(Color::kAuto, false, environment({{"FORCE_COLOR", "1"}})));
    CHECK_FALSE(want_color(Color::kAuto, true, environment({{"FORCE_COLOR", "1"}, {"NO_COLOR", "1"}})));
    CHECK(want_color(Color::kAuto, false, environment({{"PY_COLORS", "1"}, {"NO_COLOR", "1"}})));
    CHECK_FALSE(want_color(Color::kAuto, true, environment({{"PY_COLORS", "0"}})));
}

TEST_CASE("a pipe is no terminal, and a full disk breaks it") {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    const Terminal pipe = open_terminal(fds[1], Color::kAuto, environment({}));
    CHECK_FALSE(pipe.overprints);
    CHECK_FALSE(pipe.color);
    CHECK(pipe.width() == 0);
    CHECK(pipe.write("abc"));
    char bytes[4] = {};
    CHECK(::read(fds[0], bytes, 4) == 3);
    CHECK(std::string(bytes) == "abc");
    ::close(fds[0]);
    ::close(fds[1]);

    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    CHECK_FALSE(open_terminal(full, Color::kAuto, environment({})).write("abc"));
    ::close(full);
}
