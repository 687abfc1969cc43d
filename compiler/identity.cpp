#include "compiler/identity.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <fstream>

#include "base/file_status.h"
#include "shm/bytecode_image.h"

namespace tach::compiler {
namespace {

// What makes a difference to code, or to where pytest is found (HOME: the user's own packages).
constexpr std::array kVariables{"PYTHONOPTIMIZE", "PYTHONNODEBUGRANGES", "PYTHONINTMAXSTRDIGITS",
                                "PYTHONPATH",     "PYTHONHOME",          "PYTHONPLATLIBDIR",
                                "PYTHONUSERBASE", "PYTHONNOUSERSITE",    "VIRTUAL_ENV",
                                "HOME",           "LD_LIBRARY_PATH",     "LD_PRELOAD"};

constexpr std::string_view kFileLine = "file ";

// Texts of lines: a line break in one would be the end of it.
std::string escaped(std::string_view text) {
    std::string line;
    for (const char c : text) {
        if (c == '\\') line += "\\\\";
        if (c == '\n') line += "\\n";
        if (c != '\\' && c != '\n') line.push_back(c);
    }
    return line;
}

std::string unescaped(std::string_view line) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool is_escape = line[i] == '\\' && i + 1 < line.size();
        if (is_escape) ++i;
        text.push_back(is_escape && line[i] == 'n' ? '\n' : line[i]);
    }
    return text;
}

// None: what it was when the interpreter looked at it cannot be known.
std::optional<std::string> state_of(const std::string& path, std::int64_t since_ns) {
    const base::FileStatus status = base::status_at(AT_FDCWD, path.c_str());
    if (status.kind == base::FileKind::kNone) return "-";
    const auto signature = shm::bytecode::Signature::of(status, since_ns);
    if (signature.is_empty()) return std::nullopt;
    return fmt::format("{},{},{},{}", signature.size, signature.mtime_ns, signature.ctime_ns, signature.inode);
}

// A shim of pyenv, say, which goes by the working directory.
bool is_script(const std::string& path) {
    std::array<char, 2> start{};
    std::ifstream(path, std::ios::binary).read(start.data(), start.size());
    return start[0] == '#' && start[1] == '!';
}

}  // namespace

std::optional<std::string> identity_text(const Identity& identity, const Environment& environment,
                                         std::int64_t since_ns) {
    if (is_script(identity.interpreter)) return std::nullopt;
    std::string text = fmt::format("tach {}\npython {}\nini {}\n", TACH_VERSION, escaped(identity.interpreter),
                                   escaped(identity.ini_file));
    for (const char* name : kVariables) {
        if (const auto value = environment(name)) text += fmt::format("{}={}\n", name, escaped(*value));
    }
    const auto add = [&](const std::string& path, std::string_view kind) {
        const auto state = state_of(path, since_ns);
        if (state) text += fmt::format("{}{} {}\n", kind, *state, escaped(path));
        return state.has_value();
    };
    bool is_known = add(identity.interpreter, "found ");
    if (!identity.ini_file.empty()) is_known = add(identity.ini_file, "ini ") && is_known;
    for (const std::string& path : identity.files) is_known = add(path, kFileLine) && is_known;
    if (!is_known) return std::nullopt;
    return text;
}

std::vector<std::string> identity_files(std::string_view text) {
    std::vector<std::string> files;
    for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
        std::string_view line = text.substr(0, end);
        if (!line.starts_with(kFileLine)) continue;
        line.remove_prefix(kFileLine.size());
        const std::size_t blank = line.find(' ');
        if (blank != std::string_view::npos) files.push_back(unescaped(line.substr(blank + 1)));
    }
    return files;
}

}  // namespace tach::compiler
