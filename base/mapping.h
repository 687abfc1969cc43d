#pragma once

// Owners of memory mappings. Mapping is a shared mapping of a descriptor, on top of Boost.Interprocess's
// mapped_region; WipedPage is one private page that a fork leaves zeroed in the child, UnforkedMemory is memory that
// a child does not have. All are movable and unmap exactly once; neither keeps the descriptor. Failures to map come
// back as errors, never as Boost's exceptions.

#include <sys/types.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace tach::base {

enum class Access { kRead, kReadWrite };

class Mapping {
  public:
    Mapping() = default;

    // Maps the first `size` bytes of `fd` shared. The caller has checked that the file is that long and
    // sealed, or a later access may raise SIGBUS.
    [[nodiscard]] static Result<Mapping> of(int fd, std::size_t size, Access access);

    [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(region_.get_address()); }
    [[nodiscard]] std::size_t size() const { return region_.get_size(); }
    [[nodiscard]] std::span<std::byte> bytes() const { return {data(), size()}; }

  private:
    boost::interprocess::mapped_region region_;
};

// A private anonymous page with MADV_WIPEONFORK (Linux 4.14): what its creator writes there, a forked child
// reads as 0.
class WipedPage {
  public:
    [[nodiscard]] static Result<WipedPage> create();
    ~WipedPage();

    WipedPage(WipedPage&& other) noexcept;
    WipedPage& operator=(WipedPage&& other) noexcept;
    WipedPage(const WipedPage&) = delete;
    WipedPage& operator=(const WipedPage&) = delete;

    [[nodiscard]] std::byte* data() const { return address_; }

  private:
    explicit WipedPage(std::byte* address) : address_(address) {}
    std::byte* address_ = nullptr;
};

// Private anonymous memory with MADV_DONTFORK: a forked child does not have it.
class UnforkedMemory {
  public:
    UnforkedMemory() = default;
    [[nodiscard]] static Result<UnforkedMemory> create(std::size_t size);
    ~UnforkedMemory();

    UnforkedMemory(UnforkedMemory&& other) noexcept;
    UnforkedMemory& operator=(UnforkedMemory&& other) noexcept;
    UnforkedMemory(const UnforkedMemory&) = delete;
    UnforkedMemory& operator=(const UnforkedMemory&) = delete;

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    explicit UnforkedMemory(std::span<std::byte> bytes);
    std::span<std::byte> bytes_;
    pid_t owner_ = 0;  // in a child, other memory may be in its place
};

}  // namespace tach::base
