#include "analyzer/literals.h"

namespace tach::analyzer {

std::optional<Text> string_literal(Node node, Text source, Arena& /*arena*/) {
    if (!node.is(Kind::kString) || node.named_child_count() > 3) return std::nullopt;
    if (node.named_child_count() == 2) return Text{};
    const Node content = node.named_child(1);
    if (!content.is(Kind::kStringContent) || content.named_child_count() != 0) return std::nullopt;
    return content.text(source);
}

}  // namespace tach::analyzer
