// Prints the man page or a shell's completion; run by the build, not installed.

#include <cstdio>
#include <string>
#include <string_view>

#include "supervisor/manual.h"

int main(int count, char** words) {
    namespace supervisor = tach::supervisor;
    const std::string_view asked = count == 2 ? words[1] : "";
    std::string text;
    if (asked == "man") text = supervisor::man_page();
    if (asked == "bash") text = supervisor::bash_completion();
    if (asked == "zsh") text = supervisor::zsh_completion();
    if (text.empty()) {
        std::fputs("usage: tach-manual man|bash|zsh\n", stderr);
        return 2;
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return written && std::fflush(stdout) == 0 ? 0 : 1;
}
