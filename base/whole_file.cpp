#include "base/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/unique_fd.h"

namespace tach::base {
namespace {

// Of temporary files that a process of the same number has left, or is writing in another container.
constexpr int kMostAttempts = 100;  // a guess

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// A new file beside `path`. Not mkstemp: the umask decides who may read it.
UniqueFd open_beside(const std::string& path, std::string& name) {
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        name = path + "." + std::to_string(::getpid()) + "-" + std::to_string(attempt) + ".tmp";
        UniqueFd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (fd.valid() || errno != EEXIST) return fd;
    }
    return {};
}

// Some file systems say only when it is closed that there is no room.
bool close_written(UniqueFd& fd) {
    return ::close(fd.release()) == 0;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::uint64_t at_most) {
    // Without waiting: a FIFO is refused below.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return fail(errno_error("read " + path));
    if (!S_ISREG(status.st_mode)) return fail({EINVAL, path + ": not a regular file"});
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > at_most) return fail({EFBIG, path + ": too large"});
    std::string bytes(static_cast<std::size_t>(size), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path));
        if (got == 0) return fail({EIO, path + ": it got shorter while it was read"});
        done += static_cast<std::size_t>(got);
    }
    return bytes;
}

Result<void> replace_file(const std::string& path, std::initializer_list<std::string_view> pieces) {
    const std::filesystem::path directory = std::filesystem::path(path).parent_path();
    std::error_code error;
    // A rename would put a file in the place of a directory's link or, as root, of a device.
    const auto kind = std::filesystem::status(path, error).type();
    if (kind != std::filesystem::file_type::not_found && kind != std::filesystem::file_type::regular) {
        return fail(error ? errno_error(path, error.value()) : Error{EINVAL, path + ": is there, and no regular file"});
    }
    if (!directory.empty() && !std::filesystem::exists(directory, error)) {
        std::filesystem::create_directories(directory, error);
        if (error) return fail(errno_error(directory.string(), error.value()));
    }
    std::string temporary;
    UniqueFd fd = open_beside(path, temporary);
    if (!fd.valid()) return fail(errno_error("write " + path));
    bool written = true;
    for (const std::string_view piece : pieces) written = written && write_all(fd.get(), piece);
    if (written && close_written(fd) && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
    const Error reason = errno_error("write " + path);
    ::unlink(temporary.c_str());
    return fail(reason);
}

}  // namespace tach::base
