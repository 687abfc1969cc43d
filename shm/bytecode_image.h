#pragma once

// The bytecode image: what tach-compiler has compiled for one interpreter, in one file that all its processes map.
//
//     Head       64 bytes: magic, version, what the interpreter says of itself (a hash of it)
//     Slot x 2   64 bytes each: where an index lies, with a sequence number; the higher one of those whose hash is
//     right code       marshalled code objects, without the header of a .pyc file; each starts at a multiple of 64
//     index      IndexHead, entries sorted by key, their texts; a newer one follows the code that it adds
//
// All numbers little-endian. A change is appended: code, then an index, then the slot that is not in use is written
// over. Readers have either slot's image, never a mixture; a writer that dies, or a disk that is full, leaves the one
// before. Once half of the file is dead it is written anew, beside, and renamed. Writers hold a lock on the file
// (flock), readers do not.
//
// A reader maps what is there when it opens the file and sees no later change. The file must not be cut off while it is
// mapped: nobody of tach's does, and find() looks at the length before it touches the mapping, which leaves a moment.
//
// Every code object has a hash of its own that find() checks, so what has been damaged is not executed.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_status.h"
#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tach::shm::bytecode {

constexpr std::uint32_t kVersion = 1;

// The same source may be there as both.
enum class Kind : std::uint8_t {
    kPlain,
    kRewritten
};  // as the interpreter compiles it; by pytest's assertion rewriter

// What says without reading a file that it is still the same. Nothing equals the empty one.
struct Signature {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;

    [[nodiscard]] bool is_empty() const { return mtime_ns == 0 && ctime_ns == 0; }
    // A file of that status, looked at when the clock said `now_ns` (CLOCK_REALTIME), before its contents were read.
    // Empty if a change could still come that the times do not tell, see base::is_settled.
    [[nodiscard]] static Signature of(const base::FileStatus& status, std::int64_t now_ns);
    [[nodiscard]] bool matches(const base::FileStatus& status) const;
};

// XXH3, 128 bits, of a source.
struct Hash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    [[nodiscard]] static Hash of(std::string_view bytes);
    friend bool operator==(const Hash&, const Hash&) = default;
};

// Texts that must be equal for code to be of use, one line each.
struct Keys {
    std::string interpreter;  // of all code
    std::string rewriter;     // of kRewritten
    std::string identity;     // by which a writer knows without asking that an interpreter is the same
};

struct Module {
    Kind kind = Kind::kPlain;
    bool is_package = false;  // its search location is the source's directory
    std::string_view path;    // of the source, absolute
    std::string_view name;    // dotted, as it was asked for; "" if unknown
    Signature signature;
    Hash hash;
    std::string_view code;  // marshalled; "": it cannot be compiled, or warns
};

// One process, any thread once it is open. Texts and code are views into the mapping.
class Image {
  public:
    // Codes: ENOENT: there is none. EPERM: it is another user's, who could have us run anything. EPROTO: no image, of
    // another version, or damaged; `what` says which, after the path. Its descriptor is numbered `lowest_fd` or higher,
    // if that can be had.
    [[nodiscard]] static base::Result<Image> open(const std::string& path, int lowest_fd = 0);

    [[nodiscard]] std::string_view interpreter_key() const { return keys_[0]; }
    [[nodiscard]] std::string_view rewriter_key() const { return keys_[1]; }
    [[nodiscard]] std::string_view identity() const { return keys_[2]; }
    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    // In the order of their keys, code unchecked.
    [[nodiscard]] Module module(std::size_t index) const;
    [[nodiscard]] std::optional<Module> find(Kind kind, std::string_view path) const;
    // Whether the code of a module that find() has given is what was written, and still there.
    [[nodiscard]] bool is_intact(const Module& module) const;
    // False if its descriptor no longer is of the file that was opened: somebody has closed it.
    [[nodiscard]] bool is_there() const;
    [[nodiscard]] int fd() const { return file_.get(); }

  private:
    struct Entry;
    friend class Writer;
    [[nodiscard]] base::Result<void> read();
    [[nodiscard]] bool use_slot(std::size_t number);
    [[nodiscard]] Module module_of(const Entry& entry) const;
    [[nodiscard]] std::span<const Entry>::iterator lower_bound(std::uint64_t key) const;

    base::UniqueFd file_;
    base::Mapping mapping_;
    std::span<const Entry> entries_;
    std::string_view texts_;
    std::array<std::string_view, 3> keys_;
    std::uint64_t inode_ = 0;
};

// What write() has done.
enum class Written : std::uint8_t { kAppended, kAnew };

// The modules of an image to be. Those of `base` may be among them, found by their code: what lies in its mapping is
// not written again if `path` is still the file that it was read from. A null `base`: all is written anew. No two
// modules have the same kind and path. Codes ENOSPC, EROFS, ...: the image is what it was.
[[nodiscard]] base::Result<Written> write(const std::string& path, const Keys& keys, std::span<const Module> modules,
                                          const Image* base);

}  // namespace tach::shm::bytecode
