#include "supervisor/line_printer.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "supervisor/standard_streams.h"

namespace tach::supervisor {

namespace {

// Back to the first column and erase to the end of the line (ECMA-48 EL).
constexpr std::string_view kErase = "\r\x1b[K";

// What terminals without a size are assumed to have, since the VT100.
constexpr unsigned kDefaultWidth = 80;

unsigned window_width(int fd) {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool is_set(const char* value) {
    return value != nullptr && *value != '\0';
}

bool dumb(const Environment& env) {
    const char* term = env("TERM");
    return term != nullptr && std::string_view(term) == "dumb";
}

struct Character {
    std::size_t bytes;
    unsigned columns;
    bool printable;
};

// One UTF-8 character. From U+1100 on, where the first wide ones are, everything counts as wide.
Character next_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) return {1, 1, lead >= 0x20 && lead != 0x7f};
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || bytes > text.size()) return {1, 1, false};
    std::uint32_t point = lead & (0xffU >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        if ((next & 0xc0) != 0x80) return {1, 1, false};
        point = point << 6 | (next & 0x3fU);
    }
    return {bytes, point < 0x1100 ? 1U : 2U, point >= 0xa0};  // 0x80 to 0x9f are control characters
}

}  // namespace

bool want_color(Color choice, bool is_tty, const Environment& env) {
    if (choice != Color::kAuto) return choice == Color::kYes;
    const char* py_colors = env("PY_COLORS");
    if (py_colors != nullptr && std::string_view(py_colors) == "1") return true;
    if (py_colors != nullptr && std::string_view(py_colors) == "0") return false;
    if (is_set(env("NO_COLOR"))) return false;
    if (is_set(env("FORCE_COLOR"))) return true;
    return is_tty && !dumb(env);
}

Terminal open_terminal(int fd, Color choice, const Environment& env) {
    const bool is_tty = ::isatty(fd) == 1;
    return {.write = [fd](std::string_view bytes) { return write_all(fd, bytes); },
            .width = [fd] { return window_width(fd); },
            .overprints = is_tty && !dumb(env),
            .color = want_color(choice, is_tty, env)};
}

std::string elide(std::string_view text, unsigned width) {
    constexpr std::string_view kDots = "...";
    std::string result;
    unsigned columns = 0;
    std::size_t room_for_dots = 0;  // length of the longest prefix that leaves room for them
    while (!text.empty()) {
        const Character character = next_character(text);
        if (columns + character.columns > width) {
            result.resize(room_for_dots);
            return result.append(kDots.substr(0, width));
        }
        columns += character.columns;
        if (character.printable) {
            result += text.substr(0, character.bytes);
        } else {
            result += '?';
        }
        text.remove_prefix(character.bytes);
        if (columns + kDots.size() <= width) room_for_dots = result.size();
    }
    return result;
}

std::size_t columns(std::string_view text) {
    std::size_t sum = 0;
    while (!text.empty()) {
        const Character character = next_character(text);
        sum += character.columns;
        text.remove_prefix(character.bytes);
    }
    return sum;
}

void LinePrinter::write(std::string_view bytes) {
    if (is_held_) {
        held_ += bytes;
        return;
    }
    if (broken() || bytes.empty() || terminal_.write(bytes)) return;
    write_error_ = errno != 0 ? errno : EIO;
}

unsigned LinePrinter::width() const {
    const unsigned width = terminal_.width();
    return width > 0 ? width : kDefaultWidth;
}

void LinePrinter::status(std::string_view line) {
    if (!terminal_.overprints || is_held_) return;
    // The last column stays free: some terminals move on when it is filled.
    std::string elided = elide(line, width() - 1);
    if (elided == status_) return;
    status_ = std::move(elided);
    write(std::string(kErase) + status_);
}

void LinePrinter::text(std::string_view text) {
    if (text.empty()) return;
    if (!terminal_.overprints) {
        write(text);
        mid_line_ = text.back() != '\n';
        return;
    }
    const std::size_t end = text.rfind('\n');
    if (end == std::string_view::npos) {
        begun_ += text;
        return;
    }
    std::string bytes(status_.empty() ? "" : kErase);
    bytes += begun_;
    bytes += text.substr(0, end + 1);
    begun_ = text.substr(end + 1);
    write(bytes += status_);
}

void LinePrinter::line(std::string_view line) {
    std::string bytes(status_.empty() ? "" : kErase);
    if (mid_line_) bytes += '\n';
    mid_line_ = false;
    bytes += line;
    bytes += '\n';
    write(bytes += status_);
}

void LinePrinter::show_no_status() {
    clear_status();
    terminal_.overprints = false;
    mid_line_ = !begun_.empty();
    write(std::exchange(begun_, {}));
}

void LinePrinter::clear_status() {
    if (!status_.empty()) write(kErase);
    status_.clear();
}

void LinePrinter::hold() {
    clear_status();
    is_held_ = true;
}

void LinePrinter::release() {
    is_held_ = false;
    write(std::exchange(held_, {}));
}

void LinePrinter::finish() {
    std::string bytes(status_.empty() ? "" : kErase);
    bytes += begun_;
    if (!begun_.empty() || mid_line_) bytes += '\n';
    begun_.clear();
    status_.clear();
    mid_line_ = false;
    write(bytes);
}

}  // namespace tach::supervisor
