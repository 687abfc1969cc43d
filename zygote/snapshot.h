#pragma once

// The memory half of the snapshot engine: layers of pristine memory images of this process, and the way back to them.
//
//   push()    the present contents of all private mappings become the top layer
//   rewind()  memory is again what it was when the top layer was pushed
//   drop()    the top layer is forgotten, memory stays as it is: changes count from the layer below on
//
// Level 0 knows every private page that is not simply a page of its file: what the image process has (see
// image_process.h) is fetched from there when it is needed first, of the rest there are copies. A layer above holds
// copies of just the pages that differ from the layer below. For each page there is one pointer to the copy it is
// restored from (`source`), kept up to date by push() and drop(), so that rewind() looks at one table whatever the
// number of layers. A page without a source is restored by dropping it: the kernel then gives the page of the file, or
// zeros.
//
// What was written a WriteTracker finds. Where it forgets on request, pages that nearly every rewind
// finds written, the *hot set*, are copied back without being protected again: 0.3 us instead of a fault of 0.6 us and
// a copy *(both measured)*.
//
// Mappings are part of memory. That none was lost, replaced, added or reprotected is proved by the scan, which tells
// pages that are not watched, together with the sizes in /proc/self/statm; only if these differ (or always, where the
// tracker cannot tell) the map is read and repaired: new mappings are unmapped, lost ones mapped again and filled.
//
// Where pages are served (MissingPages), what is absent is what it was and comes back by itself, so that only what was
// touched is copied back, at every rewind from then on. Mappings that are younger than the first layer are not served.
//
// Not covered: shared mappings, MAP_DROPPABLE ones, the kernel's own, PrivateMemory, and what was exempted. Everything
// here must run on a stack that is not covered either, with all signals blocked and a single thread; see rewinder.h.
// The object lies in PrivateMemory and calls nothing that allocates elsewhere.

#include <array>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "base/memory_map.h"
#include "base/missing_pages.h"
#include "base/write_tracking.h"
#include "shm/rewind_report.h"
#include "zygote/image_process.h"
#include "zygote/private_memory.h"
#include "zygote/refusal.h"

namespace tach::zygote {

using RewindStats = shm::RewindReport;

class Snapshot {
  public:
    struct Files {  // of /proc/self, open for reading
        int maps;
        int smaps;
        int statm;
        int stat;
        int memory;  // mem
    };

    // All that it is given must outlive it, and lie in `memory`.
    Snapshot(PrivateMemory& memory, const base::WriteTracker& tracker, Files files);

    // For level 0: the copy was made of what is pushed next. Without one, all is copied at once.
    void use_image(const ImageProcess* image) { image_ = image; }

    // The tracker, if it is this one: then somebody else puts missing pages back, see zygote/fault_server.h.
    void use_missing(const base::MissingPages* missing) { missing_ = missing; }
    // After the first push: drops what the image has. From here on the other side must be there.
    [[nodiscard]] Refusal drop_golden();

    // Bytes that the kernel writes whenever it likes, and that a rewind must leave alone.
    void exempt(base::AddressRange bytes);

    [[nodiscard]] Refusal push();
    // Whether rewind() will be able to, as far as can be told without changing anything.
    [[nodiscard]] Refusal check();
    // Only after check(), whose findings it uses. A refusal leaves memory in pieces: the process must end.
    [[nodiscard]] Refusal rewind(RewindStats& stats);
    // Memory that copies have taken since level 0 was pushed, in bytes.
    [[nodiscard]] std::size_t growth() const { return memory_.mapped_bytes() - bytes_at_first_; }
    void drop();

  private:
    // What is known of one page: bits 0 to 7 tell whether it was found written by the last eight exact scans that
    // looked at it, bits 8 to 14 the number of the last of them (modulo 128), bit 15 whether it is in the hot set.
    using History = std::uint16_t;

    // A mapping, or the part of one that is older than the rest. The arrays have one element for each page (each block
    // of 2 MiB for `filled`); a part of a region points into those of the whole.
    struct Region {
        base::MappedRange map;
        bool watched = false;  // restored by a rewind; the others are only known to be there
        bool in_image = true;  // unless a fork does not copy it
        bool served = false;   // what is missing there is put there when it is touched: it counts as unchanged
        std::byte** sources = nullptr;
        History* histories = nullptr;
        std::uint32_t* filled = nullptr;  // how many pages of the block have a source
        std::size_t born = 0;             // the layer that made the arrays

        [[nodiscard]] std::size_t index(base::Address page) const { return (page - map.range.begin) / base::kPageSize; }
        [[nodiscard]] std::size_t block(base::Address page) const;
        [[nodiscard]] Region part(base::AddressRange range) const;
    };

    struct Undo {
        base::Address page;
        std::byte* source;
    };

    struct Sizes {  // in pages, as in /proc/self/statm, without PrivateMemory
        std::uint64_t total = 0;
        std::uint64_t data = 0;
        friend bool operator==(const Sizes&, const Sizes&) = default;
    };

    struct Layer {
        explicit Layer(std::pmr::memory_resource* memory) : undo(memory), regions_below(memory) {}
        Sizes sizes;
        base::Address heap_end = 0;              // brk(2)
        std::pmr::vector<Undo> undo;             // the sources that the layer below had
        std::pmr::vector<Region> regions_below;  // of the layer below, if they were others
        bool regions_differ = false;
    };

    enum class Order { kKept, kMapChanged };

    [[nodiscard]] Refusal capture(Layer& layer);
    [[nodiscard]] Refusal read_map(int fd);
    [[nodiscard]] bool map_is_same() const;
    [[nodiscard]] Refusal read_flags();
    [[nodiscard]] Refusal read_sizes(Sizes& sizes);
    [[nodiscard]] Refusal adopt_map(Layer& layer);
    [[nodiscard]] Refusal add_pieces(const base::MappedRange& map, std::pmr::vector<Region>& regions, bool& differ);
    [[nodiscard]] Refusal add_region(const base::MappedRange& map, std::pmr::vector<Region>& regions);
    [[nodiscard]] Refusal take_changes(Layer& layer);
    [[nodiscard]] Refusal watch_again();
    [[nodiscard]] Refusal touch_arguments();
    [[nodiscard]] Refusal serve_again();
    [[nodiscard]] Refusal settle_missing();
    [[nodiscard]] std::byte* copy_out(base::Address page, bool may_fault);
    void take_run(Layer& layer, Region& region, const base::PageRun& run);
    [[nodiscard]] std::byte* take_source(const Region& region, base::Address page, const base::PageRun& run);
    [[nodiscard]] bool is_unchanged(const Region& region, base::Address page) const;
    [[nodiscard]] const std::byte* fetch(std::byte*& source, base::Address page);
    void note_fetched(base::Address page, std::byte* copy);
    void set_source(Region& region, base::Address page, std::byte* source);
    [[nodiscard]] Refusal protect_all();

    // Calls visit(region, run) for each run of pages of one region that the query matches.
    template <class Visit>
    [[nodiscard]] Refusal for_each_run(const base::WriteTracker& tracker, const base::ScanQuery& query, Order& order,
                                       const Visit& visit);
    template <class Visit>
    [[nodiscard]] Refusal for_each_run_in(const base::WriteTracker& tracker, base::AddressRange range,
                                          const base::ScanQuery& query, Order& order, const Visit& visit);
    template <class Visit>
    [[nodiscard]] Refusal visit_runs(std::size_t count, Order& order, const Visit& visit);

    void give_back_arrays(const Region& region);

    [[nodiscard]] Refusal restore_all(RewindStats& stats);
    [[nodiscard]] Refusal restore_changes(RewindStats& stats, Order& order);
    [[nodiscard]] Refusal restore_run(Region& region, const base::PageRun& run, RewindStats& stats);
    [[nodiscard]] Refusal restore_to_file(base::Address page, RewindStats& stats);
    [[nodiscard]] Refusal restore_carried(RewindStats& stats);
    [[nodiscard]] Refusal restore_page(Region& region, base::Address page, RewindStats& stats);
    void copy_in(base::Address page, const std::byte* source) const;
    [[nodiscard]] Refusal drop_page(base::Address page, RewindStats& stats);
    [[nodiscard]] Refusal flush_drops();
    void note_cold(base::AddressRange range);
    [[nodiscard]] Refusal protect_again();

    void note_written(Region& region, base::Address page);
    void forget_rarely_written();

    // `rewatch`: some mapping was replaced by another in its place.
    [[nodiscard]] Refusal repair_map(bool rewatch);
    [[nodiscard]] Refusal repair_region(Region& region, const base::MappedRange*& map, bool rewatch);
    [[nodiscard]] Refusal unmap_strangers(base::AddressRange range);
    [[nodiscard]] Refusal map_again(Region& region, base::AddressRange lost);
    [[nodiscard]] Refusal restore_attributes(Region region, const base::MappedRange& map, bool rewatch);
    [[nodiscard]] Region* region_at_or_after(base::Address address);

    PrivateMemory& memory_;
    const base::WriteTracker& tracker_;
    Files files_;
    const ImageProcess* image_ = nullptr;
    const base::MissingPages* missing_ = nullptr;
    std::byte* scratch_;                       // a page
    std::span<char> text_;                     // of files in /proc
    std::span<base::PageRun> runs_;            // of scans
    std::pmr::vector<base::MappedRange> map_;  // as last read
    std::pmr::vector<Region> regions_;         // of the top layer, in order of address
    std::pmr::vector<Layer> layers_;
    std::pmr::vector<base::Address> carried_;  // pages that differ from the top layer though a scan need not find them
    std::pmr::vector<base::AddressRange> exempt_;
    std::pmr::vector<base::AddressRange> cold_;  // written and restored, to be protected again
    std::pmr::vector<base::Address> hot_;
    std::pmr::vector<Undo> fetched_;  // a ring of the latest copies from the image
    std::size_t next_fetched_ = 0;
    base::AddressRange drops_;          // pages without a source that wait to be dropped together
    base::Address strangers_from_ = 0;  // repair: the map is in order up to here
    bool dry_run_ = false;              // repair: only look
    std::size_t bytes_at_first_ = 0;    // of PrivateMemory, at the first push
    std::uint32_t exact_scans_ = 0;
    std::uint32_t rewinds_ = 0;   // of the top layer
    bool flags_unknown_ = false;  // of a new region: it may be droppable, or not in the image
    bool map_in_doubt_ = false;   // since a layer was dropped that had other mappings
    bool map_changed_ = false;    // at the last check
    bool exact_ = true;           // everything was protected at the last push or rewind: the next scan tells all
};

}  // namespace tach::zygote
