#pragma once

// Where tests run that cannot be treated as all the others: which are forked from the start, and which run shared. One
// place, which the schedule and --explain both ask. Pure: from what earlier runs have found out and what the sources
// say.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "supervisor/memory.h"
#include "supervisor/suspicions.h"

namespace tach::supervisor {

struct Forked {
    enum class By { kEarlierRun, kSources };
    By by = By::kEarlierRun;
    std::string why;

    // One line for the test's note.
    [[nodiscard]] std::string note() const;

    bool operator==(const Forked&) const = default;
};

// Under which what the guard found after tests of a file is remembered; "" if nothing is.
using FileKey = std::function<std::string(std::string_view file)>;

// Tests that have a process of their own instead of being rewound, by their place in `nodeids`.
[[nodiscard]] std::map<std::uint32_t, Forked> forked_tests(std::span<const std::string> nodeids, const Memory& memory,
                                                           const FileKey& key, const Suspicions& suspicions);

// What is shared: tests known to be order-dependent, and those that they need and that come after them.
struct OrderDependents {
    std::map<std::uint32_t, Opinion> known;
    std::set<std::uint32_t> together;  // in one process, in pytest's order
};

struct Grouping {
    std::uint32_t module = 0;
    std::uint32_t unit = 0;  // 0: stands alone
};

// `items`: of the same tests. The rest of a class or module runs shared with an order-dependent test, from the first
// test that it needs; units are never split.
[[nodiscard]] OrderDependents order_dependents(std::span<const std::string> nodeids, std::span<const Grouping> items,
                                               const Memory& memory, std::string_view key);

}  // namespace tach::supervisor
