#include "shm/codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace tach::shm {

namespace {

using base::protocol_error;

void copy_from_record(const Record& record, std::span<std::byte> out) {
    const std::size_t from_first = std::min(out.size(), record.first.size());
    if (from_first != 0) std::memcpy(out.data(), record.first.data(), from_first);
    const std::size_t rest = out.size() - from_first;
    if (rest != 0) std::memcpy(out.data() + from_first, record.second.data(), rest);
}

// Cuts the body into its strings; every length is checked against what is left.
base::Result<std::vector<std::string_view>> split(std::span<const std::byte> body, std::uint32_t count) {
    std::vector<std::string_view> strings;
    strings.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        std::uint32_t length = 0;
        if (body.size() < sizeof(length)) return base::fail(protocol_error("message: strings cut short"));
        std::memcpy(&length, body.data(), sizeof(length));
        body = body.subspan(sizeof(length));
        if (length > body.size()) return base::fail(protocol_error("message: string out of bounds"));
        strings.emplace_back(reinterpret_cast<const char*>(body.data()), length);
        body = body.subspan(length);
    }
    if (!body.empty()) return base::fail(protocol_error("message: bytes after the last string"));
    return strings;
}

}  // namespace

base::Result<Outgoing> Outgoing::of(const MessageHead& head, std::span<const std::string_view> strings) {
    std::uint64_t bytes = 0;
    for (const std::string_view string : strings) bytes += sizeof(std::uint32_t) + string.size();
    if (strings.size() > kMaxMessageStrings || bytes > kMaxMessageBytes) {
        return base::fail(base::errno_error("send a message of " + std::to_string(bytes) + " bytes", EMSGSIZE));
    }
    Outgoing message;
    message.head_ = head;
    message.head_.version = kMessageVersion;
    message.head_.strings = static_cast<std::uint32_t>(strings.size());
    message.head_.bytes = static_cast<std::uint32_t>(bytes);
    message.strings_ = strings;
    return message;
}

std::span<const std::byte> Outgoing::piece() {
    if (piece_ == 0) return std::as_bytes(std::span(&head_, 1));
    const std::string_view string = strings_[(piece_ - 1) / 2];
    if (piece_ % 2 == 0) return std::as_bytes(std::span(string));
    length_ = static_cast<std::uint32_t>(string.size());
    return std::as_bytes(std::span(&length_, 1));
}

void Outgoing::take(std::span<std::byte> out) {
    taken_ += out.size();
    while (!out.empty()) {
        const auto rest = piece().subspan(piece_taken_);
        const std::size_t count = std::min(rest.size(), out.size());
        if (count != 0) std::memcpy(out.data(), rest.data(), count);
        out = out.subspan(count);
        piece_taken_ += count;
        if (count == rest.size()) {
            ++piece_;
            piece_taken_ = 0;
        }
    }
}

base::Result<void> Assembler::start(const Record& record) {
    open_ = false;
    body_ = {};
    if (record.size() < sizeof(head_)) return base::fail(protocol_error("message: head cut short"));
    copy_from_record(record, std::as_writable_bytes(std::span(&head_, 1)));
    if (head_.version != kMessageVersion) {
        return base::fail(protocol_error("message: version " + std::to_string(head_.version) +
                                         " where this tach speaks " + std::to_string(kMessageVersion)));
    }
    if (head_.bytes > kMaxMessageBytes || head_.strings > kMaxMessageStrings) {
        return base::fail(protocol_error("message: size out of bounds"));
    }
    open_ = true;
    append(record, sizeof(head_));
    return {};
}

void Assembler::append(const Record& record, std::size_t skip) {
    const Record rest{record.tag, record.first.subspan(std::min(skip, record.first.size())),
                      record.second.subspan(skip - std::min(skip, record.first.size()))};
    const std::size_t old = body_.size();
    body_.resize(old + rest.size());
    copy_from_record(rest, std::span(body_).subspan(old));
}

base::Result<std::optional<Message>> Assembler::add(const Record& record) {
    if ((record.tag & kFirstChunk) != 0) {
        auto started = start(record);
        if (!started) return base::fail(std::move(started.error()));
    } else if (!open_) {
        return base::fail(protocol_error("message: continued before it began"));
    } else if (record.size() == 0) {
        return base::fail(protocol_error("message: empty chunk"));
    } else {
        append(record, 0);
    }
    const bool last = (record.tag & kLastChunk) != 0;
    if (body_.size() > head_.bytes || last != (body_.size() == head_.bytes)) {
        open_ = false;
        return base::fail(protocol_error("message: chunks do not add up to its size"));
    }
    if (!last) return std::nullopt;
    open_ = false;
    auto strings = split(body_, head_.strings);
    if (!strings) return base::fail(std::move(strings.error()));
    Message message;
    message.head = head_;
    message.strings = std::move(*strings);
    message.body = std::exchange(body_, {});  // the views point into the heap block, which moves along
    return message;
}

}  // namespace tach::shm
