// tach-supervisor: the command that people type in place of pytest. Thin: settings, interpreter, one Session, its exit
// code. See docs/ and the man page.

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/cli.h"
#include "supervisor/config.h"
#include "supervisor/doctor.h"
#include "supervisor/engines.h"
#include "supervisor/hints.h"
#include "supervisor/home.h"
#include "supervisor/interpreter.h"
#include "supervisor/json_report.h"
#include "supervisor/listing.h"
#include "supervisor/options.h"
#include "supervisor/printer.h"
#include "supervisor/session.h"
#include "supervisor/settings.h"
#include "supervisor/since.h"
#include "supervisor/standard_streams.h"
#include "supervisor/usage.h"

namespace {

using namespace tach::supervisor;

constexpr int kNoTestsExit = 5;   // pytest.ExitCode.NO_TESTS_COLLECTED
constexpr int kInternalExit = 3;  // pytest.ExitCode.INTERNAL_ERROR

int refuse(const tach::base::Error& error, int code) {
    fmt::print(stderr, "tach: {}\n", error.what);
    return code;
}

// Prints what the user has asked for; `code` stands if that is there.
int show(std::string_view text, int code = 0) {
    const auto shown = write_stdout(text);
    return shown ? code : refuse(shown.error(), kInternalExit);
}

std::uint64_t draw_seed() {
    // Six digits are easily read aloud and typed; --seed takes 64 bits.
    std::random_device device;
    return std::uniform_int_distribution<std::uint64_t>(0, 999'999)(device);
}

// Verbosity as pytest will compute it, for what tach prints itself before pytest has said.
int verbosity_of(const std::vector<std::string>& words) {
    int verbosity = 0;
    for (const std::string& word : words) {
        if (word.size() < 2 || word[0] != '-' || word[1] == '-') continue;
        if (word.find_first_not_of("vqxsl", 1) != std::string::npos) continue;
        for (const char letter : word) verbosity += letter == 'v' ? 1 : letter == 'q' ? -1 : 0;
    }
    return verbosity;
}

bool shows_tests_output(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (word == "-s" || word == "--capture=no" || word == "--capture=tee-sys" || word == "--pdb" ||
            word == "--trace")
            return true;
    }
    return false;
}

// A suite's own directory of that name is a path, as every other word.
bool is_doctor(const std::vector<std::string>& words) {
    std::error_code ignored;
    return !words.empty() && words.front() == kDoctor && !std::filesystem::exists(kDoctor, ignored);
}

// On stderr: the ids are on stdout, for programs.
void say(int verbosity, std::string_view line) {
    if (verbosity > 0) fmt::print(stderr, "tach: {}\n", line);
}

// Shows what --list showed before, if that still holds.
bool list_again(const ListingMemory& memory, Printer& printer, int verbosity) {
    const auto texts = memory.recall();
    if (!texts) return false;
    for (const auto& [stage, text] : *texts) printer.text(stage, text);
    printer.finish();
    say(verbosity, "nothing that the ids depend on has changed since they were last listed");
    return true;
}

void remember(const ListingMemory& memory, const Listing& listing, int verbosity) {
    if (const auto kept = memory.keep(listing); !kept) {
        say(verbosity, fmt::format("the ids are not remembered for the next --list: {}", kept.error().what));
    }
}

// What --since makes of the run.
tach::base::Result<void> select(Settings& settings, const Home& home, const std::filesystem::path& cwd,
                                Printer& printer, int verbosity) {
    auto since = ask_since(home, cwd, settings);
    if (!since) return tach::base::fail(since.error());
    for (const std::string& line : describe(*since, *settings.since, verbosity > 0)) {
        if (settings.list) {
            say(verbosity, line);
        } else if (verbosity >= 0) {
            printer.line("tach: " + line);
        }
    }
    settings.unaffected = std::move(since->unaffected);
    return {};
}

// What takes a moment to find out, while the interpreter starts. All errors are the user's to mend.
tach::base::Result<void> settle(Settings& settings, const Home& home, const std::filesystem::path& cwd,
                                Printer& printer, int verbosity) {
    if (auto settled = settle_engine(settings); !settled) return settled;
    if (verbosity > 0 && !settings.list && !settings.explain) {
        for (const std::string& setting : describe(settings)) printer.line("tach: " + setting);
    }
    return settings.since ? select(settings, home, cwd, printer, verbosity) : tach::base::Result<void>();
}

// What --explain prints, once the session has ended with `code`.
int explain(Session& session, Printer& printer, bool json, int code) {
    const auto explanation = session.explain();
    printer.finish();
    if (explanation) return show(json ? explanation->json() : explanation->text());
    if (!explanation.error().what.empty()) return refuse(explanation.error(), kUsageExit);
    for (const auto& [stage, text] : session.listing().texts) printer.text(stage, text);
    printer.finish();
    return code == 0 ? kNoTestsExit : code;
}

int run(std::vector<std::string> words) {
    const bool doctor = is_doctor(words);
    if (doctor) words.erase(words.begin());
    auto line = parse_command_line(words);
    if (!line) return refuse(line.error(), kUsageExit);
    if (line->help) return show(help_text());
    if (line->version) return show(fmt::format("tach-supervisor {}\n", TACH_VERSION));
    std::error_code gone;
    const std::filesystem::path cwd = std::filesystem::current_path(gone);
    if (gone)
        return refuse({gone.value(), fmt::format("the working directory is gone: {}", gone.message())}, kUsageExit);
    auto config = load_config(cwd, line->config);
    if (!config) return refuse(config.error(), kUsageExit);
    Settings settings = settle(*line, *config);
    if (settings.list && settings.explain)
        return refuse({EINVAL, "--list and --explain: give one of them"}, kUsageExit);
    if (doctor) return show(doctor_report(settings, cwd));
    auto interpreter = find_interpreter(interpreter_search(settings, cwd));
    if (!interpreter) return refuse(interpreter.error(), kUsageExit);
    auto home = find_home();
    if (!home) return refuse(home.error(), kInternalExit);

    const bool json = settings.format.value == Format::kJson;
    const auto environment = [](const char* name) { return static_cast<const char*>(std::getenv(name)); };  // NOLINT
    Terminal terminal = open_terminal(json ? STDERR_FILENO : STDOUT_FILENO, settings.color.value, environment);
    const int verbosity = verbosity_of(settings.pytest_args);
    const bool interactive = shows_tests_output(settings.pytest_args);
    Printer printer(terminal, {.verbosity = verbosity, .status = !interactive && !settings.list && !settings.explain});
    std::optional<ListingMemory> memory;
    if (settings.list) {
        settings.pytest_args.emplace_back("--collect-only");
        if (!json && !settings.since) memory.emplace(settings, *interpreter, *home, cwd);
        if (memory && list_again(*memory, printer, verbosity)) {
            const auto written = printed(printer.write_error());
            return written ? 0 : refuse(written.error(), kInternalExit);
        }
    }
    const std::uint64_t seed = settings.seed.value.value_or(draw_seed());
    const bool explains = settings.explain.has_value();
    bool is_mistaken = false;
    const auto settle_rest = [&](Settings& unsettled) {
        auto settled = settle(unsettled, *home, cwd, printer, verbosity);
        is_mistaken = !settled;
        return settled;
    };
    if (!config->note.empty() && verbosity >= 0 && !settings.list) printer.line("tach: " + config->note);
    const std::vector<std::string> pytest_words = settings.pytest_args;
    Session session(std::move(settings), *home, *std::move(interpreter), seed, interactive, printer);
    auto code = session.run(settle_rest);
    if (code && *code == kUsageExit) {
        for (const std::string& hint : hints(pytest_words)) fmt::print(stderr, "tach: {}\n", hint);
    }
    if (is_mistaken) return refuse(code.error(), kUsageExit);
    if (memory && code && *code == 0) remember(*memory, session.listing(), verbosity);
    if (explains && code) return explain(session, printer, json, *code);
    if (json) {
        const auto written = write_stdout(json_report(session.report_inputs(), session.results()));
        if (!written) return refuse(written.error(), kInternalExit);
    } else if (const auto written = printed(printer.write_error()); !written) {
        return refuse(written.error(), kInternalExit);
    }
    if (code) return *code;
    return refuse(code.error(), code.error().code == EINVAL ? kUsageExit : kInternalExit);
}

}  // namespace

int main(int argc, char** argv) {
    hold_standard_streams();
    std::signal(SIGPIPE, SIG_IGN);  // `tach-supervisor | head`: the tests are still run, and the exit code is theirs
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of the write, which can be told
    return run({argv + 1, argv + argc});
}
