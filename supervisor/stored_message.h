#pragma once

// Messages that the supervisor makes or keeps: copies that own their bytes, so that they outlive what they were made
// from.

#include <initializer_list>
#include <string_view>

#include "shm/message.h"

namespace tach::supervisor {

// `head` but for the string counts, which are the channel's to fill in, with a copy of the strings.
[[nodiscard]] shm::Message stored_message(const shm::MessageHead& head,
                                          std::initializer_list<std::string_view> strings);
[[nodiscard]] shm::Message copy_of(const shm::Message& message);

}  // namespace tach::supervisor
