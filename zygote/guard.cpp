#include "zygote/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "zygote/descriptors.h"
#include "zygote/thread_grace.h"

namespace tach::zygote {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

// Numeric entries of a /proc directory; empty optional if it cannot be read.
std::optional<std::vector<int>> numbers_in(const char* path) {
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path));
    if (!directory) return std::nullopt;
    std::vector<int> numbers;
    // The directory's own descriptor is in the list while it is being read.
    const int own = ::dirfd(directory.get());
    while (const dirent* entry = ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
        const char* name = static_cast<const char*>(entry->d_name);
        int number = 0;
        const auto [end, error] = std::from_chars(name, name + std::strlen(name), number);
        if (error == std::errc{} && *end == '\0' && number != own) numbers.push_back(number);
    }
    return numbers;
}

std::string link_of(int fd) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
    return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

// Memory devices: major 1 is null, zero, full, random and urandom, see the kernel's
// Documentation/admin-guide/devices.txt.
bool is_memory_device(const struct stat& status) {
    return S_ISCHR(status.st_mode) && major(status.st_rdev) == 1;
}

// Device and inode of what descriptors 0 to 2 were at the start: of the process, not of a Guard.
std::set<std::pair<dev_t, ino_t>> standard_streams;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

bool is_harmless(int fd, const struct stat& status) {
    if (is_memory_device(status) || S_ISDIR(status.st_mode)) return true;
    if (!S_ISREG(status.st_mode)) return false;
    const int flags = ::fcntl(fd, F_GETFL);
    return (flags & O_ACCMODE) == O_RDONLY || (flags & O_APPEND) != 0;
}

Finding describe(int fd, const struct stat& status) {
    const std::string target = link_of(fd);
    const std::string detail = fmt::format("descriptor {} is {}", fd, target);
    if (is_harmless(fd, status)) return {"regular", detail};
    if (S_ISSOCK(status.st_mode)) return {"socket", detail};
    if (S_ISFIFO(status.st_mode)) return {"pipe", detail};
    if (S_ISREG(status.st_mode)) return {"file", detail + ", open for writing"};
    return {"descriptor", detail};
}

bool is_read_only_regular(int fd, const struct stat& status) {
    return S_ISREG(status.st_mode) && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

// "RANGE PATH", where there is a path; empty optional if they cannot be read.
std::optional<std::set<std::string>> writable_shared_mappings() {
    std::set<std::string> ranges;
    std::ifstream maps("/proc/self/maps");
    if (!maps) return std::nullopt;
    for (std::string line; std::getline(maps, line);) {
        const std::size_t space = line.find(' ');
        // "start-end rwxs ...", see proc(5)
        if (space != std::string::npos && line.size() > space + 4 && line[space + 2] == 'w' && line[space + 4] == 's') {
            const std::size_t path = line.find('/', space);
            const std::string range = line.substr(0, space);
            ranges.insert(path == std::string::npos ? range : range + " " + line.substr(path));
        }
    }
    return ranges;
}

std::optional<Finding> thread_finding() {
    std::optional<std::vector<int>> threads;
    const bool alone = await_threads([&] {
        threads = numbers_in("/proc/self/task");
        return !threads || threads->size() == 1;
    });
    if (!threads) return Finding{"thread", "/proc/self/task cannot be read"};
    if (alone) return std::nullopt;
    return Finding{"thread", fmt::format("{} threads", threads->size())};
}

// A child that has not ended; 0 if the kernel lists none. Each thread has a list of its own.
pid_t running_child() {
    for (const int thread : numbers_in("/proc/self/task").value_or(std::vector<int>{})) {
        std::ifstream children(fmt::format("/proc/self/task/{}/children", thread));
        if (pid_t pid = 0; children >> pid) return pid;
    }
    return 0;
}

std::optional<Finding> child_finding() {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
        if (errno == ECHILD) return std::nullopt;
        return Finding{"child", fmt::format("waitid: {}", std::strerror(errno))};  // NOLINT(concurrency-mt-unsafe)
    }
    const bool ended = info.si_pid != 0;
    const pid_t pid = ended ? info.si_pid : running_child();
    if (pid == 0) return Finding{"child", "a process"};
    std::string command;
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), command);
    return Finding{"child", fmt::format("process {} ({}){}", pid, command, ended ? ", ended, not waited for" : "")};
}

}  // namespace

Guard::Open Guard::open_at(int fd, const struct stat& status) {
    return {fd, status.st_dev, status.st_ino, ::fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)};
}

void Guard::mark() {
    known_.clear();
    for (const int fd : numbers_in("/proc/self/fd").value_or(std::vector<int>{})) {
        struct stat status {};
        if (::fstat(fd, &status) == 0) known_.insert(open_at(fd, status));
    }
    shared_ = writable_shared_mappings().value_or(std::set<std::string>{});
}

std::vector<Finding> Guard::findings() const {
    std::vector<Finding> found;
    if (auto thread = thread_finding()) found.push_back(*std::move(thread));
    if (auto child = child_finding()) found.push_back(*std::move(child));
    const auto fds = numbers_in("/proc/self/fd");
    if (!fds) found.push_back({"descriptor", "/proc/self/fd cannot be read"});
    for (const int fd : fds.value_or(std::vector<int>{})) {
        struct stat status {};
        if (fd >= lowest_own_descriptor() || ::fstat(fd, &status) != 0) continue;
        if (known_.contains(open_at(fd, status)) || is_standard_stream(status)) continue;
        found.push_back(describe(fd, status));
    }
    const auto ranges = writable_shared_mappings();
    if (!ranges) found.push_back({"shared memory", "/proc/self/maps cannot be read"});
    for (const std::string& range : ranges.value_or(std::set<std::string>{})) {
        if (!shared_.contains(range)) found.push_back({"shared memory", "a writable shared mapping at " + range});
    }
    return found;
}

void Guard::unshare_read_only_files() {
    for (const int fd : numbers_in("/proc/self/fd").value_or(std::vector<int>{})) {
        struct stat status {};
        if (fd <= STDERR_FILENO || ::fstat(fd, &status) != 0 || !is_read_only_regular(fd, status)) continue;
        const off_t offset = ::lseek(fd, 0, SEEK_CUR);
        const base::UniqueFd own(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC));
        // A file that may no longer be opened (its rights changed) stays shared; its offset is still restored.
        if (!own.valid() || offset < 0 || ::lseek(own.get(), offset, SEEK_SET) != offset) continue;
        ::dup3(own.get(), fd, (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
    }
}

void Guard::mark_standard_streams() {
    standard_streams.clear();
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
        struct stat status {};
        if (::fstat(fd, &status) == 0) standard_streams.emplace(status.st_dev, status.st_ino);
    }
}

bool Guard::is_standard_stream(const struct stat& status) {
    return standard_streams.contains({status.st_dev, status.st_ino});
}

std::vector<WritableFile> Guard::writable_files() {
    const auto fds = numbers_in("/proc/self/fd");
    if (!fds) return {WritableFile{}};
    std::vector<WritableFile> files;
    for (const int fd : *fds) {
        struct stat status {};
        if (fd <= STDERR_FILENO || ::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        if ((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) continue;
        if (is_standard_stream(status)) continue;
        if (!link_of(fd).starts_with("/memfd:tach-")) files.push_back({fd, status.st_dev, status.st_ino});
    }
    return files;
}

void Guard::save_offsets() {
    offsets_.clear();
    for (const int fd : numbers_in("/proc/self/fd").value_or(std::vector<int>{})) {
        struct stat status {};
        if (::fstat(fd, &status) != 0 || !is_read_only_regular(fd, status)) continue;
        offsets_.push_back({open_at(fd, status), ::lseek(fd, 0, SEEK_CUR)});
    }
}

void Guard::restore_offsets() const {
    for (const Offset& saved : offsets_) {
        struct stat status {};
        if (::fstat(saved.file.fd, &status) != 0 || status.st_ino != saved.file.inode ||
            status.st_dev != saved.file.device) {
            continue;
        }
        if (saved.offset >= 0 && ::lseek(saved.file.fd, 0, SEEK_CUR) != saved.offset) {
            ::lseek(saved.file.fd, saved.offset, SEEK_SET);
        }
    }
}

}  // namespace tach::zygote
