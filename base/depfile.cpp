#include "base/depfile.h"

namespace tach::base {

std::string escaped_for_make(std::string_view path) {
    std::string text;
    std::size_t backslashes = 0;  // right before c
    for (const char c : path) {
        if (c == ' ' || c == '\t') text.append(backslashes, '\\');
        if (c == ' ' || c == '\t' || c == '#' || c == ':') text.push_back('\\');
        if (c == '$') text.push_back('$');
        text.push_back(c);
        backslashes = c == '\\' ? backslashes + 1 : 0;
    }
    return text;
}

std::string depfile(std::string_view target, const std::vector<std::string>& inputs) {
    std::string text = escaped_for_make(target) + ":";
    std::string phony;
    for (const std::string& path : inputs) {
        if (path.find('\n') != std::string::npos) continue;
        const std::string escaped = escaped_for_make(path);
        text += " \\\n  " + escaped;
        phony += "\n" + escaped + ":\n";
    }
    return text + "\n" + phony;
}

}  // namespace tach::base
