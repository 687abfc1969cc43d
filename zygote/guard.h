#pragma once

// The guard: what of a Python process's state lives in the kernel, beside its memory, and so is not rewound with it.
//
// Runs inside the user's interpreter, driven by the harness: mark() when a state is known to be good, findings() to
// hear what has come since that cannot be copied or rewound (a live layer), save_offsets() and restore_offsets() around
// a forked test, which shares its parent's open files and so moves their offsets. Reads /proc/self; what cannot be read
// is reported as a finding, since unknown state must not be taken for good state. Not thread-safe.

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace tach::zygote {

struct Finding {
    std::string kind;  // "thread", "child", "socket", "pipe", "file", "shared memory", "descriptor", and "regular" for
                       // what a copy may have without harm: read-only files, append-only logs, /dev/null
    std::string detail;
};

struct WritableFile {
    int fd = -1;  // -1: unknown
    dev_t device = 0;
    ino_t inode = 0;
};

class Guard {
  public:
    // The present descriptors and shared mappings are part of the good state.
    void mark();
    // With more than one thread it waits a moment first, see thread_grace.h.
    [[nodiscard]] std::vector<Finding> findings() const;

    // Gives this process its own open file, at the same offset, behind every read-only regular descriptor: a fork
    // shares them with its siblings, which read at the same time.
    static void unshare_read_only_files();

    // Files on disk that are open for writing, the standard streams left out (pytest's capture holds more descriptors
    // of what they were when this process started, see mark_standard_streams). When nobody can look, one that is
    // unknown.
    [[nodiscard]] static std::vector<WritableFile> writable_files();
    static void mark_standard_streams();
    [[nodiscard]] static bool is_standard_stream(const struct stat& status);

    // Offsets of read-only regular files. Writable ones are left alone: a log must go on where the last test ended.
    void save_offsets();
    void restore_offsets() const;

  private:
    struct Open {
        int fd;
        dev_t device;
        ino_t inode;
        int access;  // what decides whether it is harmless: the same file may have been opened anew, for writing
        bool operator<(const Open& other) const {
            return std::tie(fd, device, inode, access) < std::tie(other.fd, other.device, other.inode, other.access);
        }
    };
    static Open open_at(int fd, const struct stat& status);

    struct Offset {
        Open file;
        off_t offset;
    };

    std::set<Open> known_;
    std::set<std::string> shared_;  // address ranges of writable shared mappings
    std::vector<Offset> offsets_;
};

}  // namespace tach::zygote
