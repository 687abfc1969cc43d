#pragma once

// Numbers of the lists in an analysis: each list is there once, and they stand in the order in which tests use them. So
// they do not tell how the analysis was made, all at once or by changing another one (renew.h).

#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "shm/analysis_file.h"

namespace tach::analyzer {

struct IsBefore {
    bool operator()(shm::analysis::Index one, shm::analysis::Index other) const { return one < other; }
    bool operator()(const shm::analysis::Mark& one, const shm::analysis::Mark& other) const {
        return std::tie(one.name, one.arguments) < std::tie(other.name, other.arguments);
    }
    template <class Element>
    bool operator()(const std::vector<Element>& one, const std::vector<Element>& other) const {
        return std::lexicographical_compare(one.begin(), one.end(), other.begin(), other.end(), *this);
    }
};

// Values, each of them once.
template <class Value>
struct Numbered {
    std::vector<Value> elements;

    shm::analysis::Index number_of(Value value) {
        const auto number = static_cast<shm::analysis::Index>(elements.size());
        const auto [at, is_new] = numbers.try_emplace(value, number);
        if (is_new) elements.push_back(std::move(value));
        return at->second;
    }

    std::map<Value, shm::analysis::Index, IsBefore> numbers;
};

// Puts fixture_lists, mark_lists and the fixtures that nobody defines, which are those after the first `named`, into
// the order of their first use, and drops those that are not used.
void number_by_use(shm::analysis::Analysis& analysis, std::size_t named);

}  // namespace tach::analyzer
