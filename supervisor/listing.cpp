#include "supervisor/listing.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/whole_file.h"
#include "supervisor/kept_file.h"
#include "supervisor/project_directories.h"

namespace tach::supervisor {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kFormat = "tach listing 1 ";
constexpr const char* kDirectory = "list";

// Listings of one project, for its several command lines (a guess). The oldest go first.
constexpr std::size_t kMostListings = 32;

// What shells, terminals and session managers set anew for every window or command, and nothing that is tested reads.
constexpr std::array<std::string_view, 14> kVolatile{
    "_",        "COLORTERM",     "DBUS_SESSION_BUS_ADDRESS", "INVOCATION_ID", "JOURNAL_STREAM", "OLDPWD",
    "SHLVL",    "STY",           "SYSTEMD_EXEC_PID",         "TMUX",          "TMUX_PANE",      "WINDOW",
    "WINDOWID", "XDG_SESSION_ID"};
// TACH_: tach's own, for its parts and its tests.
constexpr std::array<std::string_view, 8> kVolatilePrefixes{"ALACRITTY_", "DIRENV_", "ITERM_",        "KITTY_",
                                                            "SSH_",       "TACH_",   "TERM_SESSION_", "VSCODE_"};

std::string hash(std::string_view text) {
    const XXH128_hash_t value = XXH3_128bits(text.data(), text.size());
    return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

bool is_volatile(std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('='));
    return std::find(kVolatile.begin(), kVolatile.end(), name) != kVolatile.end() ||
           std::any_of(kVolatilePrefixes.begin(), kVolatilePrefixes.end(),
                       [name](std::string_view prefix) { return name.starts_with(prefix); });
}

// Names the program that is there, however it got there: a link as well as what it leads to.
std::string identity(const fs::path& program) {
    std::string text;
    std::error_code error;
    for (const fs::path& path : {program, fs::canonical(program, error)}) {
        const Stamp stamp = Stamp::of(path.string());
        text += fmt::format("{} {} {} {} {}\n", path.string(), stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode);
    }
    return text;
}

std::string terminals() {
    std::string text;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        winsize size{};
        const bool sized = ::isatty(fd) == 1 && ::ioctl(fd, TIOCGWINSZ, &size) == 0;  // NOLINT: that is its interface
        text += fmt::format("{} {} {}\n", ::isatty(fd), sized ? size.ws_col : 0, sized ? size.ws_row : 0);
    }
    return text;
}

// What suites ask of the machine while they are imported: platform.*, os.cpu_count(), os.geteuid().
std::string machine() {
    utsname name{};
    ::uname(&name);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    static_cast<void>(::sched_getaffinity(0, sizeof cpus, &cpus));
    return fmt::format("{} {} {} {} {}\n{} {} {} {} {}\n", name.sysname, name.nodename, name.release, name.version,
                       name.machine, CPU_COUNT(&cpus), ::sysconf(_SC_NPROCESSORS_ONLN), ::getuid(), ::geteuid(),
                       ::getegid());
}

std::string situation(const Settings& settings, const Interpreter& interpreter, const Home& home, const fs::path& cwd) {
    std::string text = fmt::format("{}\n{}\n{}\n{}\n", TACH_VERSION, cwd.string(), word(settings.mode.value),
                                   settings.seed.value ? std::to_string(*settings.seed.value) : "");
    for (const std::string& argument : settings.pytest_args) text += fmt::format("{} {}\n", argument.size(), argument);
    for (const fs::path& part : {fs::path("/proc/self/exe"), home.zygote, home.native, home.harness}) {
        text += identity(part);
    }
    return text + identity(interpreter.executable) + terminals() + machine() + lasting_environment(environ);
}

void forget_oldest(const fs::path& directory) {
    std::vector<std::pair<fs::file_time_type, fs::path>> files;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        std::error_code gone;
        files.emplace_back(entry->last_write_time(gone), entry->path());
    }
    if (files.size() <= kMostListings) return;
    std::sort(files.begin(), files.end());
    files.resize(files.size() - kMostListings);
    for (const auto& [time, file] : files) fs::remove(file, error);
}

bool is_ours(const fs::path& file) {
    struct stat status {};
    return ::stat(file.c_str(), &status) == 0 && status.st_uid == ::geteuid();
}

}  // namespace

std::string lasting_environment(const char* const* environment) {
    std::vector<std::string_view> lasting;
    for (; *environment != nullptr; ++environment) {  // NOLINT: environ is such an array
        if (!is_volatile(*environment)) lasting.emplace_back(*environment);
    }
    std::sort(lasting.begin(), lasting.end());
    return fmt::format("{}\n", fmt::join(lasting, "\n"));
}

std::string pack(const KeptListing& kept) {
    Json json{{"texts", Json::array()}, {"evidence", Json::array()}};
    for (const Listing::Text& text : kept.texts) {
        json["texts"].push_back({static_cast<std::uint32_t>(text.stage), text.text});
    }
    for (const Evidence& e : kept.evidence) {
        json["evidence"].push_back({std::string(1, static_cast<char>(e.kind)), e.path, e.stamp.size, e.stamp.mtime_ns,
                                    e.stamp.ctime_ns, e.stamp.inode, e.stamp.mode, e.digest});
    }
    const std::string body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return fmt::format("{}{}\n{}\n", kFormat, hash(body), body);
}

// The library reports wrong types by exception.
std::optional<KeptListing> unpack(std::string_view file) try {
    const std::size_t end = file.find('\n');
    if (end == std::string_view::npos || !file.ends_with('\n') || end + 1 >= file.size()) return std::nullopt;
    const std::string_view body = file.substr(end + 1, file.size() - end - 2);
    if (file.substr(0, end) != fmt::format("{}{}", kFormat, hash(body))) return std::nullopt;
    const Json json = Json::parse(body);
    KeptListing kept;
    for (const Json& text : json.at("texts")) {
        kept.texts.push_back({static_cast<shm::Stage>(text.at(0).get<std::uint32_t>()), text.at(1).get<std::string>()});
    }
    for (const Json& e : json.at("evidence")) {
        kept.evidence.push_back({.kind = static_cast<Evidence::Kind>(e.at(0).get_ref<const std::string&>().at(0)),
                                 .path = e.at(1).get<std::string>(),
                                 .stamp = {.size = e.at(2).get<std::uint64_t>(),
                                           .mtime_ns = e.at(3).get<std::int64_t>(),
                                           .ctime_ns = e.at(4).get<std::int64_t>(),
                                           .inode = e.at(5).get<std::uint64_t>(),
                                           .mode = e.at(6).get<std::uint32_t>()},
                                 .digest = e.at(7).get<std::string>()});
    }
    return kept;
} catch (const std::exception&) {
    return std::nullopt;
}

ListingMemory::ListingMemory(const Settings& settings, const Interpreter& interpreter, const Home& home, fs::path cwd)
    : cwd_(std::move(cwd)),
      words_(settings.pytest_args),
      name_(fs::path(kDirectory) / hash(situation(settings, interpreter, home, cwd_))) {}

// Directories that pytest may take for its rootdir: above where it is started, or above what it is told to run or to
// take. If it takes another one, the listing is not found again.
std::vector<fs::path> ListingMemory::roots() const {
    std::vector<fs::path> found;
    const auto add = [&found](fs::path directory) {
        for (; std::find(found.begin(), found.end(), directory) == found.end(); directory = directory.parent_path()) {
            found.push_back(directory);
        }
    };
    add(cwd_);
    for (const std::string& word : words_) {
        const std::size_t value = word.starts_with('-') ? word.find('=') + 1 : 0;  // 0 where there is no such sign
        const fs::path path = (cwd_ / word.substr(value, word.find("::") - value)).lexically_normal();
        std::error_code error;
        if (fs::exists(path, error)) add(path);
    }
    return found;
}

std::optional<std::vector<Listing::Text>> ListingMemory::recall() const {
    for (const fs::path& root : roots()) {
        const fs::path file = kept_directory(root) / name_;
        if (!is_ours(file)) continue;
        const auto text = base::read_file(file, kMaxKeptBytes);
        auto kept = text ? unpack(*text) : std::nullopt;
        if (!kept) continue;
        bool renewed = false;
        const bool holds = std::all_of(kept->evidence.begin(), kept->evidence.end(),
                                       [&renewed](Evidence& evidence) { return evidence.holds(renewed); });
        if (!holds) continue;
        // Only the next look is dearer if that fails.
        if (renewed) static_cast<void>(keep_file(root, name_, pack(*kept)));
        return std::move(kept->texts);
    }
    return std::nullopt;
}

base::Result<void> ListingMemory::keep(const Listing& listing) const {
    if (!listing.witness) return base::fail({ENODATA, "the interpreter did not say what it had read"});
    const Witness& witness = *listing.witness;
    if (!witness.reasons.empty()) return base::fail({ENOTSUP, witness.reasons.front()});
    auto evidence = gather(witness);
    if (!evidence) return base::fail(evidence.error());
    const fs::path root = kept_root(witness.rootdir, cwd_);
    auto kept = keep_file(root, name_, pack({listing.texts, *std::move(evidence)}));
    if (kept) forget_oldest((kept_directory(root) / name_).parent_path());
    return kept;
}

}  // namespace tach::supervisor
