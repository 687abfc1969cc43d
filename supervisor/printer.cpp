#include "supervisor/printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace tach::supervisor {

namespace {

// 20 pictures a second look like motion, and cost 20 writes a second whatever the tests do.
constexpr std::int64_t kRedrawNs = 50'000'000;

constexpr std::string_view kSeparator = " - ";

// Less of a reason than "..." and a word says nothing (a guess; pytest shortens likewise).
constexpr std::size_t kShortestReason = 10;

Terminal without_status(Terminal terminal, bool status) {
    terminal.overprints = terminal.overprints && status;
    return terminal;
}

std::string age(std::int64_t ns) {
    const std::int64_t seconds = std::max<std::int64_t>(0, ns) / 1'000'000'000;
    if (seconds < 60) return fmt::format("{}s", seconds);
    return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
}

// "2 failed, 1 error, 3 skipped", in pytest's words; passes are what is left of done.
std::string counts_text(const Counts& counts) {
    std::string text;
    auto add = [&text](std::size_t n, std::string_view one, std::string_view many) {
        if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, n == 1 ? one : many);
    };
    add(counts.failed, "failed", "failed");
    add(counts.error, "error", "errors");
    add(counts.crashed, "crashed", "crashed");
    add(counts.timeout, "timeout", "timeouts");
    add(counts.skipped, "skipped", "skipped");
    add(counts.xfailed, "xfailed", "xfailed");
    add(counts.xpassed, "xpassed", "xpassed");
    return text;
}

std::string running_text(std::vector<RunningTest> running) {
    std::stable_sort(running.begin(), running.end(),
                     [](const RunningTest& a, const RunningTest& b) { return a.age_ns > b.age_ns; });
    std::string text;
    for (const RunningTest& test : running) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", test.nodeid, age(test.age_ns));
    }
    return text;
}

std::string status_text(const Progress& progress) {
    const std::string total = std::to_string(progress.total);
    std::string text = fmt::format("[ {:>{}}/{} ]", progress.done, total.size(), total);
    if (const std::string counts = counts_text(progress.counts); !counts.empty()) text += " " + counts;
    if (!progress.activity.empty()) text += " | " + progress.activity;
    if (const std::string running = running_text(progress.running); !running.empty()) text += " | " + running;
    return text;
}

// The word of pytest's short summary, and of tach's for what pytest has no word for.
std::string_view word_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::kError:
            return "ERROR";
        case Outcome::kCrashed:
            return "CRASHED";
        case Outcome::kTimeout:
            return "TIMEOUT";
        default:
            return "FAILED";
    }
}

}  // namespace

Printer::Printer(Terminal terminal, Options options)
    : lines_(without_status(std::move(terminal), options.status)), verbosity_(options.verbosity) {}

void Printer::text(shm::Stage stage, std::string_view text) {
    if (stage == shm::Stage::kSummary) lines_.clear_status();
    const bool replaced = stage == shm::Stage::kProgress && lines_.terminal().overprints && verbosity_ <= 0;
    if (!replaced) lines_.text(text);
}

void Printer::failure(std::string_view nodeid, Outcome outcome, std::string_view message) {
    const Terminal& terminal = lines_.terminal();
    if (!terminal.overprints || verbosity_ > 0) return;
    const std::string_view word = word_of(outcome);
    const std::string subject = elide(nodeid, kUnlimited);
    const std::size_t taken = word.size() + 1 + columns(subject) + kSeparator.size();
    const std::string_view reason = message.substr(0, message.find('\n'));
    // 31: red, as pytest has it.
    std::string text =
        terminal.color ? fmt::format("\x1b[31m{}\x1b[0m {}", word, subject) : fmt::format("{} {}", word, subject);
    // The name is never cut, people copy it; the reason gets the rest of the line, if there is any.
    if (const unsigned width = lines_.width(); !reason.empty() && taken + kShortestReason <= width) {
        text += kSeparator;
        text += elide(reason, static_cast<unsigned>(width - taken));
    }
    lines_.line(text);
}

void Printer::line(std::string_view line) {
    lines_.line(line);
}

bool Printer::due(std::int64_t now_ns) const {
    return lines_.terminal().overprints && !lines_.is_held() && (!painted_ns_ || now_ns - *painted_ns_ >= kRedrawNs);
}

void Printer::progress(const Progress& progress, std::int64_t now_ns) {
    if (!due(now_ns)) return;
    painted_ns_ = now_ns;
    lines_.status(status_text(progress));
}

}  // namespace tach::supervisor
