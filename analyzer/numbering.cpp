#include "analyzer/numbering.h"

#include <algorithm>

namespace tach::analyzer {
namespace {

namespace analysis = shm::analysis;
using analysis::Index;

// New numbers, given out in the order in which they are asked for. Below `first` all stay as they are.
class Renumbering {
  public:
    Renumbering(std::size_t count, std::size_t first) : first_(first), numbers_(count - first, -1) {}

    void use(Index& index) {
        if (index < 0 || static_cast<std::size_t>(index) < first_) return;
        Index& number = numbers_[static_cast<std::size_t>(index) - first_];
        if (number < 0) number = static_cast<Index>(first_ + used_++);
        index = number;
    }

    template <class Element>
    void apply(std::vector<Element>& elements) const {
        std::vector<Element> sorted(used_);
        for (std::size_t i = 0; i < numbers_.size(); ++i) {
            if (numbers_[i] < 0) continue;
            sorted[static_cast<std::size_t>(numbers_[i]) - first_] = std::move(elements[first_ + i]);
        }
        elements.resize(first_ + used_);
        std::move(sorted.begin(), sorted.end(), elements.begin() + static_cast<std::ptrdiff_t>(first_));
    }

  private:
    std::size_t first_;
    std::vector<Index> numbers_;
    std::size_t used_ = 0;
};

}  // namespace

void number_by_use(analysis::Analysis& analysis, std::size_t named) {
    Renumbering lists(analysis.fixture_lists.size(), 0);
    Renumbering marks(analysis.mark_lists.size(), 0);
    for (analysis::Test& test : analysis.tests) {
        lists.use(test.fixtures);
        marks.use(test.marks);
    }
    lists.apply(analysis.fixture_lists);
    marks.apply(analysis.mark_lists);
    Renumbering unknown(analysis.fixtures.size(), named);
    for (std::vector<Index>& list : analysis.fixture_lists) {
        for (Index& fixture : list) unknown.use(fixture);
    }
    for (std::size_t i = 0; i < named; ++i) {
        for (Index& fixture : analysis.fixtures[i].needs) unknown.use(fixture);
    }
    unknown.apply(analysis.fixtures);
}

}  // namespace tach::analyzer
