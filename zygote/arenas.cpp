#include "zygote/arenas.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>

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

// A guess: more than nearly every test needs beyond what its modules have left free, and nothing to speak of in address
// space. Untouched memory costs neither pages nor time.
constexpr std::size_t kReservedBytes = std::size_t{64} << 20;

// Arenas have 1 MiB, or 256 KiB where CPython was built without its radix tree (obmalloc.c, ARENA_SIZE). From 3.11 on
// smaller pieces, for Python's own stack, are asked for in the same way: those are left to the usual allocator.
constexpr std::size_t kSmallestArena = std::size_t{256} << 10;

// Subinterpreters with a GIL of their own (3.12) may ask at the same time.
class Turn {
  public:
    explicit Turn(std::atomic_flag& taken) : taken_(taken) {
        while (taken_.test_and_set(std::memory_order_acquire)) {
        }
    }
    ~Turn() { taken_.clear(std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    std::atomic_flag& taken_;
};

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
        void* const arena = is_arena(size) ? take_kept_or_reserved(size) : nullptr;
        return arena != nullptr ? arena : usual_.alloc(usual_.context, size);
    }

    void* take_kept_or_reserved(std::size_t size) {
        const Turn turn(taken_);
        if (kept_ > 0) return free_.at(--kept_);
        const base::Address arena = (next_ + size - 1) / size * size;
        if (arena + size > end_) return nullptr;
        next_ = arena + size;
        return base::pointer_to(arena);
    }

    void give_back(void* arena, std::size_t size) {
        if (!is_arena(size) || !keep(arena, size)) usual_.free(usual_.context, arena, size);
    }

    bool keep(void* arena, std::size_t size) {
        // It may be locked (mlock(2)) and stay as it is: pymalloc sets up its pools itself, whatever is in them.
        ::madvise(arena, size, MADV_DONTNEED);
        const Turn turn(taken_);
        if (kept_ == free_.size()) return false;
        free_.at(kept_++) = arena;
        return true;
    }

    // All arenas of a CPython are of one size.
    bool is_arena(std::size_t size) {
        std::size_t known = 0;
        return size >= kSmallestArena && (size_.compare_exchange_strong(known, size) || known == size);
    }

    PyObjectArenaAllocator usual_{};
    std::atomic<std::size_t> size_{0};
    std::atomic_flag taken_;
    base::Address next_ = 0;
    base::Address end_ = 0;
    std::array<void*, 256> free_{};  // at either size there is room for all of the range
    std::size_t kept_ = 0;
};

// A rewind restores it like everything else of the process.
Arenas arenas;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

}  // namespace

void arrange_arenas() {
    arenas.install();
}

}  // namespace tach::zygote
