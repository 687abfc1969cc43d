#pragma once

// Where texts live that are in no source: unescaped strings, canonical names, ids. Views stay valid as long as it does.

#include <algorithm>
#include <initializer_list>
#include <memory_resource>
#include <string_view>

#include "analyzer/facts.h"

namespace tach::analyzer {

class Arena {
  public:
    [[nodiscard]] Text keep(std::string_view text) { return join({text}); }

    [[nodiscard]] Text join(std::initializer_list<std::string_view> parts) {
        std::size_t size = 0;
        for (const std::string_view part : parts) size += part.size();
        if (size == 0) return {};
        auto* const begin = static_cast<char*>(memory_.allocate(size, 1));
        char* end = begin;
        for (const std::string_view part : parts) end = std::copy(part.begin(), part.end(), end);
        return {begin, size};
    }

  private:
    std::pmr::monotonic_buffer_resource memory_;
};

}  // namespace tach::analyzer
