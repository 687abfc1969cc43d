#pragma once

// A ring in ordinary memory, of a size that tests can fill by hand.

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "shm/ring.h"

namespace tach::tests {

class HeapRing {
  public:
    explicit HeapRing(std::size_t capacity)
        : control_(std::make_unique<shm::RingControl>()),
          words_(std::make_unique<std::uint64_t[]>(capacity / sizeof(std::uint64_t))),
          capacity_(capacity) {}

    [[nodiscard]] shm::RingControl& control() { return *control_; }
    [[nodiscard]] shm::RingMemory memory() {
        return {control_.get(), {reinterpret_cast<std::byte*>(words_.get()), capacity_}};
    }

  private:
    std::unique_ptr<shm::RingControl> control_;
    std::unique_ptr<std::uint64_t[]> words_;  // for the alignment
    std::size_t capacity_;
};

// Copies text into a slot that is as long.
inline void fill(const shm::WritableSlot& slot, std::string_view text) {
    if (!slot.first.empty()) std::memcpy(slot.first.data(), text.data(), slot.first.size());
    if (!slot.second.empty()) {
        std::memcpy(slot.second.data(), text.data() + slot.first.size(), slot.second.size());
    }
}

[[nodiscard]] inline std::string text_of(const shm::Record& record) {
    std::string text(reinterpret_cast<const char*>(record.first.data()), record.first.size());
    if (!record.second.empty()) {
        text.append(reinterpret_cast<const char*>(record.second.data()), record.second.size());
    }
    return text;
}

}  // namespace tach::tests
