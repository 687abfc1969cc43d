#include "analyzer/parse_memory.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace tach::analyzer {
namespace {

constexpr std::size_t kUnit = alignof(std::max_align_t);
constexpr std::size_t kSizes = 65;  // of small pieces, in units: up to a kilobyte, which nearly all are
constexpr std::size_t kChunk = std::size_t{1} << 20;

// Before each piece.
struct alignas(kUnit) Head {
    std::size_t units;  // 0: a large piece, of malloc
};
struct Free {
    Free* next;
};
static_assert(sizeof(Head) == kUnit);

struct Memory {
    std::array<Free*, kSizes> free{};  // by units
    std::vector<char*> chunks;
    std::size_t begun = 0;  // chunks
    char* at = nullptr;     // of what is left of the latest chunk
    std::size_t left = 0;
};
Memory g_memory;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): tree-sitter's functions have no context

Head* head_of(void* piece) {
    return static_cast<Head*>(piece) - 1;
}

void* with_head(void* memory, std::size_t units) {
    if (memory == nullptr) std::abort();  // as tree-sitter does
    auto* const head = static_cast<Head*>(memory);
    head->units = units;
    return head + 1;
}

void* cut(std::size_t units) {
    const std::size_t size = (units + 1) * kUnit;
    if (g_memory.left < size) {
        if (g_memory.begun == g_memory.chunks.size()) {
            g_memory.chunks.push_back(static_cast<char*>(std::malloc(kChunk)));  // NOLINT(cppcoreguidelines-no-malloc)
        }
        g_memory.at = g_memory.chunks[g_memory.begun++];
        g_memory.left = kChunk;
    }
    char* const begin = g_memory.at;
    g_memory.at += size;
    g_memory.left -= size;
    return with_head(begin, units);
}

void* allocate(std::size_t size) {
    const std::size_t units = std::max<std::size_t>((size + kUnit - 1) / kUnit, 1);
    if (units >= kSizes) return with_head(std::malloc(size + kUnit), 0);  // NOLINT(cppcoreguidelines-no-malloc)
    Free*& first = g_memory.free[units];
    if (first == nullptr) return cut(units);
    Free* const piece = first;
    first = piece->next;
    return piece;
}

void* allocate_zeros(std::size_t count, std::size_t size) {
    void* const piece = allocate(count * size);
    std::memset(piece, 0, count * size);
    return piece;
}

void release(void* piece) {
    if (piece == nullptr) return;
    const std::size_t units = head_of(piece)->units;
    if (units == 0) return std::free(head_of(piece));  // NOLINT(cppcoreguidelines-no-malloc)
    auto* const free = static_cast<Free*>(piece);
    free->next = g_memory.free[units];
    g_memory.free[units] = free;
}

void* resize(void* piece, std::size_t size) {
    if (piece == nullptr) return allocate(size);
    const std::size_t units = head_of(piece)->units;
    if (units == 0 && size >= kSizes * kUnit) {
        return with_head(std::realloc(head_of(piece), size + kUnit), 0);  // NOLINT(cppcoreguidelines-no-malloc)
    }
    if (units != 0 && size <= units * kUnit) return piece;
    void* const larger = allocate(size);
    // A large piece that becomes a small one has more than `size`.
    std::memcpy(larger, piece, units == 0 ? size : units * kUnit);
    release(piece);
    return larger;
}

}  // namespace

void use_parse_memory() {
    ts_set_allocator(allocate, allocate_zeros, resize, release);
}

void reuse_parse_memory() {
    g_memory.free.fill(nullptr);
    g_memory.begun = 0;
    g_memory.left = 0;
}

}  // namespace tach::analyzer
