#pragma once

// Whether code below a condition runs, as far as its text tells: what holds for every run of tach counts as known. It
// runs tests on Linux, imports them, and no type checker.

#include <cstdint>
#include <unordered_map>

#include "analyzer/local_names.h"
#include "analyzer/syntax.h"

namespace tach::analyzer {

enum class Truth : std::uint8_t { kUnknown, kAlways, kNever };

class Conditions {
  public:
    Conditions(Text source, const LocalNames& names) : source_(source), names_(&names) {}

    [[nodiscard]] Truth truth_of(Node condition) const { return truth_of(condition, 0); }

    // `WINDOWS = sys.platform == "win32"` at the top of a module; any other value takes it back.
    void assign(Text name, Truth truth);

  private:
    [[nodiscard]] Truth truth_of(Node condition, int depth) const;
    [[nodiscard]] Truth of_name(Node expression) const;
    [[nodiscard]] Truth of_comparison(Node comparison) const;
    [[nodiscard]] Truth of_call(Node call) const;
    [[nodiscard]] Truth of_operator(Node operation, int depth) const;
    [[nodiscard]] Text value_here(Node expression) const;

    Text source_;
    const LocalNames* names_;
    std::unordered_map<Text, Truth> assigned_;
};

}  // namespace tach::analyzer
