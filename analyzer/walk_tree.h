#pragma once

// A walk over a syntax tree, in order of the source, without recursion: what is nested deeply costs memory, no stack.

#include <cstdint>
#include <vector>

#include "analyzer/syntax.h"

namespace tach::analyzer {

enum class Step : std::uint8_t {
    kInto,      // visit its children as well
    kOver,      // not its children
    kIntoLast,  // its children, but none of what follows it in the same block: it returns or raises
};

// visit(Node) -> Step for the root and all below it that are named.
template <class Visit>
void walk_tree(Node root, const Visit& visit) {
    if (root.is_null()) return;
    Cursor cursor(root);
    std::vector<bool> is_last;  // of each ancestor
    while (true) {
        const Node node = cursor.node();
        const Step step = node.is_named() ? visit(node) : Step::kOver;  // a word or a sign: there is nothing below it
        if (step != Step::kOver && cursor.to_first_child()) {
            is_last.push_back(step == Step::kIntoLast);
            continue;
        }
        bool last = step == Step::kIntoLast;
        while (last || is_last.empty() || !cursor.to_next_sibling()) {
            if (is_last.empty()) return;
            cursor.to_parent();
            last = is_last.back();
            is_last.pop_back();
        }
    }
}

}  // namespace tach::analyzer
