#include "zygote/snapshot.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "zygote/fault_server.h"

namespace tach::zygote {

using base::Address;
using base::AddressRange;
using base::kPageSize;
using base::MappedRange;
using base::PageRun;
using base::pointer_to;

namespace {

// A line of /proc/self/maps is at most a path of 4096 bytes long, and more at once is faster. A guess.
constexpr std::size_t kTextBytes = std::size_t{1} << 16;
// Runs of one scan; more are found by scanning on.
constexpr std::size_t kRuns = 8192;
constexpr std::size_t kBlockPages = 512;  // one page table

// The end of what a 47-bit address space has for programs, see Documentation/arch/x86/x86_64/mm.rst.
constexpr Address kUserEnd = 0x7ffffffff000;
constexpr std::array kSpans{AddressRange{0x1000, kPrivateHome.begin}, AddressRange{kPrivateHome.end, kUserEnd}};

// The hot set. A fault costs about twice what copying a page back costs, so a page is worth having there if it is
// written more often than not: three of the last four exact scans. It leaves when it is down to one of four.
constexpr unsigned kWindow = 0xf;
constexpr int kEnter = 3;
constexpr int kLeave = 1;
constexpr std::size_t kMostHot = 8192;  // 32 MiB: beyond that a rewind takes milliseconds anyway
// Exact are the first rewinds of a layer, when nothing is known yet, and then one of so many. A guess: learning costs
// one fault for each hot page, spread over these.
constexpr std::uint32_t kFirstExact = 4;
constexpr std::uint32_t kExactEvery = 32;
// Protecting one range costs about 0.4 us, one pass over everything 12 us and a fault for each hot page.
constexpr std::size_t kMostColdRanges = 256;

constexpr std::uint16_t kHotBit = 0x8000;

constexpr int kGuardRemove = 103;  // MADV_GUARD_REMOVE, Linux 6.13; EINVAL before

// In place of a copy: it must be fetched from the image process; and the same once it was. No copy has these addresses,
// PrivateMemory itself has them. Most pages that are written once are one test's own and never written again: only the
// second time a copy is kept.
std::byte* const kInImage = pointer_to(kPrivateHome.begin);
std::byte* const kFetchedOnce = kInImage + 1;

// Copies of pages that were fetched, hot ones apart. A guess.
constexpr std::size_t kMostFetched = 256;

bool is_copy(const std::byte* source) {
    return source != nullptr && source != kInImage && source != kFetchedOnce;
}

bool is_absent(const PageRun& run) {
    return (run.categories & (base::kPagePresent | base::kPageSwapped)) == 0;
}

// Pages that are written, or absent, or not watched.
constexpr base::ScanQuery changes(std::uint64_t also_reported) {
    return {.inverted = base::kPagePresent | base::kPageWatched,
            .any_of = base::kPageWritten | base::kPagePresent | base::kPageWatched,
            .reported = base::kPageWatched | base::kPageWritten | base::kPagePresent | base::kPageSwapped |
                        base::kPageZero | also_reported};
}

constexpr base::ScanQuery kWithContents{.any_of = base::kPagePresent | base::kPageSwapped,
                                        .reported = base::kPageWatched | base::kPageWritten | base::kPageOfFile |
                                                    base::kPagePresent | base::kPageSwapped | base::kPageZero};

// Without contents of its own: the file's, or zeros.
bool is_plain(const PageRun& run) {
    return is_absent(run) || (run.categories & (base::kPageOfFile | base::kPageZero)) != 0;
}

// Not present and yet protected. Where there is a source the page was swapped out, or dropped; otherwise the kernel has
// put a marker in the place of a page that is still to come (pte_marker of UFFD_FEATURE_WP_UNPOPULATED), the file's or
// zeros.
bool is_untouched(const PageRun& run) {
    return (run.categories & (base::kPageSwapped | base::kPageWritten)) == base::kPageSwapped;
}

// The last page of the page table that `page` is in, or of the run.
Address last_of_block(Address page, const PageRun& run) {
    const Address next = (page / kPageSize / kBlockPages + 1) * kBlockPages * kPageSize;
    return std::min<Address>(next, run.end) - kPageSize;
}

Refusal refuse(const char* why, Address where, int code = 0) {
    return {why, where, code};
}

AddressRange intersection(AddressRange a, AddressRange b) {
    return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

bool is_ours(AddressRange range) {
    return range.begin >= kPrivateHome.begin && range.end <= kPrivateHome.end;
}

Address heap_end_now() {
    return static_cast<Address>(::syscall(SYS_brk, 0));
}

// Whether both are mappings of the same thing, at whatever length.
bool same_origin(const MappedRange& a, const MappedRange& b) {
    if (a.shared != b.shared || a.inode != b.inode || a.device != b.device) return false;
    if ((a.kind == MappedRange::Kind::kKernel) != (b.kind == MappedRange::Kind::kKernel)) return false;
    return a.inode == 0 || a.offset - a.range.begin == b.offset - b.range.begin;
}

MappedRange part_of(const MappedRange& map, AddressRange range) {
    MappedRange part = map;
    part.range = range;
    if (map.inode != 0) part.offset += range.begin - map.range.begin;
    return part;
}

}  // namespace

std::size_t Snapshot::Region::block(Address page) const {
    return page / kPageSize / kBlockPages - map.range.begin / kPageSize / kBlockPages;
}

Snapshot::Region Snapshot::Region::part(AddressRange range) const {
    Region result = *this;
    result.map = part_of(map, range);
    if (sources != nullptr) {
        result.sources += index(range.begin);
        result.histories += index(range.begin);
        result.filled += block(range.begin);
    }
    return result;
}

Snapshot::Snapshot(PrivateMemory& memory, const base::WriteTracker& tracker, Files files)
    : memory_(memory),
      tracker_(tracker),
      files_(files),
      scratch_(memory.take_page()),
      text_(memory.take_array<char>(kTextBytes), kTextBytes),
      runs_(memory.take_array<PageRun>(kRuns), kRuns),
      map_(&memory),
      regions_(&memory),
      layers_(&memory),
      carried_(&memory),
      exempt_(&memory),
      cold_(&memory),
      hot_(&memory),
      fetched_(&memory) {}

void Snapshot::exempt(AddressRange bytes) {
    exempt_.push_back(bytes);
}

// --- reading the map ------------------------------------------------------------------------------------------------

Refusal Snapshot::read_map(int fd) {
    map_.clear();
    if (auto read = base::read_memory_map(fd, text_, map_); !read) {
        return refuse("/proc/self/maps cannot be read", 0, read.error().code);
    }
    std::erase_if(map_, [](const MappedRange& map) { return is_ours(map.range) || map.range.begin >= kUserEnd; });
    return {};
}

// "size resident shared text lib data dt", in pages, see proc_pid_statm(5).
Refusal Snapshot::read_sizes(Sizes& sizes) {
    const ssize_t got = ::pread(files_.statm, text_.data(), text_.size(), 0);
    if (got <= 0) return refuse("/proc/self/statm cannot be read", 0, errno);
    std::array<std::uint64_t, 6> fields{};
    const char* at = text_.data();
    const char* const end = at + got;
    for (std::uint64_t& field : fields) {
        const auto [after, error] = std::from_chars(at, end, field);
        if (error != std::errc{} || after == end) return refuse("/proc/self/statm makes no sense", 0);
        at = after + 1;
    }
    const std::uint64_t ours = memory_.mapped_bytes() / kPageSize;
    sizes = {.total = fields[0] - ours, .data = fields[5] - ours};
    return {};
}

// Whether the map, as last read, is made of the same mappings as the regions, however either is cut into pieces.
bool Snapshot::map_is_same() const {
    std::size_t mapped = 0;
    for (const MappedRange& map : map_) mapped += map.range.size();
    const MappedRange* map = map_.data();
    const MappedRange* const end = map + map_.size();
    for (const Region& region : regions_) {
        mapped -= region.map.range.size();
        for (Address at = region.map.range.begin; at < region.map.range.end; at = map->range.end) {
            while (map != end && map->range.end <= at) ++map;
            if (map == end || map->range.begin > at || !same_origin(region.map, *map) ||
                region.map.protection() != map->protection()) {
                return false;
            }
        }
    }
    return mapped == 0;
}

// --- push -----------------------------------------------------------------------------------------------------------

Refusal Snapshot::push() {
    const std::size_t below = layers_.size();
    // What was written before another process got a copy of it would pass for what it was.
    if (below > 0 && !tracker_.forgets() && missing_ == nullptr && image_->has_rival()) {
        return refuse("another process shares its memory", 0);
    }
    Refusal refusal;
    try {
        layers_.emplace_back(&memory_);
        refusal = capture(layers_.back());
    } catch (const std::bad_alloc&) {
        refusal = refuse("no memory for the image", 0, ENOMEM);
    }
    if (refusal && layers_.size() > below) drop();
    return refusal;
}

Refusal Snapshot::capture(Layer& layer) {
    if (Refusal refusal = read_map(files_.maps)) return refusal;
    if (Refusal refusal = adopt_map(layer)) return refusal;
    if (Refusal refusal = read_flags()) return refusal;
    if (Refusal refusal = settle_missing()) return refusal;
    if (Refusal refusal = take_changes(layer)) return refusal;
    if (Refusal refusal = protect_all()) return refusal;
    carried_.clear();
    cold_.reserve(kMostColdRanges + 1);
    exact_ = true;
    rewinds_ = 0;
    layer.heap_end = heap_end_now();
    if (layers_.size() == 1) bytes_at_first_ = memory_.mapped_bytes();
    return read_sizes(layer.sizes);
}

// Makes regions_ what the map is now. What is new is watched.
Refusal Snapshot::adopt_map(Layer& layer) {
    std::pmr::vector<Region> regions(&memory_);
    regions.reserve(map_.size() + 16);
    bool differ = false;
    for (const MappedRange& map : map_) {
        if (Refusal refusal = add_pieces(map, regions, differ)) return refusal;
    }
    differ = differ || regions.size() != regions_.size();
    if (!differ) return {};
    layer.regions_differ = true;
    layer.regions_below = std::exchange(regions_, std::move(regions));
    return {};
}

// The parts of a mapping that are known keep what is known of them.
Refusal Snapshot::add_pieces(const MappedRange& map, std::pmr::vector<Region>& regions, bool& differ) {
    Address at = map.range.begin;
    for (const Region* known = region_at_or_after(at); at < map.range.end; ++known) {
        const bool last = known == regions_.data() + regions_.size() || known->map.range.begin >= map.range.end;
        const Address known_begin = last ? map.range.end : std::max(at, known->map.range.begin);
        if (at < known_begin) {
            if (Refusal refusal = add_region(part_of(map, {at, known_begin}), regions)) return refusal;
            differ = true;
        }
        if (last) break;
        const AddressRange both{known_begin, std::min(known->map.range.end, map.range.end)};
        if (!same_origin(known->map, map)) {
            if (Refusal refusal = add_region(part_of(map, both), regions)) return refusal;
            differ = true;
        } else {
            Region kept = known->part(both);
            differ = differ || both != known->map.range || kept.map.protection() != map.protection();
            kept.map.readable = map.readable;
            kept.map.writable = map.writable;
            kept.map.executable = map.executable;
            regions.push_back(kept);
        }
        at = both.end;
    }
    return {};
}

Refusal Snapshot::add_region(const MappedRange& map, std::pmr::vector<Region>& regions) {
    Region region{.map = map, .born = layers_.size() - 1};
    if (map.is_private()) {
        const auto watched = tracker_.watch(map.range);
        // MAP_DROPPABLE memory cannot be watched, and must not be rewound: what lies there is meant to be lost.
        if (!watched && watched.error().code != EINVAL) {
            return refuse("a mapping cannot be watched", map.range.begin, watched.error().code);
        }
        region.watched = watched.has_value();
        flags_unknown_ = flags_unknown_ || (!tracker_.forgets() && map.inode == 0);
        // A huge page that was written would have to be copied back whole.
        ::madvise(pointer_to(map.range.begin), map.range.size(), MADV_NOHUGEPAGE);  // EINVAL where the kernel has none
        // It may have been known to a layer that was dropped since, which protected it.
        if (region.watched) {
            if (auto done = tracker_.unprotect(map.range); !done) {
                return refuse("a mapping cannot be watched", map.range.begin, done.error().code);
            }
        }
    }
    if (region.watched) {
        const std::size_t pages = map.range.pages();
        region.sources = memory_.take_array<std::byte*>(pages);
        region.histories = memory_.take_array<History>(pages);
        region.filled = memory_.take_array<std::uint32_t>(region.block(map.range.end - kPageSize) + 1);
    }
    regions.push_back(region);
    return {};
}

// Where watch() cannot tell MAP_DROPPABLE memory. Reading smaps takes milliseconds.
Refusal Snapshot::read_flags() {
    if (!std::exchange(flags_unknown_, false)) return {};
    if (Refusal refusal = read_map(files_.smaps)) return refusal;
    for (const MappedRange& map : map_) {
        if (!map.droppable && map.forked) continue;
        for (Region* region = region_at_or_after(map.range.begin);
             region != regions_.data() + regions_.size() && region->map.range.begin < map.range.end; ++region) {
            region->watched = region->watched && !map.droppable;
            region->in_image = map.forked;
        }
    }
    return {};
}

Refusal Snapshot::take_changes(Layer& layer) {
    Order order = Order::kKept;
    const auto take = [&](Region& region, const PageRun& run) {
        take_run(layer, region, run);
        return Refusal{};
    };
    if (image_ != nullptr && layers_.size() == 1 && missing_ == nullptr) {
        if (Refusal refusal = for_each_run(image_->sharing(), kWithContents, order, take)) return refusal;
        return order == Order::kKept ? Refusal{} : refuse("memory mappings cannot be captured", 0);
    }
    const base::ScanQuery query = changes(base::kPageOfFile);
    if (Refusal refusal = for_each_run(tracker_, query, order, take)) return refusal;
    if (order == Order::kMapChanged) {
        // Something was unmapped since the last push, and mapped again in its place.
        if (Refusal refusal = watch_again()) return refusal;
        order = Order::kKept;
        if (Refusal refusal = for_each_run(tracker_, query, order, take)) return refusal;
        if (order == Order::kMapChanged) return refuse("memory mappings cannot be captured", 0);
    }
    for (const Address page : carried_) {
        // What the scan has found as well has been taken already, and is what it was then.
        Region* const region = region_at_or_after(page);
        const bool known = region != regions_.data() + regions_.size() && region->map.range.contains(page);
        if (!known || !region->watched || !region->map.readable) continue;
        if (is_unchanged(*region, page)) continue;
        take_run(layer, *region, {page, page + kPageSize, base::kPagePresent});
    }
    return {};
}

Refusal Snapshot::watch_again() {
    for (const Region& region : regions_) {
        if (!region.watched) continue;
        if (auto watched = tracker_.watch(region.map.range); !watched) {
            return refuse("a mapping cannot be watched", region.map.range.begin, watched.error().code);
        }
    }
    return {};
}

void Snapshot::take_run(Layer& layer, Region& region, const PageRun& run) {
    if (region.served && is_absent(run)) return;
    const bool plain = is_plain(run);
    const bool as_below = plain || is_untouched(run);  // unless there was something else
    for (Address page = run.begin; page < run.end; page += kPageSize) {
        if (as_below && region.filled[region.block(page)] == 0) {
            page = last_of_block(page, run);
            continue;
        }
        std::byte* const before = region.sources[region.index(page)];
        if (as_below && before == nullptr) continue;
        // Hot pages are told whether they were written or not; where the tracker does not forget, all are hot.
        const bool hot = !tracker_.forgets() || (region.histories[region.index(page)] & kHotBit) != 0;
        const bool swapped = (run.categories & base::kPageSwapped) != 0;  // see copy_out
        if (!plain && hot && !swapped && is_unchanged(region, page)) continue;
        layer.undo.push_back({page, before});
        set_source(region, page, plain ? nullptr : take_source(region, page, run));
    }
}

// Of a page that has contents of its own: a copy, or the mark that it is in the image.
std::byte* Snapshot::take_source(const Region& region, Address page, const PageRun& run) {
    const bool swapped = (run.categories & base::kPageSwapped) != 0;
    const bool shared = missing_ != nullptr ? region.in_image : (run.categories & base::kPageWritten) == 0;
    if (image_ != nullptr && layers_.size() == 1 && shared) return kInImage;
    return copy_out(page, swapped || !region.map.readable);
}

bool Snapshot::is_unchanged(const Region& region, Address page) const {
    const std::byte* const source = region.sources[region.index(page)];
    if (!is_copy(source) || !region.map.readable) return false;
    return std::memcmp(source, pointer_to(page), kPageSize) == 0;
}

// What the page's mark stands for. Only level 0 has marks, and it is never dropped while the process is rewound.
const std::byte* Snapshot::fetch(std::byte*& source, Address page) {
    const bool first = source == kInImage && tracker_.forgets();  // otherwise every push would ask for it again
    std::byte* const place = first ? scratch_ : memory_.take_page();
    if (!image_->fetch(page, place)) {
        if (!first) memory_.give_back_page(place);
        return nullptr;
    }
    source = first ? kFetchedOnce : place;
    if (!first) note_fetched(page, place);
    return place;
}

// Tests that follow each other touch the same pages, then others do: what was fetched long ago and is not hot is given
// back.
void Snapshot::note_fetched(Address page, std::byte* copy) {
    if (!tracker_.forgets()) return;
    const Undo latest{page, copy};
    if (fetched_.size() < kMostFetched) {
        fetched_.push_back(latest);
        return;
    }
    const Undo oldest = std::exchange(fetched_[next_fetched_], latest);
    next_fetched_ = (next_fetched_ + 1) % kMostFetched;
    const Region* const region = region_at_or_after(oldest.page);
    if (region == regions_.data() + regions_.size() || !region->map.range.contains(oldest.page)) return;
    const std::size_t index = region->index(oldest.page);
    if (!region->watched || region->sources[index] != oldest.source || (region->histories[index] & kHotBit) != 0)
        return;
    region->sources[index] = kFetchedOnce;
    memory_.give_back_page(oldest.source);
}

// A swapped page may be one that cannot be read at all (MADV_GUARD_INSTALL, Linux 6.13): the kernel tells both alike.
// What is only protected from reading can be read through /proc/self/mem.
std::byte* Snapshot::copy_out(Address page, bool may_fault) {
    std::byte* const copy = memory_.take_page();
    if (may_fault) {
        if (::pread(files_.memory, copy, kPageSize, static_cast<off_t>(page)) != static_cast<ssize_t>(kPageSize)) {
            memory_.give_back_page(copy);
            return nullptr;
        }
    } else {
        std::memcpy(copy, pointer_to(page), kPageSize);
    }
    return copy;
}

void Snapshot::set_source(Region& region, Address page, std::byte* source) {
    std::byte*& place = region.sources[region.index(page)];
    std::uint32_t& filled = region.filled[region.block(page)];
    filled += static_cast<std::uint32_t>(source != nullptr) - static_cast<std::uint32_t>(place != nullptr);
    place = source;
}

// What is not present is told by every scan anyway; protecting it would fill page tables with markers.
Refusal Snapshot::protect_all() {
    if (!tracker_.forgets()) return {};
    for (const AddressRange span : kSpans) {
        const base::ScanQuery query{.all_of = base::kPageWatched | base::kPageWritten | base::kPagePresent,
                                    .reported = base::kPageWritten,
                                    .protect = true};
        // Without output the kernel would protect what is not present as well (pagemap_scan_pmd_entry's fast path).
        AddressRange rest = span;
        while (!rest.empty()) {
            const auto done = tracker_.scan(rest, query, runs_);
            if (!done) return refuse("memory cannot be protected", rest.begin, done.error().code);
            rest.begin = done->runs < runs_.size() ? rest.end : done->reached;
        }
    }
    return {};
}

// --- missing pages --------------------------------------------------------------------------------------------------

namespace {

void ring(Bell bell, std::size_t layer) {
    ::madvise(pointer_to(bell_page(bell, layer)), kPageSize, MADV_DONTNEED);
}

}  // namespace

Refusal Snapshot::drop_golden() {
    for (Region& region : regions_) {
        const bool may_be = region.watched && region.in_image && region.map.inode == 0;
        region.served = may_be && missing_->serve(region.map.range).has_value();
    }
    ring(Bell::kDropping, 1);
    for (Region& region : regions_) {
        if (!region.served) continue;
        const AddressRange range = region.map.range;
        if (::madvise(pointer_to(range.begin), range.size(), MADV_DONTNEED) == 0) continue;
        if (errno != EINVAL) return refuse("memory cannot be dropped", range.begin, errno);
        region.served = false;  // it is locked, see mlock(2): nothing will ever be missing there
    }
    // What tells /proc/self/cmdline and environ does not wait for pages.
    if (Refusal refusal = touch_arguments()) return refusal;
    // What was written since the image was taken, in memory that cannot be served, must go as well.
    RewindStats stats;
    if (Refusal refusal = restore_all(stats)) return refusal;
    ring(Bell::kRewound, 1);
    return {};
}

Refusal Snapshot::touch_arguments() {
    const ssize_t got = ::pread(files_.stat, text_.data(), text_.size(), 0);
    if (got <= 0) return refuse("/proc/self/stat cannot be read", 0, errno);
    const std::string_view text(text_.data(), static_cast<std::size_t>(got));
    // "pid (name) state ppid ..."; arg_start, arg_end, env_start and env_end are fields 48 to 51, see proc_pid_stat(5).
    std::array<Address, 52> fields{};
    const char* at = text.data() + std::min(text.rfind(')'), text.size() - 3) + 4;
    for (std::size_t field = 4; field < fields.size() && at < text.end(); ++field) {
        at = std::from_chars(at + (*at == '-' ? 1 : 0), text.end(), fields.at(field)).ptr + 1;
    }
    for (Address page = fields[48] / kPageSize * kPageSize; page < fields[51] && fields[48] != 0; page += kPageSize) {
        static_cast<void>(*static_cast<volatile const std::byte*>(pointer_to(page)));
    }
    return {};
}

// Whatever was mapped anew in the place of something served is served as well.
Refusal Snapshot::serve_again() {
    for (const Region& region : regions_) {
        if (!region.served) continue;
        if (auto served = missing_->serve(region.map.range); !served) {
            return refuse("a mapping cannot be served", region.map.range.begin, served.error().code);
        }
    }
    return {};
}

// What is missing must be what the image has: whatever else belongs there is put there, and counts as touched. What is
// younger than the image has been moved there at most.
Refusal Snapshot::settle_missing() {
    if (missing_ == nullptr || layers_.size() == 1) return {};
    if (layers_.size() >= kMostServedLayers) return refuse("too many layers", 0);
    if (Refusal refusal = serve_again()) return refusal;
    ring(Bell::kPushed, layers_.size());
    // It is served only when all that has been done.
    static_cast<void>(*static_cast<volatile const std::byte*>(pointer_to(bell_page(Bell::kPushed, layers_.size()))));
    for (const Region& region : regions_) {
        if (!region.watched || region.served || region.map.inode != 0) continue;
        if (auto ignored = missing_->ignore(region.map.range); !ignored) {
            return refuse("a mapping cannot be left alone", region.map.range.begin, ignored.error().code);
        }
    }
    return {};
}

// --- drop -----------------------------------------------------------------------------------------------------------

void Snapshot::drop() {
    Layer& top = layers_.back();
    // The layer's own regions first: what is only in them has no place below. The last change first: a page may have
    // been taken twice.
    // NOLINTNEXTLINE(modernize-loop-convert): older clangs cannot compile the views of libstdc++
    for (auto change = top.undo.rbegin(); change != top.undo.rend(); ++change) {
        const Undo& undo = *change;
        Region& region = *region_at_or_after(undo.page);
        std::byte* const copy = region.sources[region.index(undo.page)];
        if (is_copy(copy)) {
            memory_.give_back_page(copy);
        }
        set_source(region, undo.page, undo.source);
        carried_.push_back(undo.page);
    }
    if (top.regions_differ) {
        map_in_doubt_ = true;  // a mapping may have been replaced by one that looks alike to a scan
        for (const Region& region : regions_) {
            if (region.born + 1 == layers_.size()) give_back_arrays(region);
        }
        regions_ = std::move(top.regions_below);
        std::erase_if(carried_, [this](Address page) {
            const Region* const region = region_at_or_after(page);
            return region == regions_.data() + regions_.size() || !region->map.range.contains(page) || !region->watched;
        });
    }
    layers_.pop_back();
    exact_ = false;
}

void Snapshot::give_back_arrays(const Region& region) {
    if (region.sources == nullptr) return;
    const std::size_t pages = region.map.range.pages();
    memory_.give_back_array(region.sources, pages);
    memory_.give_back_array(region.histories, pages);
    memory_.give_back_array(region.filled, region.block(region.map.range.end - kPageSize) + 1);
}

// --- scanning -------------------------------------------------------------------------------------------------------

Snapshot::Region* Snapshot::region_at_or_after(Address address) {
    const auto found = std::upper_bound(regions_.begin(), regions_.end(), address,
                                        [](Address a, const Region& region) { return a < region.map.range.end; });
    return regions_.data() + (found - regions_.begin());
}

template <class Visit>
Refusal Snapshot::for_each_run(const base::WriteTracker& tracker, const base::ScanQuery& query, Order& order,
                               const Visit& visit) {
    if (missing_ == nullptr) {
        for (const AddressRange span : kSpans) {
            if (Refusal refusal = for_each_run_in(tracker, span, query, order, visit)) return refusal;
            if (order == Order::kMapChanged) return {};
        }
        return {};
    }
    for (const Region& region : regions_) {
        if (!region.watched) continue;
        if (Refusal refusal = for_each_run_in(tracker, region.map.range, query, order, visit)) return refusal;
    }
    return {};
}

template <class Visit>
Refusal Snapshot::for_each_run_in(const base::WriteTracker& tracker, AddressRange range, const base::ScanQuery& query,
                                  Order& order, const Visit& visit) {
    while (!range.empty()) {
        const auto scanned = tracker.scan(range, query, runs_);
        if (!scanned) return refuse("memory cannot be scanned", range.begin, scanned.error().code);
        if (Refusal refusal = visit_runs(scanned->runs, order, visit)) return refusal;
        if (order == Order::kMapChanged) return {};
        range.begin = scanned->runs < runs_.size() ? range.end : scanned->reached;
    }
    return {};
}

template <class Visit>
Refusal Snapshot::visit_runs(std::size_t count, Order& order, const Visit& visit) {
    if (count == 0) return {};
    Region* region = region_at_or_after(runs_[0].begin);
    Region* const end = regions_.data() + regions_.size();
    for (const PageRun& run : runs_.first(count)) {
        Address at = run.begin;
        while (at < run.end) {
            while (region != end && region->map.range.end <= at) ++region;
            const bool stranger = region == end || region->map.range.begin > at;
            if (stranger || (region->watched && (run.categories & base::kPageWatched) == 0)) {
                order = Order::kMapChanged;
                return {};
            }
            const Address until = std::min<Address>(run.end, region->map.range.end);
            if (region->watched) {
                if (Refusal refusal = visit(*region, PageRun{at, until, run.categories})) return refusal;
            }
            at = until;
        }
    }
    return {};
}

// --- rewind ---------------------------------------------------------------------------------------------------------

Refusal Snapshot::check() {
    if (!tracker_.is_open()) return refuse("it closed descriptors of tach", 0);
    if (image_ != nullptr && !image_->is_alive()) return refuse("the image of its memory is gone", 0);
    if (!tracker_.forgets() && missing_ == nullptr && image_->has_rival()) {
        return refuse("it left a process that shares its memory", 0);
    }
    Sizes sizes;
    if (Refusal refusal = read_sizes(sizes)) return refusal;
    map_changed_ = sizes != layers_.back().sizes || map_in_doubt_;
    if (!map_changed_ && !tracker_.forgets()) {
        if (Refusal refusal = read_map(files_.maps)) return refusal;
        map_changed_ = !map_is_same();
    }
    if (!map_changed_) return {};
    dry_run_ = true;
    const Refusal refusal = repair_map(false);
    dry_run_ = false;
    return refusal;
}

Refusal Snapshot::rewind(RewindStats& stats) try {
    const std::int64_t started = base::monotonic_ns();
    if (exact_) ++exact_scans_;
    cold_.clear();
    if (Refusal refusal = restore_all(stats)) return refusal;
    if (Refusal refusal = restore_carried(stats)) return refusal;
    stats.faults = stats.dirty_pages - (exact_ ? 0 : stats.hot_written);
    stats.hot_pages = static_cast<std::int64_t>(hot_.size());
    if (!exact_ || !tracker_.forgets()) stats.hot_written = -1;  // hot pages count as written anyway
    forget_rarely_written();
    const std::int64_t copied = base::monotonic_ns();
    if (Refusal refusal = protect_again()) return refusal;
    if (missing_ != nullptr) {
        if (Refusal refusal = serve_again()) return refusal;
        ring(Bell::kRewound, layers_.size());
    }
    ++rewinds_;
    stats.layers = static_cast<std::int64_t>(layers_.size());
    stats.protect_ns = base::monotonic_ns() - copied;
    stats.copy_ns = copied - started - stats.scan_ns;
    return {};
} catch (const std::bad_alloc&) {
    return refuse("no memory to rewind with", 0, ENOMEM);
}

Refusal Snapshot::restore_all(RewindStats& stats) {
    Order order = Order::kKept;
    if (map_changed_) {
        if (Refusal refusal = repair_map(map_in_doubt_)) return refusal;
        stats.repairs = 1;
        map_in_doubt_ = false;
    }
    if (Refusal refusal = restore_changes(stats, order)) return refusal;
    if (order == Order::kMapChanged) {
        if (Refusal refusal = repair_map(true)) return refusal;
        stats.repairs = 1;
        order = Order::kKept;
        if (Refusal refusal = restore_changes(stats, order)) return refusal;
    }
    if (stats.repairs == 0) return {};
    Sizes sizes;
    if (Refusal refusal = read_sizes(sizes)) return refusal;
    return order == Order::kKept && sizes == layers_.back().sizes ? Refusal{}
                                                                  : refuse("memory mappings cannot be restored", 0);
}

Refusal Snapshot::restore_changes(RewindStats& stats, Order& order) {
    const std::int64_t started = base::monotonic_ns();
    std::int64_t found = 0;  // when the first scan was through
    const auto restore = [&](Region& region, const PageRun& run) {
        if (found == 0) found = base::monotonic_ns();
        return restore_run(region, run, stats);
    };
    // Telling a file's page makes the kernel look at its descriptor, 0.1 us each *(measured)*: PageSharing does so
    // anyway, otherwise restore_to_file asks for those few that matter.
    const std::uint64_t also = tracker_.forgets() ? 0 : std::uint64_t{base::kPageOfFile};
    if (Refusal refusal = for_each_run(tracker_, changes(also), order, restore)) return refusal;
    if (Refusal refusal = flush_drops()) return refusal;
    stats.scan_ns += (found == 0 ? base::monotonic_ns() : found) - started;
    return {};
}

Refusal Snapshot::restore_run(Region& region, const PageRun& run, RewindStats& stats) {
    const bool plain = is_plain(run);
    const bool as_golden = plain || is_untouched(run);  // unless there is a source
    const bool locked = !region.map.writable;
    bool opened = false;
    // There may be a guard in the place of what was golden: nothing can be written there while it is.
    if ((run.categories & base::kPageSwapped) != 0) ::madvise(pointer_to(run.begin), run.end - run.begin, kGuardRemove);
    const bool served = region.served && is_absent(run);
    for (Address page = run.begin; page < run.end; page += kPageSize) {
        if (as_golden && region.filled[region.block(page)] == 0) {
            page = last_of_block(page, run);
            continue;
        }
        const std::byte* const source = region.sources[region.index(page)];
        if (as_golden && source == nullptr) continue;
        if (served && !is_copy(source)) continue;
        if (source == nullptr && region.map.inode != 0) {
            if (Refusal refusal = restore_to_file(page, stats)) return refusal;
            continue;
        }
        if (source == nullptr && (run.categories & base::kPageSwapped) != 0) {  // see copy_out
            if (Refusal refusal = drop_page(page, stats)) return refusal;
            continue;
        }
        note_written(region, page);
        if (locked && !opened && source != nullptr) {
            opened = true;
            if (::mprotect(pointer_to(run.begin), run.end - run.begin, region.map.protection() | PROT_WRITE) != 0) {
                return refuse("a read-only page cannot be restored", page, errno);
            }
        }
        if (Refusal refusal = restore_page(region, page, stats)) return refusal;
    }
    if (opened && ::mprotect(pointer_to(run.begin), run.end - run.begin, region.map.protection()) != 0) {
        return refuse("a read-only page cannot be protected", run.begin, errno);
    }
    // Zeros that were only read for the first time: the next scans need not tell of them again.
    if (plain && !is_absent(run)) note_cold(run.range());
    return {};
}

// A page that was its file's: if it was only read for the first time, it still is.
Refusal Snapshot::restore_to_file(Address page, RewindStats& stats) {
    const base::ScanQuery query{.all_of = base::kPageOfFile, .reported = base::kPageOfFile};
    PageRun run{};
    const auto scanned = tracker_.scan({page, page + kPageSize}, query, {&run, 1});
    if (!scanned) return refuse("memory cannot be scanned", page, scanned.error().code);
    if (scanned->runs == 0) {
        ++stats.dirty_pages;
        return drop_page(page, stats);
    }
    note_cold({page, page + kPageSize});  // the next scans need not tell of it again
    return {};
}

Refusal Snapshot::restore_carried(RewindStats& stats) {
    for (const Address page : carried_) {
        Region& region = *region_at_or_after(page);
        if (Refusal refusal = restore_run(region, {page, page + kPageSize, base::kPagePresent}, stats)) return refusal;
    }
    carried_.clear();
    return flush_drops();
}

Refusal Snapshot::restore_page(Region& region, Address page, RewindStats& stats) {
    ++stats.dirty_pages;
    const std::size_t index = region.index(page);
    const bool hot = (region.histories[index] & kHotBit) != 0;
    if (hot) ++stats.hot_written;
    const std::byte* source = region.sources[index];
    if (source != nullptr && !is_copy(source)) {
        ++stats.fetched_pages;
        source = fetch(region.sources[index], page);
        if (source == nullptr) return refuse("the image of its memory is gone", page, errno);
    }
    if (source != nullptr) {
        copy_in(page, source);
    } else if ((hot || region.served) && region.map.inode == 0 && region.map.writable) {
        std::memset(pointer_to(page), 0, kPageSize);
    } else {
        return drop_page(page, stats);
    }
    ++stats.copied_pages;
    if (!hot) note_cold({page, page + kPageSize});
    return {};
}

void Snapshot::copy_in(Address page, const std::byte* source) const {
    Address at = page;
    const Address end = page + kPageSize;
    for (const AddressRange bytes : exempt_) {  // in order of address, at most a handful
        if (bytes.end <= at || bytes.begin >= end) continue;
        if (bytes.begin > at) std::memcpy(pointer_to(at), source + (at - page), bytes.begin - at);
        at = std::min(bytes.end, end);
    }
    std::memcpy(pointer_to(at), source + (at - page), end - at);
}

Refusal Snapshot::drop_page(Address page, RewindStats& stats) {
    ++stats.dropped_pages;
    if (drops_.end != page) {
        if (Refusal refusal = flush_drops()) return refusal;
        drops_.begin = page;
    }
    drops_.end = page + kPageSize;
    return {};
}

Refusal Snapshot::flush_drops() {
    const AddressRange range = std::exchange(drops_, {});
    if (range.empty() || ::madvise(pointer_to(range.begin), range.size(), MADV_DONTNEED) == 0) return {};
    // Not EINVAL: what a test has locked (mlock(2)) the guard has unlocked, what was locked before is never absent.
    return refuse("memory cannot be dropped", range.begin, errno);
}

void Snapshot::note_cold(AddressRange range) {
    if (cold_.size() > kMostColdRanges) return;  // everything will be protected
    if (!cold_.empty() && cold_.back().end == range.begin) {
        cold_.back().end = range.end;
    } else {
        cold_.push_back(range);
    }
}

Refusal Snapshot::protect_again() {
    if (!tracker_.forgets()) return {};
    const bool wanted = rewinds_ + 1 < kFirstExact || (rewinds_ + 1) % kExactEvery == 0;
    exact_ = wanted || cold_.size() > kMostColdRanges;
    if (exact_) return protect_all();
    for (const AddressRange range : cold_) {
        if (auto done = tracker_.protect(range); !done) {
            return refuse("memory cannot be protected", range.begin, done.error().code);
        }
    }
    return {};
}

// --- the hot set ----------------------------------------------------------------------------------------------------

void Snapshot::note_written(Region& region, Address page) {
    if (!exact_ || !tracker_.forgets()) return;
    History& history = region.histories[region.index(page)];
    const unsigned now = exact_scans_ & 0x7f;
    const unsigned gap = (now - (history >> 8U)) & 0x7f;
    const unsigned written = gap == 0 ? (history & 0xffU) | 1U : (gap > 7 ? 0 : (history & 0xffU) << gap) | 1U;
    bool hot = (history & kHotBit) != 0;
    if (!hot && std::popcount(written & kWindow) >= kEnter && hot_.size() < kMostHot) {
        hot = true;
        hot_.push_back(page);
    }
    history = static_cast<History>((hot ? kHotBit : 0) | (now << 8U) | (written & 0xffU));
}

// After an exact scan: pages that are no longer written leave.
void Snapshot::forget_rarely_written() {
    if (!exact_) return;
    std::erase_if(hot_, [this](Address page) {
        Region* const region = region_at_or_after(page);
        if (region == regions_.data() + regions_.size() || !region->map.range.contains(page) || !region->watched) {
            return true;
        }
        History& history = region->histories[region->index(page)];
        const unsigned gap = ((exact_scans_ & 0x7f) - (history >> 8U)) & 0x7f;
        const unsigned written = gap > 7 ? 0 : (history & 0xffU) << gap;
        if (std::popcount(written & kWindow) > kLeave) return false;
        history &= static_cast<History>(~kHotBit);
        return true;
    });
}

// --- repairing the map ----------------------------------------------------------------------------------------------

// Brings the mappings back to what they were. Contents follow: what is mapped anew is found absent by the scan.
Refusal Snapshot::repair_map(bool rewatch) {
    if (heap_end_now() != layers_.back().heap_end && !dry_run_) {
        ::syscall(SYS_brk, layers_.back().heap_end);
        rewatch = true;
    }
    if (Refusal refusal = read_map(files_.maps)) return refusal;
    strangers_from_ = 0;
    const MappedRange* map = map_.data();
    for (Region& region : regions_) {
        if (Refusal refusal = repair_region(region, map, rewatch)) return refusal;
    }
    for (; map != map_.data() + map_.size(); ++map) {
        if (Refusal refusal = unmap_strangers({std::max(strangers_from_, map->range.begin), map->range.end})) {
            return refusal;
        }
    }
    return {};
}

// `map` is the first that ends behind the region before; afterwards, the first that ends behind this one.
Refusal Snapshot::repair_region(Region& region, const MappedRange*& map, bool rewatch) {
    const AddressRange wanted = region.map.range;
    Address at = wanted.begin;
    for (; map != map_.data() + map_.size() && map->range.begin < wanted.end; ++map) {
        if (Refusal refusal = unmap_strangers(
                {std::max(strangers_from_, map->range.begin), std::min(wanted.begin, map->range.end)})) {
            return refusal;
        }
        const AddressRange both = intersection(map->range, wanted);
        if (both.empty()) continue;
        if (Refusal refusal = map_again(region, {at, both.begin})) return refusal;
        if (Refusal refusal = restore_attributes(region.part(both), *map, rewatch)) return refusal;
        at = both.end;
        if (map->range.end > wanted.end) break;  // the rest of it is the next region's, or a stranger
    }
    strangers_from_ = wanted.end;
    return map_again(region, {at, wanted.end});
}

Refusal Snapshot::unmap_strangers(AddressRange range) {
    if (range.empty() || dry_run_ || ::munmap(pointer_to(range.begin), range.size()) == 0) return {};
    return refuse("a new mapping cannot be unmapped", range.begin, errno);
}

Refusal Snapshot::map_again(Region& region, AddressRange lost) {
    if (lost.empty()) return {};
    if (!region.watched || region.map.inode != 0) return refuse("a mapping of a file was unmapped", lost.begin);
    if (dry_run_) return {};
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (::mmap(pointer_to(lost.begin), lost.size(), region.map.protection(), flags, -1, 0) == MAP_FAILED) {
        return refuse("a mapping that was unmapped cannot be restored", lost.begin, errno);
    }
    if (auto watched = tracker_.watch(lost); !watched) {
        return refuse("a mapping cannot be watched", lost.begin, watched.error().code);
    }
    return {};
}

// `region` is the part of a region that `map` covers.
Refusal Snapshot::restore_attributes(Region region, const MappedRange& map, bool rewatch) {
    const AddressRange range = region.map.range;
    if (!same_origin(region.map, map)) return map_again(region, range);
    if (dry_run_) return {};
    if (region.map.protection() != map.protection() &&
        ::mprotect(pointer_to(range.begin), range.size(), region.map.protection()) != 0) {
        return refuse("the protection of a mapping cannot be restored", range.begin, errno);
    }
    if (!region.watched || !rewatch) return {};
    if (auto watched = tracker_.watch(range); !watched) {
        return refuse("a mapping cannot be watched", range.begin, watched.error().code);
    }
    return {};
}

}  // namespace tach::zygote
