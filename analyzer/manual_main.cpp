// Prints the man page of tach-analyzer; run by the build, not installed.

#include <cstdio>
#include <string>

#include "analyzer/manual.h"

int main() {
    const std::string text = tach::analyzer::man_page();
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return written && std::fflush(stdout) == 0 ? 0 : 1;
}
