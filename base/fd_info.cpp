#include "base/fd_info.h"

#include <fstream>

namespace tach::base {

Result<std::string> fd_info_field(int fd, std::string_view name) {
    const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
    std::ifstream file(path);
    if (!file) return fail(errno_error(path));
    for (std::string line; std::getline(file, line);) {
        const std::string_view view = line;
        if (!view.starts_with(name) || view.substr(name.size(), 1) != ":") continue;
        const std::size_t start = view.find_first_not_of(" \t", name.size() + 1);
        return std::string(start == std::string_view::npos ? "" : view.substr(start));
    }
    return fail(protocol_error("descriptor " + std::to_string(fd) + " has no " + std::string(name)));
}

}  // namespace tach::base
