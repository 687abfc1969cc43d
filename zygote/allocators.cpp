#include "zygote/allocators.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <malloc.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdlib>

#include "base/address_range.h"

// Include/cpython/objimpl.h, the same in CPython 3.4 to 3.14; not part of the limited interface, but exported.
extern "C" {
struct PyObjectArenaAllocator {
    void* context;
    void* (*alloc)(void* context, size_t size);
    void (*free)(void* context, void* arena, size_t size);
};
// NOLINTBEGIN(readability-identifier-naming): CPython's names
void PyObject_GetArenaAllocator(PyObjectArenaAllocator* allocator);
void PyObject_SetArenaAllocator(PyObjectArenaAllocator* allocator);
// NOLINTEND(readability-identifier-naming)
}

namespace tach::zygote {
namespace {

// Both are guesses: more than nearly every test needs beyond what its modules have left free, and nothing to speak of
// in address space. Untouched memory costs neither pages nor time.
constexpr std::size_t kReservedBytes = std::size_t{64} << 20;
constexpr std::size_t kHeapAhead = std::size_t{16} << 20;
// Beyond that, fresh zeros of the kernel are cheaper than clearing and dropping what the heap has.
constexpr int kMapThreshold = 4 << 20;

// Arenas of 1 MiB, or of 256 KiB where CPython was built without its radix tree (obmalloc.c, ARENA_SIZE).
class Arenas {
  public:
    void install() {
        if (end_ != 0) return;
        PyObject_GetArenaAllocator(&usual_);
        void* const place =
            ::mmap(nullptr, kReservedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) return;
        next_ = base::address_of(place);
        end_ = next_ + kReservedBytes;
        PyObjectArenaAllocator ours{this, alloc, free};
        PyObject_SetArenaAllocator(&ours);
    }

  private:
    static void* alloc(void* self, size_t size) { return static_cast<Arenas*>(self)->take(size); }
    static void free(void* self, void* arena, size_t size) { static_cast<Arenas*>(self)->give_back(arena, size); }

    void* take(std::size_t size) {
        if (!is_usual(size)) return usual_.alloc(usual_.context, size);
        if (kept_ > 0) return free_.at(--kept_);
        const base::Address arena = (next_ + size - 1) / size * size;
        if (arena + size > end_) return usual_.alloc(usual_.context, size);
        next_ = arena + size;
        return base::pointer_to(arena);
    }

    // Contents are unspecified, for fresh arenas as well as for used ones: pymalloc sets up its pools itself.
    void give_back(void* arena, std::size_t size) {
        if (is_usual(size) && kept_ < free_.size()) {
            free_.at(kept_++) = arena;
        } else {
            usual_.free(usual_.context, arena, size);
        }
    }

    // An interpreter's arenas are all of one size.
    bool is_usual(std::size_t size) {
        if (size_ == 0) size_ = size;
        return size == size_;
    }

    PyObjectArenaAllocator usual_{};
    std::size_t size_ = 0;
    base::Address next_ = 0;
    base::Address end_ = 0;
    std::array<void*, 256> free_{};  // room for all of the range, in either size
    std::size_t kept_ = 0;
};

// A rewind restores it like everything else of the process.
Arenas arenas;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void arrange_heap() {
    // Each of these ends glibc's own adapting of the thresholds (mallopt(3)).
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_TRIM_THRESHOLD, -1);
    ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(2 * kHeapAhead));
    void* volatile ahead =
        std::malloc(kHeapAhead);  // NOLINT(cppcoreguidelines-no-malloc): it is what is being arranged
    std::free(ahead);             // NOLINT(cppcoreguidelines-no-malloc); volatile, or the compiler leaves out both
    ::mallopt(M_MMAP_THRESHOLD, kMapThreshold);
}

}  // namespace

void arrange_allocators() {
    arenas.install();
    arrange_heap();
}

}  // namespace tach::zygote
