#include "base/memory_map.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace tach::base {
namespace {

// Takes a number off the front of `text`, and the one character that must follow it.
template <class Number>
bool take(std::string_view& text, Number& number, int radix, char after) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, radix);
    if (error != std::errc{} || end == text.data() + text.size() || *end != after) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    return true;
}

MappedRange::Kind kind_of(std::string_view name) {
    if (name == "[heap]") return MappedRange::Kind::kHeap;
    if (name == "[stack]") return MappedRange::Kind::kStack;
    // "[anon:...]" is what prctl(PR_SET_VMA) names; "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"
    if (name.starts_with("[") && !name.starts_with("[anon")) return MappedRange::Kind::kKernel;
    return MappedRange::Kind::kPlain;
}

// A line of smaps that says more of the mapping before, "Key: value".
bool take_detail(std::string_view line, MappedRange& mapping) {
    if (line.empty() || line.front() < 'A' || line.front() > 'Z') return false;  // addresses are in lower case
    if (line.starts_with("VmFlags:")) {
        const auto has = [&](const char* flag) { return line.find(flag) != std::string_view::npos; };
        mapping.droppable = has(" dp");
        mapping.misses_pages = has(" um");
        mapping.forked = !has(" dc") && !has(" wf");
    }
    return true;
}

}  // namespace

int MappedRange::protection() const {
    return (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0) | (executable ? PROT_EXEC : 0);
}

bool parse_mapping(std::string_view line, MappedRange& out) {
    unsigned major_number = 0;
    unsigned minor_number = 0;
    if (!take(line, out.range.begin, 16, '-') || !take(line, out.range.end, 16, ' ')) return false;
    if (line.size() < 5 || line[4] != ' ') return false;
    out.readable = line[0] == 'r';
    out.writable = line[1] == 'w';
    out.executable = line[2] == 'x';
    out.shared = line[3] == 's';
    line.remove_prefix(5);
    if (!take(line, out.offset, 16, ' ') || !take(line, major_number, 16, ':') || !take(line, minor_number, 16, ' ')) {
        return false;
    }
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out.inode);
    if (error != std::errc{}) return false;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    out.device = makedev(major_number, minor_number);
    out.kind = kind_of(line);
    return !out.range.empty();
}

Result<void> read_memory_map(int fd, std::span<char> buffer, std::pmr::vector<MappedRange>& out) {
    std::size_t held = 0;  // bytes of an incomplete line at the front of the buffer
    off_t offset = 0;
    while (true) {
        const ssize_t got = ::pread(fd, buffer.data() + held, buffer.size() - held, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("/proc/self/maps"));
        if (got == 0) {
            if (held != 0) return fail(protocol_error("/proc/self/maps: the last line has no end"));
            return {};
        }
        offset += got;
        std::string_view text(buffer.data(), held + static_cast<std::size_t>(got));
        for (std::size_t newline = text.find('\n'); newline != std::string_view::npos; newline = text.find('\n')) {
            const std::string_view line = text.substr(0, newline);
            MappedRange mapping;
            if (parse_mapping(line, mapping)) {
                out.push_back(mapping);
            } else if (out.empty() || !take_detail(line, out.back())) {
                return fail(protocol_error("/proc/self/maps: a line that makes no sense"));
            }
            text.remove_prefix(newline + 1);
        }
        if (text.size() == buffer.size()) return fail(protocol_error("/proc/self/maps: a line longer than the buffer"));
        held = text.size();
        std::memmove(buffer.data(), text.data(), held);
    }
}

}  // namespace tach::base
