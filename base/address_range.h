#pragma once

// A half-open range of addresses of the calling process, in bytes. In base/ and zygote/ its ends are page-aligned where
// nothing else is said.

#include <cstddef>
#include <cstdint>

namespace tach::base {

using Address = std::uintptr_t;

// The page size of every machine that the snapshot engine supports (x86-64; aarch64 with 4 KiB pages); checked when an
// engine is probed.
inline constexpr std::size_t kPageSize = 4096;

struct AddressRange {
    Address begin = 0;
    Address end = 0;

    [[nodiscard]] std::size_t size() const { return end - begin; }
    [[nodiscard]] std::size_t pages() const { return size() / kPageSize; }
    [[nodiscard]] bool empty() const { return begin >= end; }
    [[nodiscard]] bool contains(Address address) const { return begin <= address && address < end; }
    friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

[[nodiscard]] inline std::byte* pointer_to(Address address) {
    return reinterpret_cast<std::byte*>(address);  // NOLINT: what an address is for
}

[[nodiscard]] inline Address address_of(const void* pointer) {
    return reinterpret_cast<Address>(pointer);  // NOLINT
}

}  // namespace tach::base
