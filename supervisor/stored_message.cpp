#include "supervisor/stored_message.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace tach::supervisor {
namespace {

shm::Message store(const shm::MessageHead& head, std::span<const std::string_view> strings) {
    shm::Message message;
    message.head = head;
    std::size_t total = 0;
    for (const std::string_view string : strings) total += string.size();
    message.body.resize(total);
    char* to = reinterpret_cast<char*>(message.body.data());  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
    for (const std::string_view string : strings) {
        std::copy(string.begin(), string.end(), to);
        message.strings.emplace_back(to, string.size());
        to += string.size();
    }
    return message;
}

}  // namespace

shm::Message stored_message(const shm::MessageHead& head, std::initializer_list<std::string_view> strings) {
    return store(head, std::span(strings.begin(), strings.size()));
}

shm::Message copy_of(const shm::Message& message) {
    return store(message.head, message.strings);
}

}  // namespace tach::supervisor
