#pragma once

// What the names of a file's module and classes are bound to, and which of these bindings can be trusted: a list that
// something may append to is not what its literal says.
//
// One scan over the whole tree, without recursion, linear in its size. It errs on the side of distrust. BoundNames are
// followed by their spelling alone: a local variable `x` that is changed makes the module's `x` changed too.
//
// A value *flows* from its name to where the expression around it leads: into another name (`b = a`, `for b in a`),
// into a call, to a return. Where a flow ends decides:
//   - in a mutation: `a.append(1)`, `a[0] = 1`, `del a[0]`: changed, wherever that is written;
//   - in a call of something unknown, a return, an attribute: changed, unless it is in the body of a test or a fixture,
//     which does not run before all tests are collected;
//   - in another name: changed if that one is.
// On its way the flow may lose the container and keep its items (`a[0]`, `for x in a`, `sorted(a)`): then it is the
// items that are changed.

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "analyzer/syntax.h"

namespace tach::analyzer {

// The canonical dotted name (see facts.h) of an identifier or an attribute; empty: it has none.
using Canonical = std::function<Text(Node)>;

struct BoundName {
    enum class By : std::uint8_t { kValue, kFunction, kClass, kImport, kOther };
    By by = By::kOther;
    // Of kValue: the expression. Of kFunction and kClass: the definition. Of kImport: the statement.
    Node node;
    bool is_certain = false;  // bound once, at the top of its module or class, and without a decorator
};

struct Changes {
    bool itself = false;
    bool items = false;
    bool attributes = false;  // `a.b = 1`
};

class BoundNames {
  public:
    BoundNames(Node root, Text source, const Canonical& canonical);

    [[nodiscard]] const BoundName* in_module(Text name) const;
    [[nodiscard]] const BoundName* in_class(Node class_definition, Text name) const;
    [[nodiscard]] Changes changes(Text name) const;
    // exec() or globals(): anything may be bound to anything.
    [[nodiscard]] bool is_wild() const { return is_wild_; }
    // Of the last `from x import *`: names bound before it may be others after it, and a builtin any time. 0: none.
    [[nodiscard]] std::uint32_t star_import_end() const { return star_import_end_; }

    using Table = std::unordered_map<Text, BoundName>;

  private:
    friend class NameScan;
    Table module_;
    std::unordered_map<std::uint32_t, Table> classes_;  // by where their definition begins
    std::unordered_map<Text, Changes> changes_;
    bool is_wild_ = false;
    std::uint32_t star_import_end_ = 0;
};

}  // namespace tach::analyzer
