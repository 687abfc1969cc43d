#include "supervisor/evidence.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/clock.h"
#include "base/whole_file.h"
#include "supervisor/kept_file.h"
#include "supervisor/split.h"

namespace tach::supervisor {

namespace {

namespace fs = std::filesystem;

// What runs themselves leave in directories, and no collection asks for.
constexpr std::array<std::string_view, 3> kOwnNames{"__pycache__", ".pytest_cache", ".tach"};

// A stamp is renewed when the last change is so long ago that one more could not go by the same time: the kernel's
// clock for it ticks at least every 10 ms (HZ=100). The rest is for file systems with coarser ones.
constexpr std::int64_t kOldEnoughNs = 2 * base::kNsPerSecond;

std::int64_t ns(const timespec& time) {
    return std::int64_t{time.tv_sec} * base::kNsPerSecond + time.tv_nsec;
}

std::int64_t wall_clock_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return ns(now);
}

std::string hash(std::string_view text) {
    const XXH128_hash_t value = XXH3_128bits(text.data(), text.size());
    return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

bool is_own(std::string_view name) {
    return std::find(kOwnNames.begin(), kOwnNames.end(), name) != kOwnNames.end() || name.ends_with(".pyc");
}

// Names and types; "" if it cannot be read.
std::string names_in(const std::string& directory) {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        std::string name = entry->path().filename().string();
        if (is_own(name)) continue;
        std::error_code gone;
        const auto type = static_cast<int>(entry->symlink_status(gone).type());
        names.push_back(fmt::format("{}/{}", std::move(name), type));
    }
    if (error) return {};
    std::sort(names.begin(), names.end());
    return fmt::format("{}\n", fmt::join(names, "\n"));
}

// Of contents; "" if there are none to be had.
std::string digest_of(Evidence::Kind kind, const std::string& path) {
    if (kind == Evidence::Kind::kDirectory) {
        const std::string names = names_in(path);
        return names.empty() ? names : hash(names);
    }
    const auto text = base::read_file(path, kMaxKeptBytes);
    return text ? hash(*text) : std::string();
}

bool has_digest(Evidence::Kind kind) {
    return kind == Evidence::Kind::kFile || kind == Evidence::Kind::kDirectory;
}

// Collects evidence, and the first reason not to.
class Gatherer {
  public:
    explicit Gatherer(std::int64_t began_ns) : began_ns_(began_ns) {}

    void add(Evidence::Kind kind, const std::string& path, bool written = false) {
        Evidence evidence{.kind = kind, .path = path, .stamp = Stamp::of(path), .digest = {}};
        const bool directory = S_ISDIR(evidence.stamp.mode);
        const bool absent = evidence.stamp.mode == 0;
        const bool fresh = absent      ? changed(fs::path(path).parent_path().string())  // it may have vanished
                           : directory ? kind != Evidence::Kind::kInstalled && changed(path)
                                       : !written && is_new(evidence.stamp);
        if (fresh) changed_ = path;
        if (has_digest(kind) && !absent) {
            evidence.digest = digest_of(kind, path);
            if (evidence.digest.empty()) changed_ = path;
            // Changed by the run itself: only its contents count.
            if (is_new(evidence.stamp)) evidence.stamp = {.mode = evidence.stamp.mode};
        }
        all_.push_back(std::move(evidence));
    }

    // "s33188 /etc/hosts": what is there was seen by the interpreter.
    void add_look(const std::string& entry) {
        const std::size_t space = entry.find(' ');
        std::uint32_t mode = 0;
        if (space == std::string::npos) return;
        std::from_chars(entry.data() + 1, entry.data() + space, mode);
        const auto kind = static_cast<Evidence::Kind>(entry.front());
        Evidence evidence{.kind = kind, .path = entry.substr(space + 1), .stamp = {.mode = mode}, .digest = {}};
        bool renewed = false;
        if (!evidence.holds(renewed)) changed_ = evidence.path;
        all_.push_back(std::move(evidence));
    }

    base::Result<std::vector<Evidence>> take() {
        if (changed_.empty()) return std::move(all_);
        return base::fail({EBUSY, fmt::format("{} has changed, or cannot be read, since pytest began", changed_)});
    }

  private:
    [[nodiscard]] bool is_new(const Stamp& stamp) const { return stamp.ctime_ns >= began_ns_; }

    // Whether something has come to the directory, or gone from it, that is not explained by what the run left in it.
    bool changed(const std::string& directory) {
        const auto [known, fresh] = changed_directories_.try_emplace(directory, false);
        if (fresh && is_new(Stamp::of(directory))) known->second = !is_explained(directory);
        return known->second;
    }

    bool is_explained(const std::string& directory) {
        bool explained = false;
        std::error_code error;
        for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
            const std::string path = entry->path().string();
            const Stamp stamp = Stamp::of(path, false);
            if (!is_new(stamp)) continue;
            const bool own = is_own(entry->path().filename().string());
            // A directory changes with what is in it.
            if (!own && (!S_ISDIR(stamp.mode) || changed(path))) return false;
            explained = explained || own;
        }
        return explained && !error;
    }

    std::int64_t began_ns_;
    std::vector<Evidence> all_;
    std::string changed_;  // the last path of which that is true
    std::map<std::string, bool> changed_directories_;
};

}  // namespace

Stamp Stamp::of(const std::string& path, bool follow) {
    struct stat status {};
    if ((follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status)) != 0) return {};
    return {.size = static_cast<std::uint64_t>(status.st_size),
            .mtime_ns = ns(status.st_mtim),
            .ctime_ns = ns(status.st_ctim),
            .inode = status.st_ino,
            .mode = status.st_mode};
}

bool Evidence::holds(bool& renewed) {
    const Stamp now = Stamp::of(path, kind != Kind::kLink);
    if (kind == Kind::kFollowed || kind == Kind::kLink) return now.mode == stamp.mode;
    if (now == stamp) return true;
    if (!has_digest(kind) || (now.mode & S_IFMT) != (stamp.mode & S_IFMT)) return false;
    if (digest_of(kind, path) != digest) return false;
    if (now.ctime_ns + kOldEnoughNs < wall_clock_ns()) {
        stamp = now;
        renewed = true;
    }
    return true;
}

Witness Witness::parse(const shm::Message& message) {
    Witness witness;
    witness.began_ns = message.head.t0;
    witness.rootdir = message.string(0);
    const std::array lists{&witness.reasons, &witness.read,      &witness.written,
                           &witness.listed,  &witness.installed, &witness.looked_at};
    for (std::size_t i = 0; i < lists.size(); ++i) *lists.at(i) = split(message.string(i + 1), '\0');
    return witness;
}

base::Result<std::vector<Evidence>> gather(const Witness& witness) {
    Gatherer gatherer(witness.began_ns);
    for (const std::string& path : witness.read) gatherer.add(Evidence::Kind::kFile, path);
    for (const std::string& path : witness.written) gatherer.add(Evidence::Kind::kFile, path, true);
    for (const std::string& path : witness.listed) {
        const bool archive = S_ISREG(Stamp::of(path).mode);  // on sys.path
        gatherer.add(archive ? Evidence::Kind::kFile : Evidence::Kind::kDirectory, path);
    }
    for (const std::string& path : witness.installed) gatherer.add(Evidence::Kind::kInstalled, path);
    for (const std::string& entry : witness.looked_at) gatherer.add_look(entry);
    return gatherer.take();
}

}  // namespace tach::supervisor
