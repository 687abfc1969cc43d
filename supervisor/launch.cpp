#include "supervisor/launch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/descriptor_limit.h"
#include "base/fd_passing.h"
#include "supervisor/kept_file.h"
#include "supervisor/project_directories.h"

namespace tach::supervisor {
namespace {

using base::fail;
using base::Result;

// Thread pools of numeric libraries: a process with threads cannot be forked, and workers already use every core.
constexpr std::array kSingleThreaded{"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                                     "NUMEXPR_NUM_THREADS"};

bool is_set(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return value != nullptr && *value != '\0';
}

// What the interpreter's start needs; the harness takes it out again before any test runs.
std::vector<std::string> environment(const Settings& settings, const LaunchPlan& plan) {
    std::vector<std::string> words;
    if (settings.mode.value == Mode::kShared) return words;
    for (const char* name : kSingleThreaded) {
        if (!is_set(name)) words.push_back(fmt::format("{}=1", name));
    }
    // PYTHONHASHSEED is a 32-bit number, see the CPython documentation.
    if (!is_set("PYTHONHASHSEED")) words.push_back(fmt::format("PYTHONHASHSEED={}", plan.seed & 0xffffffffU));
    return words;
}

// A listing remembers which files it has seen the interpreter open, and must see them opened.
bool is_loader_wanted(const Settings& settings) {
    return settings.loader.value && !settings.list;
}

// Where an image would be. The root directory, pytest's to find, is the working directory or above it; whose image it
// is does not matter to what is in it.
std::string bytecode_directory(const Settings& settings) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path cwd = fs::current_path(error);
    if (error || !is_loader_wanted(settings)) return {};
    for (const fs::path& directory : project_directories(cwd)) {
        fs::path cache = kept_directory(directory) / "cache";
        // Another user's, on the way up, is none of ours.
        struct stat status {};
        if (::stat(cache.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid()) {
            return cache.string();
        }
    }
    return {};
}

std::string options_json(const Settings& settings, const LaunchPlan& plan, const std::array<int, 4>& fds,
                         const std::vector<std::string>& assignments) {
    std::vector<std::string> unset;
    unset.reserve(assignments.size());
    for (const std::string& word : assignments) unset.push_back(word.substr(0, word.find('=')));
    const nlohmann::json options{
        {"fds", fds},
        {"seed", plan.seed},
        {"mode", std::string(word(settings.mode.value))},
        {"verify_snapshots", settings.verify_snapshots},
        {"list_only", settings.list},
        {"explain", settings.explain.value_or("")},
        {"since", settings.since.has_value()},
        {"json", settings.format.value == Format::kJson},
        {"max_resets", settings.max_resets.value},
        {"max_growth", settings.max_growth.value},
        {"split_wide", settings.split_wide.value},
        {"rewindable", settings.rewindable.value},
        {"loader", is_loader_wanted(settings)},
        {"own_groups", !plan.interactive},
        {"restarted", plan.restarted},
        {"unset", unset},
    };
    return options.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

struct SpawnActions {
    posix_spawn_file_actions_t actions;
    SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
};

// The child gets `fds` at their own numbers: adddup2 onto itself clears close-on-exec (POSIX.1-2024, glibc 2.29).
// `as_started`: the limit of open files, which is the tests' to see.
Result<pid_t> spawn(const std::vector<std::string>& command, std::span<const int> fds, bool stdout_is_data,
                    const rlimit& as_started) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT
    argv.push_back(nullptr);
    SpawnActions files;
    for (const int fd : fds) ::posix_spawn_file_actions_adddup2(&files.actions, fd, fd);
    if (stdout_is_data) ::posix_spawn_file_actions_adddup2(&files.actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t ignored_here;
    ::sigemptyset(&ignored_here);
    ::sigaddset(&ignored_here, SIGPIPE);
    ::sigaddset(&ignored_here, SIGXFSZ);
    ::posix_spawnattr_setsigdefault(&attributes, &ignored_here);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const base::DescriptorLimit limit(as_started);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, command.front().c_str(), &files.actions, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) return fail(base::errno_error(command.front(), error));
    return pid;
}

}  // namespace

Result<Launched> launch(const Settings& settings, const LaunchPlan& plan) {
    Peer::Handover handover;
    auto zygote = Peer::create(handover);
    if (!zygote) return fail(zygote.error());
    auto lifeline = base::create_packet_pair();
    if (!lifeline) return fail(lifeline.error());
    const std::array fds{handover.segment.get(), handover.wake_supervisor.get(), handover.wake_process.get(),
                         handover.socket.get()};
    const std::vector<std::string> assignments = environment(settings, plan);

    std::vector<std::string> command{plan.home.zygote.string(), fmt::format("{}", lifeline->second.get()),
                                     plan.interactive ? "0" : "1", fmt::format("{}", fmt::join(fds, ","))};
    command.insert(command.end(), assignments.begin(), assignments.end());
    command.insert(command.end(),
                   {"--", plan.interpreter.executable.string(), plan.home.harness.string(), plan.home.native.string(),
                    bytecode_directory(settings), settings.loader_paranoid.value ? "1" : "0",
                    options_json(settings, plan, fds, assignments)});
    command.insert(command.end(), settings.pytest_args.begin(), settings.pytest_args.end());

    std::vector<int> inherited(fds.begin(), fds.end());
    inherited.push_back(lifeline->second.get());
    auto keeper = spawn(command, inherited, settings.format.value == Format::kJson, plan.descriptor_limit);
    if (!keeper) return fail(keeper.error());
    return Launched{*std::move(zygote), std::move(lifeline->first), *keeper};
}

}  // namespace tach::supervisor
