#include "base/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <string>
#include <utility>

namespace tach::base {

namespace ipc = boost::interprocess;

namespace {

// What mapped_region asks of a mappable object; it reads the handle during construction only.
struct BorrowedFd {
    int fd;
    [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const {
        return ipc::ipcdetail::mapping_handle_from_file_handle(fd);
    }
};

std::size_t page_size() {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Result<Mapping> Mapping::of(int fd, std::size_t size, Access access) {
    // mapped_region takes size 0 as "the whole file", which for a descriptor would be the peer's choice.
    if (size == 0) return fail(Error{EINVAL, "map descriptor: size is 0"});
    try {
        Mapping mapping;
        mapping.region_ =
            ipc::mapped_region(BorrowedFd{fd}, access == Access::kRead ? ipc::read_only : ipc::read_write, 0, size);
        return mapping;
    } catch (const ipc::interprocess_exception& error) {
        return fail(errno_error("map descriptor " + std::to_string(fd), error.get_native_error()));
    }
}

Result<WipedPage> WipedPage::create() {
    void* address = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return fail(errno_error("map a page"));
    WipedPage page(static_cast<std::byte*>(address));
    if (::madvise(address, page_size(), MADV_WIPEONFORK) != 0) {
        return fail(errno_error("mark a page to be wiped on fork"));
    }
    return page;
}

WipedPage::~WipedPage() {
    if (address_ != nullptr) ::munmap(address_, page_size());
}

WipedPage::WipedPage(WipedPage&& other) noexcept : address_(std::exchange(other.address_, nullptr)) {}

WipedPage& WipedPage::operator=(WipedPage&& other) noexcept {
    // The other one now holds our old page and unmaps it.
    std::swap(address_, other.address_);
    return *this;
}

Result<UnforkedMemory> UnforkedMemory::create(std::size_t size) {
    void* const address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return fail(errno_error("mmap"));
    UnforkedMemory memory({static_cast<std::byte*>(address), size});
    if (::madvise(address, size, MADV_DONTFORK) != 0) return fail(errno_error("madvise MADV_DONTFORK"));
    return memory;
}

UnforkedMemory::UnforkedMemory(std::span<std::byte> bytes) : bytes_(bytes), owner_(::getpid()) {}

UnforkedMemory::~UnforkedMemory() {
    if (!bytes_.empty() && owner_ == ::getpid()) ::munmap(bytes_.data(), bytes_.size());
}

UnforkedMemory::UnforkedMemory(UnforkedMemory&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), owner_(other.owner_) {}

UnforkedMemory& UnforkedMemory::operator=(UnforkedMemory&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(owner_, other.owner_);
    return *this;
}

}  // namespace tach::base
