#include "supervisor/doctor.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string_view>

#include "supervisor/engines.h"
#include "supervisor/interpreter.h"

namespace tach::supervisor {
namespace {

std::string first_line_of(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

class Table {
  public:
    void add(std::string_view subject, std::string_view finding) {
        text_ += fmt::format("{:<20}  {}\n", subject, finding);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::string text_;
};

std::string kernel() {
    utsname name{};
    if (::uname(&name) != 0) return "unknown";
    return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string user() {
    const uid_t id = ::geteuid();
    // One line for each range; a user namespace that is not the first maps less than all of them.
    const bool mapped = first_line_of("/proc/self/uid_map").find("4294967295") == std::string::npos;
    return fmt::format("{}{}", id == 0 ? "root" : fmt::format("uid {}", id), mapped ? ", in a user namespace" : "");
}

// What prctl(2) tells of PR_GET_SECCOMP.
std::string seccomp() {
    switch (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0)) {
        case 0:
            return "no filter";
        case 2:
            return "a filter is in force (a container's profile, or a sandbox)";
        default:
            return "unknown";
    }
}

std::string yama() {
    const std::string scope = first_line_of("/proc/sys/kernel/yama/ptrace_scope");
    return scope.empty() ? "not there" : "ptrace_scope " + scope;
}

std::string transparent_huge_pages() {
    const std::string state = first_line_of("/sys/kernel/mm/transparent_hugepage/enabled");
    return state.empty() ? "not there" : state;
}

std::string interpreter(const Settings& settings, const std::filesystem::path& cwd) {
    const auto found = find_interpreter(interpreter_search(settings, cwd));
    if (!found) return found.error().what;
    return fmt::format("{} ({})", found->executable.string(), found->found_by);
}

}  // namespace

std::string doctor_report(const Settings& settings, const std::filesystem::path& cwd) {
    Table table;
    table.add("tach", TACH_VERSION);
    table.add("kernel", kernel());
    table.add("user", user());
    table.add("seccomp", seccomp());
    table.add("Yama", yama());
    table.add("huge pages", transparent_huge_pages());
    table.add("processors", fmt::format("{} usable", worker_count(settings.workers.value)));
    table.add("interpreter", interpreter(settings, cwd));
    bool chosen = false;
    for (const Engine engine : kEnginesByMerit) {
        const Finding finding = probe(engine);
        const std::string subject = fmt::format("engine {}", word(engine));
        if (finding.why_not.empty()) {
            table.add(subject, chosen ? "works" : "works, is chosen");
            chosen = true;
        } else {
            table.add(subject, fmt::format("no: {}; {}", finding.why_not, finding.advice));
        }
    }
    return table.take();
}

}  // namespace tach::supervisor
