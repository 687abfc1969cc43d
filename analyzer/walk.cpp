#include "analyzer/walk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <iterator>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "analyzer/glob.h"
#include "analyzer/paths.h"
#include "base/directory.h"
#include "base/file_status.h"

namespace tach::analyzer {
namespace {

using base::FileKind;
using base::FileStatus;

// Beyond what pytest collects, more directories than this are no project but somebody's home. A guess.
constexpr std::size_t kMostOtherDirectories = 20'000;

// Deeper than any tree of packages, and well within the stack. A guess.
constexpr std::size_t kDeepest = 200;

// What a virtual environment's activation scripts are called; pytest 7 knows it by them.
constexpr auto kActivation = std::to_array<const char*>(
    {"bin/activate", "bin/activate.csh", "bin/activate.fish", "bin/Activate", "bin/Activate.bat", "bin/Activate.ps1"});

std::int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Signature signature_of(const FileStatus& status) {
    return {status.size, status.mtime_ns, status.ctime_ns, status.inode};
}

// Everything in the settings that a walk depends on.
std::string rules_of(const Settings& settings) {
    const auto list = [](const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, "\n")); };
    return fmt::format("{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}\f{}", settings.root, settings.pytest,
                       settings.is_anchored, settings.confcutdir, settings.noconftest, settings.doctest_modules,
                       settings.collect_in_virtualenv, list(settings.paths), list(settings.python_files),
                       list(settings.norecursedirs), list(settings.pythonpath), list(settings.doctest_glob),
                       list(settings.ignore), list(settings.ignore_glob));
}

bool is_python(std::string_view name) {
    return name.size() > 3 && name.ends_with(".py");
}

// Why a directory is gone through.
enum class Purpose : std::uint8_t {
    kCollect,  // pytest collects what is in it
    kImport,   // what is in it may be imported
    kPass,     // a path that is collected lies below it; nothing else in it matters but conftest.py and __init__.py
};

class Walker {
  public:
    Walker(const Settings& settings, Walk earlier) : settings_(settings), earlier_(std::move(earlier)) {
        result_.rules = rules_of(settings);
        result_.taken_ns = now_ns();
        for (const std::string& path : settings.paths) {
            initial_.insert(path);
            const std::string whole = absolute_of(path);
            std::string_view parent = whole;
            while (parent != "/") {
                parent = parent_path(parent);
                if (!initial_parents_.insert(relative_to(settings_.root, parent)).second) break;
            }
        }
        for (const std::string& path : settings.ignore) ignored_.insert(path);
        if (earlier_.rules != result_.rules) return;
        known_.reserve(earlier_.directories.size());
        for (WalkedDirectory& directory : earlier_.directories) known_.emplace(directory.path, &directory);
    }

    base::Result<Walk> run() {
        auto root = base::open_directory(AT_FDCWD, settings_.root, O_PATH);
        if (!root) return base::fail(root.error());
        root_ = std::move(*root);
        const bool is_collected = std::any_of(settings_.paths.begin(), settings_.paths.end(),
                                              [this](const std::string& path) { return has_root(path); });
        if (settings_.is_anchored || is_collected) start(".", is_collected ? Purpose::kCollect : Purpose::kImport);
        for (const std::string& path : settings_.paths) start_at(path);
        for (const std::string& path : settings_.pythonpath) {
            if (!has_root(path)) start(path, Purpose::kImport);
        }
        finish();
        return std::move(result_);
    }

  private:
    struct Place {
        std::uint64_t device;
        std::uint64_t inode;
        friend bool operator==(const Place&, const Place&) = default;
    };

    // --- where to begin ---------------------------------------------------------------------------------------------

    // A collected path that may not have been come to: it lies outside of the root, or the root is not gone through. If
    // it lies below another one, that one's rules decide.
    void start_at(const std::string& path) {
        for (std::string_view above = path; above != "." && above != "/";) {
            above = parent_of(above);
            if (initial_.contains(std::string(above))) return;
        }
        if (visited_.contains(path) || visited_files_.contains(path)) return;
        add_conftests_above(path);
        const FileStatus status = base::status_at(root_.get(), path.c_str());
        if (status.kind == FileKind::kDirectory) return start(path, Purpose::kCollect);
        if (status.kind == FileKind::kFile && visited_files_.insert(path).second) {
            add_file(path, status, Purpose::kPass);
        }
    }

    void start(const std::string& path, Purpose purpose) {
        if (visited_.contains(path)) return;
        const FileStatus status = base::status_at(root_.get(), path.c_str());
        if (status.kind != FileKind::kDirectory) return report_unreachable(path, status);
        path_ = path == "." ? std::string() : path;
        if (initial_.contains(path)) purpose = Purpose::kCollect;
        visit(status, purpose);
    }

    // conftest.py files above a path count up to confcutdir; for a path that is not below it, up to what they share.
    void add_conftests_above(const std::string& path) {
        const std::string top = absolute_path(settings_.root, settings_.confcutdir);
        const std::string whole = absolute_of(path);
        std::string_view above = whole;
        while (above != "/" && above != top) {
            above = parent_path(above);
            if (above != top && is_within(top, above)) return;
            const std::string directory = relative_to(settings_.root, above);
            const std::string conftest = directory == "." ? "conftest.py" : below(directory, "conftest.py");
            const FileStatus status = base::status_at(root_.get(), conftest.c_str());
            if (status.kind == FileKind::kFile && visited_files_.insert(conftest).second) {
                add_file(conftest, status, Purpose::kPass);
            }
        }
    }

    // Of a path as of Settings. Those are normalised, so there is nothing to take apart.
    [[nodiscard]] std::string absolute_of(std::string_view path) const {
        if (path.starts_with('/')) return std::string(path);
        if (path == ".") return settings_.root;
        return below(settings_.root, path);
    }

    // The root is in it. Its files have paths relative to it all the same.
    [[nodiscard]] bool has_root(std::string_view path) const {
        return path == "." || (path.starts_with('/') && is_within(settings_.root, path));
    }

    static std::string below(const std::string& directory, std::string_view path) {
        std::string result = directory;
        if (!result.ends_with('/')) result += '/';
        result += path;
        return result;
    }

    // "." of "tests".
    static std::string_view parent_of(std::string_view path) {
        return path.find('/') == std::string_view::npos ? std::string_view(".") : parent_path(path);
    }

    // --- one directory: path_ is its path, empty for the root -------------------------------------------------------

    [[nodiscard]] std::string path_or_dot() const { return path_.empty() ? "." : path_; }

    void visit(const FileStatus& status, Purpose purpose) {
        visited_.insert(path_or_dot());
        above_.push_back({status.device, status.inode});
        if (purpose != Purpose::kCollect) ++others_;
        WalkedDirectory directory{path_or_dot(), signature_of(status), {}};
        if (read_entries(directory)) {
            // An environment is known by what is in it, so only now. What is named itself is none.
            const bool is_named = initial_.contains(directory.path) || initial_parents_.contains(directory.path);
            if (is_named || !is_environment(directory)) visit_entries(directory.entries, purpose);
            result_.directories.push_back(std::move(directory));
        }
        above_.pop_back();
    }

    bool read_entries(WalkedDirectory& directory) {
        const auto known = known_.find(directory.path);
        if (known != known_.end() && known->second->signature == directory.signature) {
            directory.entries = std::move(known->second->entries);
            known_.erase(known);  // never twice
            return true;
        }
        if (!is_settled(directory.signature, result_.taken_ns)) directory.signature = {};
        ++result_.listed;
        auto opened = base::open_directory(root_.get(), directory.path);
        auto entries = opened ? base::list_directory(std::move(*opened)) : tl::unexpected(opened.error());
        if (!entries) {
            report(Severity::kWarning, directory.path,
                   fmt::format("cannot be read: {}", std::strerror(entries.error().code)));
            return false;
        }
        for (base::DirectoryEntry& entry : *entries) {
            if (const auto kind = kind_of(entry)) directory.entries.push_back({std::move(entry.name), *kind});
        }
        std::sort(directory.entries.begin(), directory.entries.end(),
                  [](const WalkedEntry& one, const WalkedEntry& other) { return one.name < other.name; });
        return true;
    }

    // Nothing: it does not matter.
    std::optional<EntryKind> kind_of(const base::DirectoryEntry& entry) {
        FileKind kind = entry.kind;
        const PathScope scope(*this, entry.name);
        if (kind == FileKind::kUnknown) kind = base::link_status_at(root_.get(), path_.c_str()).kind;
        if (kind == FileKind::kDirectory) return EntryKind::kDirectory;
        if (kind == FileKind::kLink) return EntryKind::kLink;
        const bool matters = is_python(entry.name) || entry.name == "pyvenv.cfg" || is_text(path_);
        return kind == FileKind::kFile && matters ? std::optional(EntryKind::kFile) : std::nullopt;
    }

    void visit_entries(const std::vector<WalkedEntry>& entries, Purpose purpose) {
        for (const WalkedEntry& entry : entries) {
            const PathScope scope(*this, entry.name);
            if (entry.kind == EntryKind::kDirectory && skips(entry.name, purpose)) continue;
            if (entry.kind == EntryKind::kFile && !wants_file(entry.name, purpose)) continue;
            const FileStatus status = base::status_at(root_.get(), path_.c_str());
            if (status.kind == FileKind::kNone) {
                report_unreachable(path_, status);
            } else if (status.kind == FileKind::kFile) {
                visit_file(status, purpose);
            } else if (status.kind == FileKind::kDirectory) {
                visit_directory(entry, status, purpose);
            }
        }
    }

    // Spares the directories that are left out in any case (".git") a look at them.
    [[nodiscard]] bool skips(std::string_view name, Purpose purpose) const {
        if (initial_.contains(path_) || initial_parents_.contains(path_)) return false;
        return name == "__pycache__" || purpose == Purpose::kPass ||
               (purpose == Purpose::kImport && name.starts_with('.'));
    }

    void visit_directory(const WalkedEntry& entry, const FileStatus& status, Purpose purpose) {
        const auto next = path_ == settings_.root ? std::nullopt : purpose_of(entry.name, purpose);
        if (!next) return;
        if (std::find(above_.begin(), above_.end(), Place{status.device, status.inode}) != above_.end()) {
            return report(Severity::kWarning, path_, "is a link to a directory that it is in: not followed");
        }
        if (above_.size() >= kDeepest) return report(Severity::kWarning, path_, "is too deep: not entered");
        if (*next != Purpose::kCollect && others_ >= kMostOtherDirectories) return report_too_many();
        visit(status, *next);
    }

    // Nothing: it is not entered.
    std::optional<Purpose> purpose_of(std::string_view name, Purpose above) {
        const bool is_collected = initial_.contains(path_);
        const bool leads_to_one = initial_parents_.contains(path_);
        if (is_collected) return Purpose::kCollect;
        const std::string whole = absolute_of(path_);
        const bool is_left_out = matches_any(settings_.norecursedirs, whole);
        if (above == Purpose::kCollect && name != "__pycache__") {
            // pytest 7 has no way through what it leaves out; it comes to what is named by itself.
            if (leads_to_one && settings_.pytest >= 8) return Purpose::kCollect;
            if (!is_left_out && !is_ignored(path_, whole)) return Purpose::kCollect;
        }
        const bool is_hidden = name == "__pycache__" || name.starts_with('.');
        const bool may_be_imported = above != Purpose::kPass && !is_hidden && (!is_left_out || is_package());
        if (may_be_imported) return Purpose::kImport;
        return leads_to_one ? std::optional(Purpose::kPass) : std::nullopt;
    }

    [[nodiscard]] bool is_package() const {
        return base::status_at(root_.get(), (path_ + "/__init__.py").c_str()).kind == FileKind::kFile;
    }

    [[nodiscard]] bool is_ignored(const std::string& path, const std::string& whole) const {
        if (ignored_.contains(path)) return true;
        return std::any_of(settings_.ignore_glob.begin(), settings_.ignore_glob.end(),
                           [&whole](const std::string& pattern) { return matches(pattern, whole); });
    }

    [[nodiscard]] bool is_environment(const WalkedDirectory& directory) {
        if (settings_.collect_in_virtualenv) return false;
        const auto has = [&](const char* name) {
            const PathScope scope(*this, name);
            return base::status_at(root_.get(), path_.c_str()).kind == FileKind::kFile;
        };
        const auto lists = [&](std::string_view name) {
            return std::any_of(directory.entries.begin(), directory.entries.end(),
                               [name](const WalkedEntry& entry) { return entry.name == name; });
        };
        if (settings_.pytest < 8) return lists("bin") && std::any_of(kActivation.begin(), kActivation.end(), has);
        return (lists("pyvenv.cfg") && has("pyvenv.cfg")) || (lists("conda-meta") && has("conda-meta/history"));
    }

    // --- files ------------------------------------------------------------------------------------------------------

    // A text with doctests, if pytest comes to it.
    [[nodiscard]] bool is_text(const std::string& path) const {
        const std::string_view name = file_name(path);
        if (settings_.doctest_glob.empty() || is_python(name)) return false;
        const std::string_view suffix = suffix_of(name);
        if ((suffix == ".txt" || suffix == ".rst") && initial_.contains(path)) return true;
        return matches_any(settings_.doctest_glob, absolute_of(path));
    }

    [[nodiscard]] bool wants_file(std::string_view name, Purpose purpose) const {
        if (initial_.contains(path_)) return true;
        if (!is_python(name)) return purpose == Purpose::kCollect && name != "pyvenv.cfg";
        return purpose != Purpose::kPass || name == "conftest.py" || name == "__init__.py";
    }

    void visit_file(const FileStatus& status, Purpose purpose) {
        const bool is_wanted = wants_file(file_name(path_), purpose);
        if (is_wanted && visited_files_.insert(path_).second) add_file(path_, status, purpose);
    }

    // _pytest/config/__init__.py, _is_in_confcutdir: those above it do not count, those elsewhere do.
    [[nodiscard]] bool is_conftest(std::string_view name, std::string_view whole) const {
        if (name != "conftest.py" || settings_.noconftest) return false;
        const std::string top = absolute_path(settings_.root, settings_.confcutdir);
        const std::string_view directory = parent_path(whole);
        return directory == top || !is_within(top, directory);
    }

    // `purpose` is that of the directory.
    void add_file(const std::string& path, const FileStatus& status, Purpose purpose) {
        const std::string_view name = file_name(path);
        const std::string whole = absolute_of(path);
        WalkedFile file{path, signature_of(status), false, false, false, is_conftest(name, whole)};
        const bool is_named = initial_.contains(path);
        const bool is_reached = is_named || (purpose == Purpose::kCollect && !is_ignored(path, whole));
        if (is_python(name)) {
            file.is_test = is_named || (is_reached && matches_any(settings_.python_files, whole));
            file.is_doctest = is_reached && settings_.doctest_modules && name != "__main__.py";
        } else {
            file.is_text = is_reached && is_text(path);
        }
        if (is_python(name) || file.is_text) result_.files.push_back(std::move(file));
    }

    // --- results ----------------------------------------------------------------------------------------------------

    void report(Severity severity, const std::string& path, std::string message) {
        result_.problems.push_back({severity, path, std::move(message)});
    }

    void report_unreachable(const std::string& path, const FileStatus& status) {
        if (status.kind != FileKind::kNone) return report(Severity::kWarning, path, "is no directory");
        if (status.error == ENOENT) return report(Severity::kNote, path, "is a link to nothing, or gone");
        if (status.error == ELOOP) return report(Severity::kNote, path, "is a link to itself");
        report(Severity::kWarning, path, fmt::format("cannot be reached: {}", std::strerror(status.error)));
    }

    void report_too_many() {
        if (std::exchange(has_too_many_, true)) return;
        report(Severity::kWarning, path_,
               fmt::format("is not entered, nor what comes after it: {} directories are gone through for imports alone",
                           kMostOtherDirectories));
    }

    void finish() {
        const auto by_path = [](const auto& one, const auto& other) { return one.path < other.path; };
        std::sort(result_.files.begin(), result_.files.end(), by_path);
        std::sort(result_.directories.begin(), result_.directories.end(), by_path);
        std::stable_sort(result_.problems.begin(), result_.problems.end(), by_path);
    }

    // path_ is that of an entry while it lives.
    class PathScope {
      public:
        PathScope(Walker& walker, std::string_view name) : path_(walker.path_), size_(walker.path_.size()) {
            if (!path_.empty() && !path_.ends_with('/')) path_ += '/';
            path_ += name;
        }
        ~PathScope() { path_.resize(size_); }
        PathScope(const PathScope&) = delete;
        PathScope& operator=(const PathScope&) = delete;

      private:
        std::string& path_;
        std::size_t size_;
    };

    const Settings& settings_;
    Walk earlier_;
    Walk result_;
    base::UniqueFd root_;
    std::unordered_map<std::string_view, WalkedDirectory*> known_;  // of earlier_
    std::unordered_set<std::string> initial_;                       // paths of the settings
    std::unordered_set<std::string> initial_parents_;               // all directories above them
    std::unordered_set<std::string> ignored_;
    std::unordered_set<std::string> visited_;        // directories
    std::unordered_set<std::string> visited_files_;  // likewise
    std::string path_;
    std::vector<Place> above_;  // from where it began down to the directory that is visited
    std::size_t others_ = 0;    // directories that pytest does not collect
    bool has_too_many_ = false;
};

// By parts, "__init__.py" before all others in its directory.
bool is_collected_before(std::string_view one, std::string_view other) {
    const std::size_t common = std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin();
    const std::size_t slash = one.substr(0, common).rfind('/');
    const std::size_t start = slash == std::string_view::npos ? 0 : slash + 1;
    const auto part = [start](std::string_view path) {
        const std::string_view rest = path.substr(start);
        return rest.substr(0, rest.find('/'));
    };
    const std::string_view left = part(one);
    const std::string_view right = part(other);
    const bool left_is_package = left == "__init__.py";
    const bool right_is_package = right == "__init__.py";
    return left_is_package != right_is_package ? left_is_package : left < right;
}

}  // namespace

bool is_settled(const Signature& signature, std::int64_t now_ns) {
    // A step is a tick of the kernel, 10 ms at most, and whole seconds, two at most, where a file system keeps no
    // finer.
    const auto is_old = [now_ns](std::int64_t time) {
        const std::int64_t step = time % 1'000'000'000 == 0 ? 2'000'000'000 : 10'000'000;
        return time + step < now_ns;
    };
    return is_old(signature.mtime_ns) && is_old(signature.ctime_ns);
}

base::Result<Walk> walk(const Settings& settings, Walk earlier) {
    return Walker(settings, std::move(earlier)).run();
}

std::vector<std::size_t> collection_order(const Settings& settings, const std::vector<WalkedFile>& files) {
    std::vector<std::size_t> left;
    for (std::size_t at = 0; at < files.size(); ++at) {
        if (files[at].is_test || files[at].is_doctest || files[at].is_text) left.push_back(at);
    }
    std::sort(left.begin(), left.end(), [&files](std::size_t one, std::size_t other) {
        return is_collected_before(files[one].path, files[other].path);
    });
    std::vector<std::size_t> order;
    for (const std::string& path : settings.paths) {
        const bool has_root = path == "." || (path.starts_with('/') && is_within(settings.root, path));
        const auto is_elsewhere = [&](std::size_t at) {
            const bool is_below_root = !files[at].path.starts_with('/');
            return (is_below_root && has_root) ? false : !is_within(files[at].path, path);
        };
        const auto rest = std::stable_partition(left.begin(), left.end(), is_elsewhere);
        std::move(rest, left.end(), std::back_inserter(order));
        left.erase(rest, left.end());
    }
    return order;
}

}  // namespace tach::analyzer
