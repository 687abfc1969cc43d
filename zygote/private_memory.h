#pragma once

// Memory of the snapshot engine's own, which no snapshot covers: what is written here survives a rewind. It lies in one
// growing mapping at an address where neither the kernel nor the C library puts anything by itself, so that the rest of
// the address space can be scanned around it. A forked child does not have it (MADV_DONTFORK).
//
// Blocks are powers of two, kept in a list for each size when they are given back; nothing goes back to the kernel.
// Single-threaded. Out of memory: std::bad_alloc.

#include <array>
#include <cstddef>
#include <memory_resource>

#include "base/address_range.h"
#include "base/result.h"

namespace tach::zygote {

// Between fixed low addresses and where x86-64 Linux puts position-independent executables with their heap (from
// 0x550000000000 on). All of it counts as ours.
inline constexpr base::AddressRange kPrivateHome{0x200000000000, 0x300000000000};

class PrivateMemory final : public std::pmr::memory_resource {
  public:
    // Maps the first piece. The object itself lies in it; one for each process. EEXIST: somebody is there already.
    [[nodiscard]] static base::Result<PrivateMemory*> create();

    PrivateMemory(const PrivateMemory&) = delete;
    PrivateMemory& operator=(const PrivateMemory&) = delete;
    ~PrivateMemory() override = default;

    // A page-aligned page, contents unspecified.
    [[nodiscard]] std::byte* take_page() { return static_cast<std::byte*>(allocate(base::kPageSize)); }
    void give_back_page(std::byte* page) { deallocate(page, base::kPageSize); }

    template <class T>
    [[nodiscard]] T* take_array(std::size_t count) {
        return new (allocate(count * sizeof(T), alignof(T))) T[count]{};
    }
    template <class T>
    void give_back_array(T* array, std::size_t count) {
        deallocate(array, count * sizeof(T), alignof(T));
    }

    [[nodiscard]] std::size_t mapped_bytes() const { return end_ - kPrivateHome.begin; }

  private:
    struct FreeBlock {
        FreeBlock* next;
    };

    PrivateMemory(base::Address next, base::Address end) : next_(next), end_(end) {}

    void* do_allocate(std::size_t bytes, std::size_t alignment) override;
    void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override;
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
        return this == &other;
    }

    base::Address next_;
    base::Address end_;
    std::array<FreeBlock*, 64> free_{};  // by the binary logarithm of their size
};

}  // namespace tach::zygote
