#include "zygote/private_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

namespace tach::zygote {

using base::Address;
using base::kPageSize;
using base::pointer_to;

namespace {

// A huge page of x86-64, see map_at.
constexpr std::size_t kGrowth = std::size_t{2} << 20;
constexpr std::size_t kSmallestBlock = 64;

constexpr Address round_up(Address value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

bool map_at(Address begin, std::size_t bytes) {
    void* const wanted = pointer_to(begin);
    void* const got = ::mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) return false;
    if (got != wanted) {  // a kernel before 4.17 takes the address for a hint
        ::munmap(got, bytes);
        errno = EEXIST;
        return false;
    }
    // Copying pages back from all over the image misses the TLB for each of them, but not where a huge page has them
    // all.
    ::madvise(got, bytes, MADV_HUGEPAGE);  // EINVAL where the kernel has none
    return ::madvise(got, bytes, MADV_DONTFORK) == 0;
}

std::size_t block_size(std::size_t bytes) {
    return std::bit_ceil(std::max(bytes, kSmallestBlock));
}

}  // namespace

base::Result<PrivateMemory*> PrivateMemory::create() {
    const Address begin = kPrivateHome.begin;
    if (!map_at(begin, kGrowth)) return base::fail(base::errno_error("memory for snapshots"));
    return new (pointer_to(begin)) PrivateMemory(begin + round_up(sizeof(PrivateMemory), kPageSize), begin + kGrowth);
}

void* PrivateMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
    const std::size_t size = block_size(bytes);
    FreeBlock*& list = free_[static_cast<std::size_t>(std::countr_zero(size))];
    if (list != nullptr) {
        FreeBlock* const block = list;
        list = block->next;
        return block;
    }
    // Aligned to their size, so that a block of a page is a page; larger ones to pages.
    if (alignment > kPageSize) throw std::bad_alloc();
    const Address begin = round_up(next_, std::min(size, kPageSize));
    if (begin + size > end_) {
        const std::size_t growth = round_up(begin + size - end_, kGrowth);
        if (end_ + growth > kPrivateHome.end || !map_at(end_, growth)) throw std::bad_alloc();
        end_ += growth;
    }
    next_ = begin + size;
    return pointer_to(begin);
}

void PrivateMemory::do_deallocate(void* pointer, std::size_t bytes, std::size_t) {
    FreeBlock*& list = free_[static_cast<std::size_t>(std::countr_zero(block_size(bytes)))];
    list = new (pointer) FreeBlock{list};
}

}  // namespace tach::zygote
