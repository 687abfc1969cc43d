#pragma once

// What names stand for in one file: its imports and simple aliases, so that `T(...)` after
// `from threading import Thread as T` is a call of `threading.Thread`. See facts.h for canonical names.

#include <optional>
#include <string_view>
#include <unordered_map>

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/syntax.h"

namespace tach::analyzer {

class LocalNames {
  public:
    LocalNames(Text source, Arena& arena) : source_(source), arena_(&arena) {}

    // In the innermost scope, from here on. An empty canonical name: nobody knows what it stands for.
    void bind(Text local, Text canonical);

    // Of an identifier or a chain of attributes; empty for anything else, and for what nobody knows.
    [[nodiscard]] Text canonical(Node expression) const;
    [[nodiscard]] Text canonical(Text name) const;

    // The scope of a function, inside of the module's. One at a time: functions in it count as part of it.
    class FunctionScope {
      public:
        explicit FunctionScope(LocalNames& names) : names_(&names) { names.in_function_ = true; }
        ~FunctionScope() { names_->leave_function(); }
        FunctionScope(const FunctionScope&) = delete;
        FunctionScope& operator=(const FunctionScope&) = delete;

      private:
        LocalNames* names_;
    };

  private:
    [[nodiscard]] std::optional<Text> find(Text name) const;
    void leave_function();

    Text source_;
    Arena* arena_;
    std::unordered_map<Text, Text> globals_;
    std::unordered_map<Text, Text> locals_;
    bool in_function_ = false;
};

}  // namespace tach::analyzer
