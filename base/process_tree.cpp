#include "base/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace tach::base {

namespace {

struct ProcessStat {
    pid_t pid;
    pid_t parent;
    bool alive;
    char state;
};

template <class Number>
std::optional<Number> to_number(std::string_view text) {
    Number value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

// "pid (comm) state ppid ... num_threads ...": proc(5). The command may contain blanks and parentheses, so
// fields are counted from the last ')'.
std::optional<ProcessStat> parse_stat(pid_t pid, std::string_view text) {
    const std::size_t close = text.rfind(") ");
    if (close == std::string_view::npos) return std::nullopt;
    text.remove_prefix(close + 2);
    constexpr std::size_t kParentField = 1;    // field 4 of proc(5); the state, field 3, is number 0 here
    constexpr std::size_t kThreadsField = 17;  // field 20
    std::array<std::string_view, kThreadsField + 1> fields;
    for (auto& field : fields) {
        const std::size_t blank = text.find(' ');
        if (blank == std::string_view::npos) return std::nullopt;
        field = text.substr(0, blank);
        text.remove_prefix(blank + 1);
    }
    const auto parent = to_number<pid_t>(fields[kParentField]);
    const auto threads = to_number<long>(fields[kThreadsField]);
    if (!parent || !threads) return std::nullopt;
    // A process whose first thread has ended while others run is shown as a zombie too.
    if (fields[0].empty()) return std::nullopt;
    const bool ended = fields[0] == "Z" || fields[0] == "X";
    return ProcessStat{pid, *parent, !ended || *threads > 1, fields[0].front()};
}

std::optional<ProcessStat> read_stat(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return std::nullopt;  // it ended
    std::array<char, 1024> buffer;         // 52 numbers of up to 20 digits and a 16-byte name rarely pass 400
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count <= 0) return std::nullopt;
    return parse_stat(pid, {buffer.data(), static_cast<std::size_t>(count)});
}

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::vector<ProcessStat>> all_processes() {
    const std::unique_ptr<DIR, CloseDirectory> proc(::opendir("/proc"));
    if (!proc) return fail(errno_error("open /proc"));
    std::vector<ProcessStat> processes;
    while (const dirent* entry = ::readdir(proc.get())) {
        const auto pid = to_number<pid_t>(entry->d_name);
        if (!pid) continue;
        if (const auto stat = read_stat(*pid)) processes.push_back(*stat);
    }
    return processes;
}

}  // namespace

Result<std::vector<pid_t>> descendants(pid_t root) {
    auto processes = all_processes();
    if (!processes) return fail(std::move(processes.error()));
    std::sort(processes->begin(), processes->end(),
              [](const ProcessStat& a, const ProcessStat& b) { return a.parent < b.parent; });
    std::vector<pid_t> found;
    std::vector<pid_t> open{root};
    while (!open.empty()) {
        const pid_t parent = open.back();
        open.pop_back();
        const auto first = std::lower_bound(processes->begin(), processes->end(), parent,
                                            [](const ProcessStat& p, pid_t value) { return p.parent < value; });
        for (auto child = first; child != processes->end() && child->parent == parent; ++child) {
            // Every process has one parent, so only a cycle through the root (numbers reused while /proc was
            // read) could enter a process twice.
            if (child->pid == root) continue;
            open.push_back(child->pid);
            if (child->alive) found.push_back(child->pid);
        }
    }
    return found;
}

std::optional<ProcessState> process_state(pid_t pid) {
    const auto stat = read_stat(pid);
    if (!stat) return std::nullopt;
    return ProcessState{stat->state, stat->parent};
}

Result<bool> kill_descendants(pid_t root, int max_rounds) {
    bool none_before = false;
    for (int round = 0; round < max_rounds; ++round) {
        auto found = descendants(root);
        if (!found) return fail(std::move(found.error()));
        if (found->empty() && none_before) return true;
        none_before = found->empty();
        for (const pid_t pid : *found) ::kill(pid, SIGKILL);
        if (!none_before) sleep_ns(std::min(round + 1, 10) * kNsPerMs);
    }
    return false;
}

int reap_ended_children() {
    int count = 0;
    while (true) {
        const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
        if (pid > 0) {
            ++count;
        } else if (pid == 0 || errno != EINTR) {
            return count;
        }
    }
}

bool die_with(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return ::getppid() == parent;  // or it ended before
}

Result<void> become_subreaper() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return fail(errno_error("become a subreaper"));
    return {};
}

}  // namespace tach::base
