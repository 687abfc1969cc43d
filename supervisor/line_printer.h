#pragma once

// How text reaches the user: lines that stay, and below them, on a terminal that can do it, one status line
// that is painted over. What the lines say is the business of Printer.
//
// Every call makes at most one write, so that no reader of the terminal sees a half-painted line. The outside
// is behind Terminal: tests bring their own.

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "supervisor/choices.h"

namespace tach::supervisor {

struct Terminal {
    std::function<bool(std::string_view)> write;  // false: nothing will ever be written again
    std::function<unsigned()> width;              // columns, 0 if unknown
    bool overprints = false;                      // a tty that knows carriage return and erase
    bool color = false;
};

using Environment = std::function<const char*(const char*)>;  // getenv, or a test's

// pytest's rules: --color, PY_COLORS, NO_COLOR, FORCE_COLOR, and else whether it is a terminal that is not
// dumb.
[[nodiscard]] bool want_color(Color choice, bool is_tty, const Environment& env);

// The descriptor stays the caller's and must outlive the Terminal. Non-blocking ones are waited for.
[[nodiscard]] Terminal open_terminal(int fd, Color choice, const Environment& env);

// At most `width` columns of text, ending in "..." if some is missing; control characters and what is not
// UTF-8 become
// "?". Columns are estimated from above (no table of character widths): the result is never too wide.
inline constexpr unsigned kUnlimited = std::numeric_limits<unsigned>::max();
[[nodiscard]] std::string elide(std::string_view text, unsigned width);
[[nodiscard]] std::size_t columns(std::string_view text);  // estimated likewise

class LinePrinter {
  public:
    explicit LinePrinter(Terminal terminal) : terminal_(std::move(terminal)) {}

    [[nodiscard]] const Terminal& terminal() const { return terminal_; }
    [[nodiscard]] unsigned width() const;  // columns, never 0

    // Paints over the status line. Elided to the terminal's width; nothing at all if it cannot be painted
    // over.
    void status(std::string_view line);

    // Text that stays, above the status line. Where there can be a status line, a last line without its
    // newline is kept until the rest comes; elsewhere every byte goes through as it is.
    void text(std::string_view text);

    // One line of its own, newline added: above a line that was begun where that one is kept, else after it.
    void line(std::string_view line);

    // From now on there is no status line.
    void show_no_status();

    // Takes the status line away.
    void clear_status();

    // Takes the status line away and ends a line that was begun. Printing can go on afterwards.
    void finish();

    // Takes the status line away, and keeps all that is printed until release().
    void hold();
    void release();
    [[nodiscard]] bool is_held() const { return is_held_; }

    // The reader is gone, or the disk is full: everything since was dropped.
    [[nodiscard]] bool broken() const { return write_error_ != 0; }
    [[nodiscard]] int write_error() const { return write_error_; }  // errno; 0: nothing was dropped

  private:
    void write(std::string_view bytes);

    Terminal terminal_;
    std::string status_;     // as painted now
    std::string begun_;      // the line without a newline yet, kept
    bool mid_line_ = false;  // the same, but written already
    std::string held_;
    bool is_held_ = false;
    int write_error_ = 0;
};

}  // namespace tach::supervisor
