#pragma once

// What an outcome of the interpreter depends on: files, directories and paths as they were, so that a later run can
// tell whether they still are. Gathered once from what the interpreter saw (harness/tach_harness/witness.py), checked
// against the file system by whoever wants to rely on the outcome (listing.h).
//
// Each piece has a stamp and, where a stamp may change for no reason (git checkout, touch), a hash of the contents. A
// stamp holds the time of the last change of status, which no program can set back: an edit that keeps size and
// modification time is seen. Gathering promises that nothing of it has changed since the interpreter began to watch;
// what has is a reason to give up.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shm/message.h"

namespace tach::supervisor {

struct Stamp {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint32_t mode = 0;  // 0: nothing is there

    bool operator==(const Stamp&) const = default;
    [[nodiscard]] static Stamp of(const std::string& path, bool follow = true);
};

struct Evidence {
    enum class Kind : char {
        kFile = 'f',       // its contents
        kDirectory = 'd',  // the names in it and what they are
        kInstalled = 'i',  // its stamp: nobody rewrites it with what it held
        kFollowed = 's',   // whether it is there, as what and with which permissions
        kLink = 'l',       // likewise, without following links
    };
    Kind kind = Kind::kFile;
    std::string path;
    Stamp stamp;
    std::string digest;  // of kFile and kDirectory

    bool operator==(const Evidence&) const = default;

    // Whether all is as it was. A stamp that changed for no reason is renewed, once it is old enough to be relied on.
    [[nodiscard]] bool holds(bool& renewed);
};

// kWitness: what the interpreter saw. Its paths are claims, but of a process that could have printed anything.
struct Witness {
    std::int64_t began_ns = 0;  // CLOCK_REALTIME_COARSE, which is the clock of the times of files
    std::string rootdir;
    std::vector<std::string> reasons;  // why its outcome must not be relied on later
    std::vector<std::string> read, written, listed, installed;
    std::vector<std::string> looked_at;  // Evidence::Kind, the mode that was seen, a space, the path

    [[nodiscard]] static Witness parse(const shm::Message& message);
};

// The error says what has changed since the interpreter began.
[[nodiscard]] base::Result<std::vector<Evidence>> gather(const Witness& witness);

}  // namespace tach::supervisor
