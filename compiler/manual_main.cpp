// Prints the man page of tach-compiler; run by the build, not installed.

#include <cstdio>
#include <string>

#include "compiler/manual.h"

int main() {
    const std::string text = tach::compiler::man_page();
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return written && std::fflush(stdout) == 0 ? 0 : 1;
}
