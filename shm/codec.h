#pragma once

// Messages as bytes: cutting an outgoing one into chunks that fit the ring's records, and putting incoming
// chunks together again. The assembler treats every byte as hostile; its memory is bounded by what has
// arrived, not by what a head promises, and never passes kMaxMessageBytes.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shm/message.h"
#include "shm/ring.h"

namespace tach::shm {

// Tags of records.
inline constexpr std::uint32_t kFirstChunk = 1U << 0;
inline constexpr std::uint32_t kLastChunk = 1U << 1;

// The largest chunk: small enough that both sides of a big message work at the same time, large enough that
// chunks cost nothing. A guess.
inline constexpr std::uint32_t kMaxChunk = 65536;

// A message on its way out; borrows the strings. The bytes are taken from the front, once.
class Outgoing {
  public:
    // Fills in version, strings and bytes of the head. An error if the message is beyond the bounds of
    // message.h.
    [[nodiscard]] static base::Result<Outgoing> of(const MessageHead& head, std::span<const std::string_view> strings);

    [[nodiscard]] std::size_t total() const { return sizeof(MessageHead) + head_.bytes; }
    [[nodiscard]] std::size_t left() const { return total() - taken_; }

    // The next out.size() bytes; not more than left().
    void take(std::span<std::byte> out);

  private:
    // A message is a row of pieces: the head, and for each string its length and its bytes.
    [[nodiscard]] std::span<const std::byte> piece();

    MessageHead head_{};
    std::span<const std::string_view> strings_;
    std::size_t taken_ = 0;
    std::size_t piece_ = 0;
    std::size_t piece_taken_ = 0;
    std::uint32_t length_ = 0;  // the length piece that is being copied
};

class Assembler {
  public:
    // Takes one record of the ring (copies it) and gives the message that it completes, if it does. A first
    // chunk drops an unfinished message: its sender died in the middle, and another process took over.
    [[nodiscard]] base::Result<std::optional<Message>> add(const Record& record);

  private:
    [[nodiscard]] base::Result<void> start(const Record& record);
    void append(const Record& record, std::size_t skip);

    bool open_ = false;
    MessageHead head_{};
    std::vector<std::byte> body_;
};

}  // namespace tach::shm
