#include "analyzer/changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/command.h"

namespace tach::analyzer {
namespace {

// A guess: the first look at a big repository that is not in the page cache takes seconds.
constexpr int kTimeoutMs = 60000;

tl::unexpected<base::Error> mistake(std::string what) {
    return base::fail(base::Error{EINVAL, std::move(what)});
}

std::string first_line(std::string_view text) {
    return std::string(text.substr(0, std::min(text.find('\n'), text.size())));
}

// No lock: looking must not be in the way of whoever works in the repository.
base::Result<base::Finished> git(const std::string& directory, std::vector<std::string> arguments) {
    std::vector<std::string> command{"git", "-C", directory, "--no-optional-locks", "-c", "core.fsmonitor=false"};
    command.insert(command.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
    auto finished = base::run_command(command, kTimeoutMs);
    if (finished || finished.error().code != ENOENT) return finished;
    return mistake("--since: git is not installed, or not on PATH");
}

std::string reason_of(const base::Finished& finished) {
    const std::string line = first_line(finished.standard_error);
    return line.empty() ? fmt::format("git ended with status {}", finished.status) : line;
}

base::Result<std::string> top_of(const std::string& root) {
    auto finished = git(root, {"rev-parse", "--show-toplevel"});
    if (!finished) return base::fail(finished.error());
    std::string& top = finished->standard_output;
    if (finished->status == 0 && top.size() > 1) {
        top.pop_back();  // the line's end
        return std::move(top);
    }
    if (finished->standard_error.find("not a git repository") != std::string::npos) {
        return mistake(fmt::format("--since: {} is in no Git repository", root));
    }
    return mistake(fmt::format("--since: {}: {}", root, reason_of(*finished)));
}

// Its full hash, so that nothing in the name can be taken for an option or a path.
base::Result<std::string> commit_of(const std::string& top, const std::string& revision) {
    const auto unknown = [&] { return mistake(fmt::format("--since: {}: no such revision in {}", revision, top)); };
    if (revision.empty() || revision.starts_with('-') || revision.find('\0') != std::string::npos) return unknown();
    auto finished = git(top, {"rev-parse", "--quiet", "--verify", revision + "^{commit}"});
    if (!finished) return base::fail(finished.error());
    if (finished->status != 0) return unknown();
    return first_line(finished->standard_output);
}

// `prefix`: of what is below the root, in the repository; ends with '/' unless it is empty.
void add_paths(std::string_view list, const std::string& top, std::string_view prefix,
               std::vector<std::string>& paths) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find('\0'), list.size());
        const std::string_view path = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        if (path.starts_with(prefix)) {
            paths.emplace_back(path.substr(prefix.size()));
        } else {
            paths.push_back(fmt::format("{}{}{}", top, top.ends_with('/') ? "" : "/", path));
        }
    }
}

}  // namespace

base::Result<std::vector<std::string>> changed_since(const std::string& root, const std::string& revision) {
    const auto top = top_of(root);
    if (!top) return base::fail(top.error());
    const auto commit = commit_of(*top, revision);
    if (!commit) return base::fail(commit.error());
    const auto prefix = git(root, {"rev-parse", "--show-prefix"});
    if (!prefix) return base::fail(prefix.error());
    std::string_view below = prefix->standard_output;
    if (below.ends_with('\n')) below.remove_suffix(1);

    std::vector<std::string> paths;
    for (const auto& question :
         {std::vector<std::string>{"diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", *commit, "--"},
          std::vector<std::string>{"ls-files", "--others", "--exclude-standard", "-z"}}) {
        const auto finished = git(*top, question);
        if (!finished) return base::fail(finished.error());
        if (finished->status != 0) return mistake(fmt::format("--since: {}: {}", root, reason_of(*finished)));
        add_paths(finished->standard_output, *top, below, paths);
    }
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    return paths;
}

}  // namespace tach::analyzer
