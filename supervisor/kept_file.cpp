#include "supervisor/kept_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

namespace tach::supervisor {

namespace fs = std::filesystem;

namespace {

base::Result<void> write_file(const fs::path& path, std::string_view text) {
    errno = 0;
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();  // also what was buffered has now been refused or taken
    if (out) return {};
    return base::fail(base::errno_error("write " + path.string(), errno != 0 ? errno : EIO));
}

}  // namespace

fs::path kept_directory(const fs::path& rootdir) {
    return rootdir / ".tach";
}

base::Result<std::string> read_whole(const fs::path& path, std::uintmax_t at_most) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found) return base::fail({ENOENT, path.string()});
    if (error) return base::fail({error.value(), path.string() + ": " + error.message()});
    if (!fs::is_regular_file(status)) return base::fail({EINVAL, path.string() + ": not a regular file"});
    const std::uintmax_t size = fs::file_size(path, error);
    if (error || size > at_most) return base::fail({EFBIG, path.string() + ": too large"});
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    std::string text(size, '\0');
    if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
        return base::fail(base::errno_error("read " + path.string(), errno != 0 ? errno : EIO));
    }
    return text;
}

base::Result<void> keep_file(const fs::path& rootdir, const fs::path& name, std::string_view text) {
    const fs::path directory = kept_directory(rootdir);
    const fs::path file = directory / name;
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) return base::fail({error.value(), file.parent_path().string() + ": " + error.message()});
    if (const fs::path ignore = directory / ".gitignore"; !fs::exists(ignore, error)) {
        if (auto written = write_file(ignore, "*\n"); !written) return written;
    }
    const fs::path temporary = fmt::format("{}.{}.tmp", file.string(), ::getpid());
    auto written = write_file(temporary, text);
    if (written) {
        fs::rename(temporary, file, error);
        if (!error) return {};
        written = base::fail({error.value(), file.string() + ": " + error.message()});
    }
    fs::remove(temporary, error);
    return written;
}

}  // namespace tach::supervisor
