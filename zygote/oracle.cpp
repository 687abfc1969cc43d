#include "zygote/oracle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <span>

#include "base/memfd.h"
#include "base/pagemap_entries.h"
#include "zygote/descriptors.h"
#include "zygote/private_memory.h"

namespace tach::zygote {
namespace {

using base::AddressRange;
using base::fail;
using base::MappedRange;
using base::Result;

// More of one kind help nobody.
constexpr std::size_t kMostDifferences = 20;
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
// The lines of /proc/PID/status that a rewind answers for, see proc_pid_status(5).
constexpr std::array kStatusLines{"Umask",  "Uid",    "Gid",    "Threads",    "SigBlk",  "SigIgn",
                                  "SigCgt", "ShdPnd", "SigPnd", "NoNewPrivs", "Seccomp", "Cpus_allowed"};

// The kernel may tell one mapping in two parts, or two in one: a part that was written to once stays apart.
bool continues(const MappedRange& before, const MappedRange& map) {
    return before.range.end == map.range.begin && before.protection() == map.protection() &&
           before.shared == map.shared && before.kind == map.kind && before.inode == map.inode &&
           before.device == map.device && (map.inode == 0 || before.offset + before.range.size() == map.offset);
}

// `file` is maps, or smaps where more than that is to be known.
Result<std::pmr::vector<MappedRange>> read_whole_map(pid_t child, const char* file) {
    const base::UniqueFd fd(::open(fmt::format("/proc/{}/{}", child, file).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail(base::errno_error("/proc/PID/maps"));
    std::vector<char> buffer(std::size_t{1} << 16);
    std::pmr::vector<MappedRange> maps;
    if (auto read = base::read_memory_map(fd.get(), buffer, maps); !read) return fail(read.error());
    return maps;
}

Result<std::vector<MappedRange>> read_map(pid_t child) {
    const auto maps = read_whole_map(child, "maps");
    if (!maps) return fail(maps.error());
    std::vector<MappedRange> result;
    for (const MappedRange& map : *maps) {
        if (map.range.begin >= kPrivateHome.begin && map.range.end <= kPrivateHome.end) continue;
        if (map.kind == MappedRange::Kind::kKernel) continue;
        if (!result.empty() && continues(result.back(), map)) {
            result.back().range.end = map.range.end;
        } else {
            result.push_back(map);
        }
    }
    return result;
}

// As many bytes as can be read; what cannot ends it.
std::size_t read_bytes(pid_t child, base::Address begin, std::span<std::byte> bytes) {
    const iovec local{bytes.data(), bytes.size()};
    const iovec remote{base::pointer_to(begin), bytes.size()};
    const ssize_t got = ::process_vm_readv(child, &local, 1, &remote, 1, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::string name_of(pid_t child, base::Address address) {
    std::ifstream maps(fmt::format("/proc/{}/maps", child));
    for (std::string line; std::getline(maps, line);) {
        MappedRange map;
        if (!base::parse_mapping(line, map) || !map.range.contains(address)) continue;
        const std::size_t path = line.find_first_of("/[");
        return path == std::string::npos ? "anonymous memory" : line.substr(path);
    }
    return "unmapped memory";
}

std::vector<std::string> read_kernel_state(pid_t child) {
    std::vector<std::string> state;
    const std::filesystem::path root = fmt::format("/proc/{}", child);
    std::ifstream status(root / "status");
    for (std::string line; std::getline(status, line);) {
        const std::string key = line.substr(0, line.find(':'));
        if (std::find(kStatusLines.begin(), kStatusLines.end(), key) != kStatusLines.end()) state.push_back(line);
    }
    std::ifstream limits(root / "limits");
    for (std::string line; std::getline(limits, line);) state.push_back("limit " + line);
    std::error_code error;
    state.push_back("working directory: " + std::filesystem::read_symlink(root / "cwd", error).string());
    std::map<int, std::string> descriptors;
    for (const auto& entry : std::filesystem::directory_iterator(root / "fd", error)) {
        const int number = std::stoi(entry.path().filename().string());
        if (number >= lowest_own_descriptor()) continue;
        descriptors[number] = std::filesystem::read_symlink(entry.path(), error).string();
    }
    for (const auto& [number, target] : descriptors) state.push_back(fmt::format("descriptor {}: {}", number, target));
    return state;
}

std::string shown(const MappedRange& map) {
    return fmt::format("{:x}-{:x} {}{}{}{}", map.range.begin, map.range.end, map.readable ? 'r' : '-',
                       map.writable ? 'w' : '-', map.executable ? 'x' : '-', map.shared ? 's' : 'p');
}

}  // namespace

Result<Oracle> Oracle::create() {
    auto fd = base::create_sealed_memfd("tach-oracle", base::kPageSize);
    if (!fd) return fail(fd.error());
    auto page = base::Mapping::of(fd->get(), base::kPageSize, base::Access::kReadWrite);
    if (!page) return fail(page.error());
    new (page->data()) OracleNote{};
    return Oracle(*std::move(page));
}

Oracle::Oracle(base::Mapping page) : page_(std::move(page)), buffer_(kBufferBytes) {}

OracleNote& Oracle::note() const {
    return *reinterpret_cast<OracleNote*>(page_.data());  // NOLINT: made there by create()
}

void Oracle::stop_here(OracleNote& note, OracleNote::Event event, std::uint32_t layers) {
    note.event.store(event, std::memory_order_relaxed);
    note.layers.store(layers, std::memory_order_relaxed);
    // The parent waits for the stop, which orders the note before its reading.
    ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGSTOP);
}

void Oracle::resume(pid_t child) {
    ::kill(child, SIGCONT);
}

Result<Oracle::News> Oracle::watch(pid_t child) {
    News news;
    auto event = OracleNote::Event::kNone;
    while (event == OracleNote::Event::kNone) {
        if (::waitpid(child, &news.status, WUNTRACED) != child) {
            if (errno == EINTR) continue;
            return fail(base::errno_error("waitpid"));
        }
        news.ended = !WIFSTOPPED(news.status);
        if (news.ended) return news;
        event = note().event.exchange(OracleNote::Event::kNone, std::memory_order_relaxed);
    }
    const std::size_t now = note().layers.load(std::memory_order_relaxed);
    if (event == OracleNote::Event::kPushed) {
        layers_.resize(now - 1);
        auto image = read(child, true);
        if (!image) return fail(image.error());
        layers_.push_back(*std::move(image));
    } else if (now > 0 && now <= layers_.size()) {
        layers_.resize(now);
        auto differences = compare(child, layers_.back());
        if (!differences) return fail(differences.error());
        news.differences = *std::move(differences);
    }
    return news;
}

// What was there at the first push.
void Oracle::read_pushed(base::Address page, std::span<std::byte> bytes) const {
    std::fill(bytes.begin(), bytes.end(), std::byte{});
    if (layers_.empty()) return;
    for (const Piece& piece : layers_.front().pieces) {
        if (!piece.map.range.contains(page)) continue;
        const std::size_t at = page - piece.map.range.begin;
        if (at + bytes.size() > piece.bytes.size()) return;
        std::memcpy(bytes.data(), piece.bytes.data() + at, bytes.size());
        return;
    }
}

// Like read_bytes, but touches nothing.
std::size_t Oracle::read_present(pid_t child, base::Address begin, std::span<std::byte> bytes) const {
    const base::UniqueFd pagemap(::open(fmt::format("/proc/{}/pagemap", child).c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<std::uint64_t> entries(bytes.size() / base::kPageSize);
    const AddressRange range{begin, begin + bytes.size()};
    for (std::size_t page = 0; page < entries.size();) {
        const auto got = base::read_entries(pagemap.get(), {range.begin + page * base::kPageSize, range.end},
                                            std::span(entries).subspan(page));
        if (!got) return page * base::kPageSize;
        page += *got;
    }
    for (std::size_t page = 0; page < entries.size(); ++page) {
        const std::size_t at = page * base::kPageSize;
        const auto place = bytes.subspan(at, base::kPageSize);
        const auto misses = [&](const AddressRange& missing) { return missing.contains(begin + at); };
        if ((entries[page] & (base::kEntryPresent | base::kEntrySwapped)) == 0 &&
            std::any_of(missing_.begin(), missing_.end(), misses)) {
            read_pushed(begin + at, place);
        } else if (read_bytes(child, begin + at, place) != place.size()) {
            return at;
        }
    }
    return bytes.size();
}

Result<Oracle::Image> Oracle::read(pid_t child, bool with_bytes) {
    auto maps = read_map(child);
    if (!maps) return fail(maps.error());
    missing_.clear();
    if (note().misses_pages.load(std::memory_order_relaxed)) {
        const auto details = read_whole_map(child, "smaps");
        if (!details) return fail(details.error());
        for (const MappedRange& map : *details) {
            if (map.misses_pages) missing_.push_back(map.range);
        }
    }
    Image image;
    for (const MappedRange& map : *maps) {
        Piece& piece = image.pieces.emplace_back(Piece{.map = map});
        if (!with_bytes || !map.is_private() || !map.readable) continue;
        auto memory = base::UnforkedMemory::create(map.range.size());
        if (!memory) return fail(memory.error());
        piece.memory = *std::move(memory);
        const std::span<std::byte> room = piece.memory.bytes();
        piece.bytes = room.first(missing_.empty() ? read_bytes(child, map.range.begin, room)
                                                  : read_present(child, map.range.begin, room));
    }
    image.kernel_state = read_kernel_state(child);
    return image;
}

Result<std::vector<std::string>> Oracle::compare(pid_t child, const Image& golden) {
    auto now = read(child, false);
    if (!now) return fail(now.error());
    std::vector<std::string> differences;
    const auto has = [](const Image& image, const MappedRange& map) {
        return std::any_of(image.pieces.begin(), image.pieces.end(), [&](const Piece& piece) {
            return piece.map.range == map.range && piece.map.protection() == map.protection() &&
                   piece.map.shared == map.shared;
        });
    };
    for (const Piece& piece : golden.pieces) {
        if (!has(*now, piece.map)) differences.push_back("mapping lost: " + shown(piece.map));
    }
    for (const Piece& piece : now->pieces) {
        if (!has(golden, piece.map)) {
            differences.push_back(
                fmt::format("mapping left: {} {}", shown(piece.map), name_of(child, piece.map.range.begin)));
        }
    }
    for (const Piece& piece : golden.pieces) {
        if (differences.size() >= kMostDifferences) break;
        if (!has(*now, piece.map)) continue;
        auto found = compare_bytes(child, piece);
        differences.insert(differences.end(), found.begin(), found.end());
    }
    for (const std::string& line : golden.kernel_state) {
        if (std::find(now->kernel_state.begin(), now->kernel_state.end(), line) == now->kernel_state.end()) {
            differences.push_back("no longer: " + line);
        }
    }
    for (const std::string& line : now->kernel_state) {
        if (std::find(golden.kernel_state.begin(), golden.kernel_state.end(), line) == golden.kernel_state.end()) {
            differences.push_back("now: " + line);
        }
    }
    return differences;
}

std::vector<std::string> Oracle::compare_bytes(pid_t child, const Piece& piece) {
    std::vector<std::string> differences;
    for (std::size_t at = 0; at < piece.bytes.size(); at += buffer_.size()) {
        const std::size_t length = std::min(buffer_.size(), piece.bytes.size() - at);
        const base::Address begin = piece.map.range.begin + at;
        const auto bytes = std::span(buffer_).first(length);
        if ((missing_.empty() ? read_bytes(child, begin, bytes) : read_present(child, begin, bytes)) != length) {
            differences.push_back("memory that can no longer be read: " + shown(piece.map));
            return differences;
        }
        for (std::size_t page = 0; page < length; page += base::kPageSize) {
            if (differences.size() >= kMostDifferences) return differences;
            const std::size_t rest = std::min(base::kPageSize, length - page);
            const std::byte* const golden = piece.bytes.data() + at + page;
            if (std::memcmp(buffer_.data() + page, golden, rest) == 0) continue;
            const auto difference = first_difference(begin + page, std::span(buffer_).subspan(page, rest), golden);
            if (!difference) continue;
            differences.push_back(fmt::format(
                "{:x} in {} (offset {:x}): {:02x} instead of {:02x}", begin + page + *difference,
                name_of(child, begin + page), at + page + *difference,
                static_cast<unsigned>(buffer_[page + *difference]), static_cast<unsigned>(golden[*difference])));
        }
    }
    return differences;
}

// Where they differ first, outside of what the kernel writes.
std::optional<std::size_t> Oracle::first_difference(base::Address begin, std::span<const std::byte> now,
                                                    const std::byte* golden) const {
    const AddressRange exempt{note().exempt_begin.load(std::memory_order_relaxed),
                              note().exempt_end.load(std::memory_order_relaxed)};
    for (std::size_t i = 0; i < now.size(); ++i) {
        if (now[i] != golden[i] && !exempt.contains(begin + i)) return i;
    }
    return std::nullopt;
}

}  // namespace tach::zygote
