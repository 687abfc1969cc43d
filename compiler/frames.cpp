#include "compiler/frames.h"

#include <bit>
#include <cstring>

namespace tach::compiler {

static_assert(std::endian::native == std::endian::little);

std::string request(Ask kind, std::uint64_t number, std::string_view path, std::string_view source) {
    const RequestHead head{kind, static_cast<std::uint32_t>(path.size()), source.size(), number};
    std::string bytes(sizeof head, '\0');
    bytes.reserve(sizeof head + path.size() + source.size());
    std::memcpy(bytes.data(), &head, sizeof head);
    return bytes.append(path).append(source);
}

std::optional<Answer> first_answer(std::string_view bytes, bool& is_nonsense) {
    AnswerHead head;
    if (bytes.size() < sizeof head) return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof head);
    is_nonsense = head.kind > AnswerKind::kNoRewriter || head.size > kMostAnswerBytes;
    if (is_nonsense || bytes.size() - sizeof head < head.size) return std::nullopt;
    const auto size = static_cast<std::size_t>(head.size);
    return Answer{head.kind, head.line, head.number, bytes.substr(sizeof head, size), sizeof head + size};
}

}  // namespace tach::compiler
