#pragma once

// Values as bytes, for what the stages keep and give to one another. One function per type says what it
// consists of, for writing and reading alike:
//
//     template <class Archive> void parts(Archive& archive, Position& p) { archive(p.line, p.column); }
//
// Bytes: unsigned integers and enumerations as LEB128 (seven bits a byte, the lowest first, the high bit set on all but
// the last), signed ones after zigzag (0, -1, 1, -2, ...), booleans as a byte; texts and vectors as their length and
// their elements. The same on every machine.
//
// The reader trusts nothing: once something does not fit it has failed, and gives zeros and empty texts from then on.
// Its texts are views into the bytes it reads.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tach::shm {

class ArchiveWriter {
  public:
    explicit ArchiveWriter(std::string& bytes) : bytes_(&bytes) {}

    template <class... Values>
    void operator()(Values&... values) {
        (write(values), ...);
    }

  private:
    void write_number(std::uint64_t number) {
        if (number < 0x80) return bytes_->push_back(static_cast<char>(number));  // most are
        std::array<char, 10> digits;
        std::size_t count = 0;
        for (; number >= 0x80; number >>= 7) digits[count++] = static_cast<char>(number | 0x80);
        digits[count++] = static_cast<char>(number);
        bytes_->append(digits.data(), count);
    }

    void write(std::string_view text) {
        write_number(text.size());
        bytes_->append(text);
    }

    template <class Value>
    requires(std::is_integral_v<Value> || std::is_enum_v<Value>) void write(Value value) {
        if constexpr (std::is_enum_v<Value> || std::is_unsigned_v<Value>) {
            write_number(static_cast<std::uint64_t>(value));
        } else {
            const auto wide = static_cast<std::int64_t>(value);
            write_number((static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63));
        }
    }

    template <class Element>
    void write(std::vector<Element>& elements) {
        write_number(elements.size());
        for (Element& element : elements) write(element);
    }

    template <class Value>
    requires(std::is_class_v<Value> && !std::is_convertible_v<Value, std::string_view>) void write(Value& value) {
        parts(*this, value);
    }

    std::string* bytes_;
};

class ArchiveReader {
  public:
    explicit ArchiveReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool is_at_end() const { return at_ == end_; }
    [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

    template <class... Values>
    void operator()(Values&... values) {
        (read(values), ...);
    }

  private:
    std::uint64_t fail() {
        failed_ = true;
        at_ = end_;
        return 0;
    }

    std::uint64_t read_number() {
        std::uint64_t number = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at_ == end_) return fail();
            const auto byte = static_cast<unsigned char>(*at_++);
            number |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
            if ((byte & 0x80) == 0) return number;
        }
        return fail();
    }

    // Each element takes a byte at least, so that a length cannot ask for more memory than there are bytes.
    std::size_t read_length() {
        const std::uint64_t length = read_number();
        if (length > static_cast<std::uint64_t>(end_ - at_)) return static_cast<std::size_t>(fail());
        return static_cast<std::size_t>(length);
    }

    void read(std::string_view& text) {
        const std::size_t length = read_length();
        text = {at_, length};
        at_ += length;
    }

    void read(std::string& text) {
        std::string_view view;
        read(view);
        text = view;
    }

    void read(bool& value) {
        const std::uint64_t number = read_number();
        if (number > 1) fail();
        value = number == 1;
    }

    template <class Value>
    requires(std::is_integral_v<Value> || std::is_enum_v<Value>) void read(Value& value) {
        const std::uint64_t number = read_number();
        if constexpr (std::is_enum_v<Value>) {
            if (number > std::numeric_limits<std::underlying_type_t<Value>>::max()) fail();
            value = static_cast<Value>(number);
        } else if constexpr (std::is_unsigned_v<Value>) {
            if (number > std::numeric_limits<Value>::max()) fail();
            value = static_cast<Value>(number);
        } else {
            const auto wide = static_cast<std::int64_t>((number >> 1) ^ (~(number & 1) + 1));
            if (wide < std::numeric_limits<Value>::min() || wide > std::numeric_limits<Value>::max()) fail();
            value = static_cast<Value>(wide);
        }
    }

    template <class Element>
    void read(std::vector<Element>& elements) {
        elements.resize(read_length());
        for (Element& element : elements) read(element);
    }

    template <class Value>
    requires(std::is_class_v<Value> && !std::is_convertible_v<Value, std::string_view>) void read(Value& value) {
        parts(*this, value);
    }

    const char* at_;
    const char* end_;
    bool failed_ = false;
};

template <class Value>
void append_bytes(std::string& bytes, Value& value) {
    ArchiveWriter writer(bytes);
    writer(value);
}

// Whether all bytes were such a value.
template <class Value>
[[nodiscard]] bool read_bytes(std::string_view bytes, Value& value) {
    ArchiveReader reader(bytes);
    reader(value);
    return !reader.failed() && reader.is_at_end();
}

// Reads a value that more bytes follow: how many bytes it took, all of them if it is none.
template <class Value>
[[nodiscard]] std::size_t prefix_bytes(std::string_view bytes, Value& value) {
    ArchiveReader reader(bytes);
    reader(value);
    return bytes.size() - reader.left();
}

}  // namespace tach::shm
