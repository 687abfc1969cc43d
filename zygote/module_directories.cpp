#include "zygote/module_directories.h"

#include <fcntl.h>

#include <utility>

#include "base/clock.h"
#include "base/directory.h"

namespace tach::zygote {
namespace {

constexpr std::string_view kSource = ".py";

bool is_same(const base::FileStatus& a, const base::FileStatus& b) {
    return a.inode == b.inode && a.device == b.device && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

}  // namespace

ModuleDirectories::Answer ModuleDirectories::look(const std::string& directory, std::string_view name) {
    const std::int64_t now_ns = base::realtime_ns();
    const base::FileStatus status = base::status_at(AT_FDCWD, directory.c_str());
    if (status.kind == base::FileKind::kNone) return {.state = State::kNone};
    if (status.kind != base::FileKind::kDirectory) return {.state = State::kNoDirectory};
    Listing& listing = listings_[directory];
    if (!listing.is_settled || !is_same(listing.status, status)) {
        listing = {.status = status, .is_settled = base::is_settled(status, now_ns), .holds = {}};
        if (!read(directory, listing)) {
            listings_.erase(directory);
            return {.state = State::kUnreadable};
        }
    }
    const auto found = listing.holds.find(name);
    return {.state = State::kListed, .holds = found == listing.holds.end() ? std::uint8_t{0} : found->second};
}

bool ModuleDirectories::read(const std::string& directory, Listing& listing) const {
    auto opened = base::open_directory(AT_FDCWD, directory);
    if (!opened) return false;
    auto entries = base::list_directory(*std::move(opened));
    if (!entries) return false;
    for (const base::DirectoryEntry& entry : *entries) note(listing, entry.name);
    return true;
}

void ModuleDirectories::note(Listing& listing, std::string_view entry) const {
    const auto hold = [&](std::string_view name, std::uint8_t what) {
        listing.holds.try_emplace(std::string(name)).first->second |= what;
    };
    if (entry.find('.') == std::string_view::npos) return hold(entry, kHasEntry);
    for (const std::string& suffix : other_suffixes_) {
        if (entry.ends_with(suffix)) hold(entry.substr(0, entry.size() - suffix.size()), kHasOther);
    }
    if (entry.ends_with(kSource)) hold(entry.substr(0, entry.size() - kSource.size()), kHasSource);
}

}  // namespace tach::zygote
