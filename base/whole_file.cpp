#include "base/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/clock.h"
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

// Of a file that is written all the time. A guess.
constexpr int kMostReads = 4;

// Without waiting: a FIFO is refused afterwards.
UniqueFd open_to_read(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

Result<std::string> read_open_file(int fd, const FileStatus& status, const std::string& path, std::uint64_t at_most) {
    if (status.kind == FileKind::kNone) return fail(errno_error("read " + path, status.error));
    if (status.kind != FileKind::kFile) return fail({EINVAL, path + ": not a regular file"});
    const auto size = static_cast<std::uint64_t>(status.size);
    if (size > at_most) return fail({EFBIG, path + ": too large"});
    std::string bytes(static_cast<std::size_t>(size), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path));
        if (got == 0) return fail({EIO, path + ": it got shorter while it was read"});
        done += static_cast<std::size_t>(got);
    }
    return bytes;
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
    const UniqueFd fd = open_to_read(path);
    if (!fd.valid()) return fail(errno_error("read " + path));
    return read_open_file(fd.get(), status_of(fd.get()), path, at_most);
}

Result<SettledFile> read_settled_file(const std::string& path, std::uint64_t at_most) {
    SettledFile file;
    for (int attempt = 0; attempt < kMostReads; ++attempt) {
        const UniqueFd fd = open_to_read(path);
        if (!fd.valid()) return fail(errno_error("read " + path));
        const std::int64_t now_ns = realtime_ns();
        file.status = status_of(fd.get());
        auto bytes = read_open_file(fd.get(), file.status, path, at_most);
        const FileStatus after = status_of(fd.get());
        const bool is_unchanged = after.size == file.status.size && after.mtime_ns == file.status.mtime_ns &&
                                  after.ctime_ns == file.status.ctime_ns;
        if (!bytes && is_unchanged) return fail(bytes.error());
        if (bytes) file.bytes = *std::move(bytes);
        if (!is_unchanged) continue;
        file.looked_at_ns = now_ns;
        return file;
    }
    return file;
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
