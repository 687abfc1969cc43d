#include "supervisor/stack_text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "base/unique_fd.h"
#include "shm/stack_signal.h"

namespace tach::supervisor {

namespace {

namespace fs = std::filesystem;

// A deep recursion writes 100 frames, which is faulthandler's own limit, for each of a few threads.
constexpr std::size_t kMostBytes = 64 << 10;

bool is_frame(std::string_view line) {
    return line.starts_with("  File ");
}

bool is_of_pytest(std::string_view line) {
    return line.find("/_pytest/") != std::string_view::npos || line.find("/pluggy/") != std::string_view::npos;
}

}  // namespace

std::string read_stack(pid_t pid) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
        std::error_code closed;
        const std::string target = fs::read_symlink(entry.path(), closed).string();
        if (!target.starts_with(fmt::format("/memfd:{}", shm::kStackFile))) continue;
        const base::UniqueFd file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
        std::string text(kMostBytes, '\0');
        const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
        text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        if (!text.empty())
            return shorten_stack(text);  // there may be another one, of the process that it was forked from
    }
    return "";
}

std::string shorten_stack(std::string_view stack) {
    std::vector<std::string_view> kept;
    bool is_ours = false;  // innermost frames come first: from here on, to the end of the thread
    while (!stack.empty()) {
        const std::size_t end = stack.find('\n');
        const std::string_view line = stack.substr(0, end);
        stack.remove_prefix(end == std::string_view::npos ? stack.size() : end + 1);
        if (!is_frame(line)) {
            is_ours = false;
        } else if (!is_ours && line.find("/tach_harness/") != std::string_view::npos) {
            is_ours = true;
            while (!kept.empty() && is_frame(kept.back()) && is_of_pytest(kept.back())) kept.pop_back();
        }
        if (!is_ours) kept.push_back(line);
    }
    std::string text;
    for (const std::string_view line : kept) text.append(line).append("\n");
    return text;
}

}  // namespace tach::supervisor
