#pragma once

// What the user sees while tests run. On a terminal: a line with done and total, the counts that are no
// passes and the tests that run now with their ages, over a stream of failures as they happen. In a pipe:
// pytest's own lines, as its terminal reporter wrote them, and nothing else.
//
// Driven by the main loop, which also owns the clock: `now_ns` is CLOCK_MONOTONIC. Never fails; broken()
// tells when the reader has gone away.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/message.h"
#include "supervisor/line_printer.h"
#include "supervisor/results.h"

namespace tach::supervisor {

struct RunningTest {
    std::string_view nodeid;
    std::int64_t age_ns = 0;
};

struct Progress {
    std::size_t done = 0;
    std::size_t total = 0;
    Counts counts;
    std::vector<RunningTest> running;  // in any order; shown oldest first
    std::string activity;              // what is done beside or after the tests; "" if it is nothing
};

class Printer {
  public:
    struct Options {
        int verbosity = 0;   // pytest's: -q is -1, -v is 1
        bool status = true;  // false: the tests themselves own the terminal (-s, --pdb)
    };

    Printer(Terminal terminal, Options options);

    // kOutput. Dots and percentages are dropped where the progress line stands for them.
    void text(shm::Stage stage, std::string_view text);

    // A failure as it happens: one line, where the progress line is; in a pipe pytest's own lines tell it.
    void failure(std::string_view nodeid, Outcome outcome, std::string_view message);

    // A line of tach's own, newline added.
    void line(std::string_view line);

    // Whether there is a progress line at all.
    [[nodiscard]] bool has_status() const { return lines_.terminal().overprints; }

    // Whether progress() would paint: ask before gathering what it wants.
    [[nodiscard]] bool due(std::int64_t now_ns) const;
    void progress(const Progress& progress, std::int64_t now_ns);

    // Leaves the cursor at the start of an empty line, as does the first text of the summary.
    void finish() { lines_.finish(); }

    // Until release() the terminal is somebody else's: no progress line, and all that is printed is kept.
    void hold() { lines_.hold(); }
    void release() { lines_.release(); }

    // Takes the progress line away until it is painted again.
    void pause() { lines_.clear_status(); }

    // What pytest makes of all its options, once it has said: they may be in an ini file, too.
    void set_verbosity(int verbosity) { verbosity_ = verbosity; }
    void show_no_status() { lines_.show_no_status(); }

    [[nodiscard]] bool broken() const { return lines_.broken(); }
    [[nodiscard]] int write_error() const { return lines_.write_error(); }

  private:
    LinePrinter lines_;
    int verbosity_;
    std::optional<std::int64_t> painted_ns_;
};

}  // namespace tach::supervisor
