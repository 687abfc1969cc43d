#include "shm/bytecode_image.h"

// The one function that is used is small, and _tach must not need a shared library.
#define XXH_INLINE_ALL
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/whole_file.h"

namespace tach::shm::bytecode {

using base::errno_error;
using base::fail;
using base::Result;

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::size_t kAlignment = 64;  // a cache line
constexpr std::array<char, 16> kMagic{'t', 'a', 'c', 'h', ' ', 'b', 'y', 't', 'e', 'c', 'o', 'd', 'e', '\n', 0, 0};

// Dead bytes that are not worth writing an image anew. A guess.
constexpr std::uint64_t kSmallBytes = 1 << 20;

struct Head {
    std::array<char, 16> magic;
    std::uint32_t version;
    std::array<std::uint32_t, 11> reserved;
};
static_assert(sizeof(Head) == 64);

struct Slot {
    std::uint64_t sequence;
    std::uint64_t index_offset;
    std::uint64_t index_size;
    std::uint64_t index_hash;  // XXH3, 64 bits
    std::array<std::uint64_t, 3> reserved;
    std::uint64_t hash;  // of the members above
};
static_assert(sizeof(Slot) == 64);

constexpr std::size_t kSlots = 2;
constexpr std::size_t kCodeOffset = sizeof(Head) + kSlots * sizeof(Slot);
static_assert(kCodeOffset % kAlignment == 0);

struct IndexHead {
    std::uint64_t count;
    std::uint64_t texts_size;
    std::array<std::uint32_t, 3> key_sizes;
    std::uint32_t reserved;
};
static_assert(sizeof(IndexHead) == 32);

constexpr std::uint32_t kRewrittenFlag = 1;
constexpr std::uint32_t kPackageFlag = 2;

std::uint64_t hash_of(std::string_view bytes) {
    return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t hash_of(const Slot& slot) {
    return XXH3_64bits(&slot, offsetof(Slot, hash));
}

std::uint64_t key_of(Kind kind, std::string_view path) {
    return XXH3_64bits_withSeed(path.data(), path.size(), static_cast<std::uint64_t>(kind));
}

std::uint64_t aligned(std::uint64_t size) {
    return (size + kAlignment - 1) / kAlignment * kAlignment;
}

template <class Struct>
std::string_view bytes_of(const Struct& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};  // NOLINT
}

std::uint64_t size_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool write_at(int fd, std::string_view bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    return true;
}

}  // namespace

struct Image::Entry {
    std::uint64_t key;
    std::uint32_t path_offset;  // into the texts
    std::uint32_t path_size;
    std::uint32_t name_offset;
    std::uint32_t name_size;
    std::uint64_t code_offset;  // into the file
    std::uint64_t code_size;
    std::uint64_t code_hash;  // XXH3, 64 bits
    Signature signature;
    Hash hash;
    std::uint32_t flags;
    std::uint32_t reserved;

    [[nodiscard]] Kind kind() const { return (flags & kRewrittenFlag) != 0 ? Kind::kRewritten : Kind::kPlain; }
};

Signature Signature::of(const base::FileStatus& status, std::int64_t now_ns) {
    if (!base::is_settled(status, now_ns)) return {};
    return {.size = static_cast<std::uint64_t>(status.size),
            .mtime_ns = status.mtime_ns,
            .ctime_ns = status.ctime_ns,
            .inode = status.inode};
}

bool Signature::matches(const base::FileStatus& status) const {
    return !is_empty() && status.kind == base::FileKind::kFile && static_cast<std::uint64_t>(status.size) == size &&
           status.mtime_ns == mtime_ns && status.ctime_ns == ctime_ns && status.inode == inode;
}

Hash Hash::of(std::string_view bytes) {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    return {hash.low64, hash.high64};
}

// --- reading --------------------------------------------------------------------------------------------------------

Result<Image> Image::open(const std::string& path, int lowest_fd) {
    Image image;
    image.file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
    struct stat status {};
    if (!image.file_.valid() || ::fstat(image.file_.get(), &status) != 0) return fail(errno_error(path));
    if (!S_ISREG(status.st_mode)) return fail(base::protocol_error(path + ": not a regular file"));
    if (status.st_uid != ::geteuid()) return fail({EPERM, path + ": it is another user's"});
    // Who may write it could have us run anything.
    if ((status.st_mode & S_IWOTH) != 0) return fail({EPERM, path + ": everybody may write it"});
    image.inode_ = status.st_ino;
    if (lowest_fd > 0) {
        if (auto moved = image.file_.duplicate(lowest_fd)) image.file_ = *std::move(moved);
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size < kCodeOffset) return fail(base::protocol_error(path + ": cut off"));
    auto mapping = base::Mapping::of(image.file_.get(), size, base::Access::kRead);
    if (!mapping) return fail({mapping.error().code, path + ": " + mapping.error().what});
    image.mapping_ = *std::move(mapping);
    if (auto read = image.read(); !read) return fail({read.error().code, path + ": " + read.error().what});
    return image;
}

Result<void> Image::read() {
    Head head{};
    std::memcpy(&head, mapping_.data(), sizeof head);
    if (head.magic != kMagic) return fail(base::protocol_error("not a bytecode image"));
    if (head.version != kVersion) return fail(base::protocol_error("a bytecode image of another version"));
    std::array<Slot, kSlots> slots{};
    std::memcpy(slots.data(), mapping_.data() + sizeof head, sizeof slots);
    const std::size_t newer = slots[1].sequence > slots[0].sequence ? 1 : 0;
    if (use_slot(newer) || use_slot(1 - newer)) return {};
    return fail(base::protocol_error("damaged"));
}

bool Image::use_slot(std::size_t number) {
    Slot slot{};
    std::memcpy(&slot, mapping_.data() + sizeof(Head) + number * sizeof slot, sizeof slot);
    if (slot.sequence == 0 || slot.hash != hash_of(slot)) return false;
    if (slot.index_offset % kAlignment != 0 || slot.index_offset > mapping_.size() ||
        slot.index_size > mapping_.size() - slot.index_offset || slot.index_size < sizeof(IndexHead)) {
        return false;
    }
    const auto* const start = reinterpret_cast<const char*>(mapping_.data() + slot.index_offset);  // NOLINT
    const std::string_view index(start, slot.index_size);
    if (hash_of(index) != slot.index_hash) return false;
    IndexHead head{};
    std::memcpy(&head, start, sizeof head);
    const std::uint64_t room = index.size() - sizeof head;
    if (head.count > room / sizeof(Entry) || room - head.count * sizeof(Entry) != head.texts_size) return false;
    const auto* const entries = reinterpret_cast<const Entry*>(start + sizeof head);  // NOLINT
    texts_ = index.substr(index.size() - head.texts_size);
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (head.key_sizes[i] > texts_.size() - at) return false;
        keys_[i] = texts_.substr(at, head.key_sizes[i]);
        at += head.key_sizes[i];
    }
    const std::span<const Entry> all(entries, head.count);
    const bool is_sound = std::all_of(all.begin(), all.end(), [&](const Entry& entry) {
        return entry.path_offset <= texts_.size() && entry.path_size <= texts_.size() - entry.path_offset &&
               entry.name_offset <= texts_.size() && entry.name_size <= texts_.size() - entry.name_offset &&
               entry.code_offset <= mapping_.size() && entry.code_size <= mapping_.size() - entry.code_offset;
    });
    if (!is_sound) return false;
    entries_ = all;
    return true;
}

Module Image::module_of(const Entry& entry) const {
    const auto* const start = reinterpret_cast<const char*>(mapping_.data());  // NOLINT
    return {.kind = entry.kind(),
            .is_package = (entry.flags & kPackageFlag) != 0,
            .path = texts_.substr(entry.path_offset, entry.path_size),
            .name = texts_.substr(entry.name_offset, entry.name_size),
            .signature = entry.signature,
            .hash = entry.hash,
            .code = {start + entry.code_offset, static_cast<std::size_t>(entry.code_size)}};
}

Module Image::module(std::size_t index) const {
    return module_of(entries_[index]);
}

// The first entry whose key is not below this one.
std::span<const Image::Entry>::iterator Image::lower_bound(std::uint64_t key) const {
    return std::lower_bound(entries_.begin(), entries_.end(), key,
                            [](const Entry& one, std::uint64_t wanted) { return one.key < wanted; });
}

std::optional<Module> Image::find(Kind kind, std::string_view path) const {
    const std::uint64_t key = key_of(kind, path);
    for (auto entry = lower_bound(key); entry != entries_.end() && entry->key == key; ++entry) {
        const bool is_same = entry->kind() == kind && texts_.substr(entry->path_offset, entry->path_size) == path;
        if (is_same) return module_of(*entry);
    }
    return std::nullopt;
}

bool Image::is_there() const {
    struct stat status {};
    return ::fstat(file_.get(), &status) == 0 && status.st_ino == inode_;
}

bool Image::is_intact(const Module& module) const {
    if (size_of(file_.get()) < mapping_.size()) return false;
    const std::uint64_t key = key_of(module.kind, module.path);
    const auto entry = lower_bound(key);
    return entry != entries_.end() && entry->key == key && hash_of(module.code) == entry->code_hash;
}

// --- writing --------------------------------------------------------------------------------------------------------

// Lays out the parts of an image: code first, from an offset on, then the index.
class Writer {
  public:
    // `base`: of which modules may be, or null. `stays`: its code stays where it is. `end`: where the file ends.
    Writer(const Image* base, bool stays, std::uint64_t end)
        : base_(base), stays_(stays), end_(aligned(end)), index_offset_(end_) {}

    void add(const Module& module) {
        Image::Entry entry{};
        entry.key = key_of(module.kind, module.path);
        entry.signature = module.signature;
        entry.hash = module.hash;
        entry.flags = (module.kind == Kind::kRewritten ? kRewrittenFlag : 0) | (module.is_package ? kPackageFlag : 0);
        entry.code_size = module.code.size();
        entry.code_hash = code_hash_of(module, entry.key);
        entry.code_offset = place(module.code);
        entry.path_size = static_cast<std::uint32_t>(module.path.size());
        entry.name_size = static_cast<std::uint32_t>(module.name.size());
        live_bytes_ += aligned(module.code.size());
        entries_.push_back(entry);
        modules_.push_back(&module);
    }

    // The code that is not in `base`, each piece with where it goes.
    [[nodiscard]] const std::vector<std::pair<std::uint64_t, std::string_view>>& code() const { return code_; }
    [[nodiscard]] std::uint64_t index_offset() const { return index_offset_; }
    [[nodiscard]] bool is_mostly_dead(std::uint64_t index_size) const {
        const std::uint64_t end = index_offset_ + index_size;
        const std::uint64_t dead = end - kCodeOffset - index_size - live_bytes_;
        return dead > kSmallBytes && dead > end / 2;
    }

    [[nodiscard]] std::string index(const Keys& keys) {
        std::string texts = keys.interpreter + keys.rewriter + keys.identity;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            entries_[i].path_offset = static_cast<std::uint32_t>(texts.size());
            texts += modules_[i]->path;
            entries_[i].name_offset = static_cast<std::uint32_t>(texts.size());
            texts += modules_[i]->name;
        }
        std::sort(entries_.begin(), entries_.end(),
                  [](const Image::Entry& a, const Image::Entry& b) { return a.key < b.key; });
        const IndexHead head{.count = entries_.size(),
                             .texts_size = texts.size(),
                             .key_sizes = {static_cast<std::uint32_t>(keys.interpreter.size()),
                                           static_cast<std::uint32_t>(keys.rewriter.size()),
                                           static_cast<std::uint32_t>(keys.identity.size())},
                             .reserved = 0};
        std::string bytes(bytes_of(head));
        bytes.append(reinterpret_cast<const char*>(entries_.data()), entries_.size() * sizeof(Image::Entry));  // NOLINT
        bytes += texts;
        return bytes;
    }

    [[nodiscard]] Slot slot(std::uint64_t sequence, std::string_view index) const {
        Slot slot{.sequence = sequence,
                  .index_offset = index_offset_,
                  .index_size = index.size(),
                  .index_hash = hash_of(index),
                  .reserved = {},
                  .hash = 0};
        slot.hash = hash_of(slot);
        return slot;
    }

  private:
    // Where in the file of `base` the code is.
    [[nodiscard]] std::optional<std::uint64_t> offset_in_base(std::string_view code) const {
        if (base_ == nullptr) return std::nullopt;
        const auto* const start = reinterpret_cast<const char*>(base_->mapping_.data());  // NOLINT
        const bool is_there =
            std::less_equal<>()(start, code.data()) && std::less<>()(code.data(), start + base_->mapping_.size());
        if (!is_there) return std::nullopt;
        return static_cast<std::uint64_t>(code.data() - start);
    }

    // Of code in `base` the one that was written down with it: to read all code again would take long, and make what
    // has been damaged meanwhile look right.
    [[nodiscard]] std::uint64_t code_hash_of(const Module& module, std::uint64_t key) const {
        if (const auto offset = offset_in_base(module.code)) {
            const auto entry = base_->lower_bound(key);
            const bool is_same = entry != base_->entries_.end() && entry->key == key && entry->code_offset == *offset &&
                                 entry->code_size == module.code.size();
            if (is_same) return entry->code_hash;
        }
        return hash_of(module.code);
    }

    std::uint64_t place(std::string_view code) {
        if (const auto there = offset_in_base(code); there && stays_) return *there;
        const std::uint64_t offset = index_offset_;
        code_.emplace_back(offset, code);
        index_offset_ += aligned(code.size());
        return offset;
    }

    const Image* base_;
    bool stays_;
    std::uint64_t end_;
    std::uint64_t index_offset_;
    std::uint64_t live_bytes_ = 0;
    std::vector<Image::Entry> entries_;
    std::vector<const Module*> modules_;
    std::vector<std::pair<std::uint64_t, std::string_view>> code_;
};

namespace {

Result<Written> write_anew(const std::string& path, const Keys& keys, std::span<const Module> modules,
                           const Image* base) {
    Writer writer(base, false, kCodeOffset);
    for (const Module& module : modules) writer.add(module);
    const std::string index = writer.index(keys);
    const Head head{.magic = kMagic, .version = kVersion, .reserved = {}};
    std::string bytes(bytes_of(head));
    bytes.reserve(writer.index_offset());
    bytes += bytes_of(writer.slot(1, index));
    for (const auto& [offset, code] : writer.code()) {
        bytes.resize(offset, '\0');
        bytes += code;
    }
    bytes.resize(writer.index_offset(), '\0');
    if (auto replaced = base::replace_file(path, {bytes, index}); !replaced) return fail(replaced.error());
    return Written::kAnew;
}

// The sequence number of the file's newest slot, and which one is the other; 0 if there is none.
std::pair<std::uint64_t, std::size_t> newest_slot(int fd) {
    std::array<Slot, kSlots> slots{};
    if (::pread(fd, slots.data(), sizeof slots, sizeof(Head)) != static_cast<ssize_t>(sizeof slots)) return {};
    std::uint64_t sequence = 0;
    std::size_t other = 0;
    for (std::size_t i = 0; i < kSlots; ++i) {
        if (slots[i].hash != hash_of(slots[i]) || slots[i].sequence <= sequence) continue;
        sequence = slots[i].sequence;
        other = 1 - i;
    }
    return {sequence, other};
}

bool is_same_file(int a, int b) {
    struct stat one {};
    struct stat other {};
    return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

// False: it has to be written anew.
Result<bool> append(const std::string& path, const Keys& keys, std::span<const Module> modules, const Image& base) {
    const base::UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file.valid() || !is_same_file(file.get(), base.fd())) return false;
    if (::flock(file.get(), LOCK_EX) != 0) return fail(errno_error("lock " + path));
    const std::uint64_t end = size_of(file.get());
    const auto [sequence, other] = newest_slot(file.get());
    if (sequence == 0 || end < kCodeOffset) return false;
    Writer writer(&base, true, end);
    for (const Module& module : modules) writer.add(module);
    const std::string index = writer.index(keys);
    if (writer.is_mostly_dead(index.size())) return false;
    bool written = true;
    for (const auto& [offset, code] : writer.code()) written = written && write_at(file.get(), code, offset);
    written = written && write_at(file.get(), index, writer.index_offset());
    const Slot slot = writer.slot(sequence + 1, index);
    written = written && write_at(file.get(), bytes_of(slot), sizeof(Head) + other * sizeof slot);
    if (written) return true;
    const base::Error reason = errno_error("write " + path);
    static_cast<void>(::ftruncate(file.get(), static_cast<off_t>(end)));  // no index names what is cut off
    return fail(reason);
}

}  // namespace

Result<Written> write(const std::string& path, const Keys& keys, std::span<const Module> modules, const Image* base) {
    if (base != nullptr) {
        auto appended = append(path, keys, modules, *base);
        if (!appended) return fail(appended.error());
        if (*appended) return Written::kAppended;
    }
    return write_anew(path, keys, modules, base);
}

}  // namespace tach::shm::bytecode
