#pragma once

// Python's syntax trees, by tree-sitter: what this room uses of its C interface, in types that clean up.
//
// Nothing here knows what Python means. A Source must outlive its Tree, and the Tree its Nodes. Not thread-safe: one
// Parser for each thread or process.

#include <tree_sitter/api.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "analyzer/facts.h"

namespace tach::analyzer {

// Kinds of nodes by the names that the grammar gives them; only those that are asked about.
// clang-format off
#define TACH_SYNTAX_KINDS(X) \
    X(kAliasedImport, "aliased_import") X(kArgumentList, "argument_list") X(kAsPattern, "as_pattern") \
    X(kAssertStatement, "assert_statement") X(kAssignment, "assignment") X(kAttribute, "attribute") \
    X(kAugmentedAssignment, "augmented_assignment") X(kAwait, "await") X(kBinaryOperator, "binary_operator") \
    X(kBlock, "block") X(kBooleanOperator, "boolean_operator") X(kBreakStatement, "break_statement") \
    X(kCall, "call") X(kCaseClause, "case_clause") X(kClassDefinition, "class_definition") X(kComment, "comment") \
    X(kComparisonOperator, "comparison_operator") X(kConcatenatedString, "concatenated_string") \
    X(kConditionalExpression, "conditional_expression") X(kContinueStatement, "continue_statement") \
    X(kDecoratedDefinition, "decorated_definition") X(kDecorator, "decorator") \
    X(kDefaultParameter, "default_parameter") X(kDeleteStatement, "delete_statement") X(kDictionary, "dictionary") \
    X(kDictionaryComprehension, "dictionary_comprehension") X(kDictionarySplat, "dictionary_splat") \
    X(kDictionarySplatPattern, "dictionary_splat_pattern") X(kDottedName, "dotted_name") \
    X(kElifClause, "elif_clause") X(kEllipsis, "ellipsis") X(kElseClause, "else_clause") \
    X(kEscapeSequence, "escape_sequence") X(kExceptClause, "except_clause") \
    X(kExceptGroupClause, "except_group_clause") X(kExecStatement, "exec_statement") \
    X(kExpressionList, "expression_list") X(kExpressionStatement, "expression_statement") X(kFalse, "false") \
    X(kFinallyClause, "finally_clause") X(kFloat, "float") X(kForInClause, "for_in_clause") \
    X(kForStatement, "for_statement") X(kFunctionDefinition, "function_definition") \
    X(kFutureImportStatement, "future_import_statement") X(kGeneratorExpression, "generator_expression") \
    X(kGlobalStatement, "global_statement") X(kIdentifier, "identifier") X(kIfClause, "if_clause") \
    X(kIfStatement, "if_statement") X(kImportFromStatement, "import_from_statement") \
    X(kImportPrefix, "import_prefix") X(kImportStatement, "import_statement") X(kInteger, "integer") \
    X(kInterpolation, "interpolation") X(kKeywordArgument, "keyword_argument") \
    X(kKeywordSeparator, "keyword_separator") X(kLambda, "lambda") X(kList, "list") \
    X(kListComprehension, "list_comprehension") X(kListPattern, "list_pattern") X(kListSplat, "list_splat") \
    X(kListSplatPattern, "list_splat_pattern") X(kMatchStatement, "match_statement") X(kModule, "module") \
    X(kNamedExpression, "named_expression") X(kNone, "none") X(kNotOperator, "not_operator") X(kPair, "pair") \
    X(kParameters, "parameters") X(kParenthesizedExpression, "parenthesized_expression") \
    X(kPassStatement, "pass_statement") X(kPatternList, "pattern_list") \
    X(kPositionalSeparator, "positional_separator") X(kPrintStatement, "print_statement") \
    X(kRaiseStatement, "raise_statement") X(kRelativeImport, "relative_import") \
    X(kReturnStatement, "return_statement") X(kSet, "set") X(kSetComprehension, "set_comprehension") \
    X(kSlice, "slice") X(kString, "string") X(kStringContent, "string_content") X(kStringEnd, "string_end") \
    X(kStringStart, "string_start") X(kSubscript, "subscript") X(kTrue, "true") X(kTryStatement, "try_statement") \
    X(kTuple, "tuple") X(kTuplePattern, "tuple_pattern") X(kType, "type") \
    X(kTypeAliasStatement, "type_alias_statement") X(kTypedDefaultParameter, "typed_default_parameter") \
    X(kTypedParameter, "typed_parameter") X(kUnaryOperator, "unary_operator") \
    X(kWhileStatement, "while_statement") X(kWildcardImport, "wildcard_import") \
    X(kWithStatement, "with_statement") X(kYield, "yield")
// clang-format on

enum class Kind : std::uint8_t {
    kOther,
    kError,  // what the grammar could not place
#define TACH_KIND(kind, name) kind,
    TACH_SYNTAX_KINDS(TACH_KIND)
#undef TACH_KIND
};

// Fields of nodes, likewise.
// clang-format off
#define TACH_SYNTAX_FIELDS(X) \
    X(kAlias, "alias") X(kAlternative, "alternative") X(kArgument, "argument") X(kArguments, "arguments") \
    X(kAttribute, "attribute") X(kBody, "body") X(kCondition, "condition") X(kConsequence, "consequence") \
    X(kDefinition, "definition") X(kFunction, "function") X(kKey, "key") X(kLeft, "left") \
    X(kModuleName, "module_name") X(kName, "name") X(kObject, "object") X(kOperator, "operator") \
    X(kOperators, "operators") X(kParameters, "parameters") X(kReturnType, "return_type") X(kRight, "right") \
    X(kSubscript, "subscript") X(kSuperclasses, "superclasses") X(kType, "type") X(kValue, "value")
// clang-format on

enum class Field : std::uint8_t {
#define TACH_FIELD(field, name) field,
    TACH_SYNTAX_FIELDS(TACH_FIELD)
#undef TACH_FIELD
};

// May be null, which has no kind, no children and an empty text.
class Node {
  public:
    Node() = default;
    explicit Node(TSNode raw) : raw_(raw) {}

    [[nodiscard]] bool is_null() const { return ts_node_is_null(raw_); }
    [[nodiscard]] Kind kind() const;
    [[nodiscard]] bool is(Kind wanted) const { return kind() == wanted; }
    [[nodiscard]] bool is_named() const { return ts_node_is_named(raw_); }
    [[nodiscard]] bool is_missing() const { return ts_node_is_missing(raw_); }  // made up by the parser
    [[nodiscard]] bool has_error() const { return !is_null() && ts_node_has_error(raw_); }
    [[nodiscard]] std::uint32_t begin() const { return is_null() ? 0 : ts_node_start_byte(raw_); }
    [[nodiscard]] std::uint32_t end() const { return is_null() ? 0 : ts_node_end_byte(raw_); }
    [[nodiscard]] Position at() const;
    [[nodiscard]] Text text(Text source) const { return source.substr(begin(), end() - begin()); }
    [[nodiscard]] Node field(Field wanted) const;  // null: it has none
    [[nodiscard]] Node parent() const { return Node(ts_node_parent(raw_)); }
    // Linear in its place: for the first few, not for a loop, see Cursor.
    [[nodiscard]] Node named_child(std::uint32_t place) const {
        return is_null() ? Node() : Node(ts_node_named_child(raw_, place));
    }
    [[nodiscard]] std::uint32_t named_child_count() const { return is_null() ? 0 : ts_node_named_child_count(raw_); }
    [[nodiscard]] TSNode raw() const { return raw_; }

  private:
    TSNode raw_{};
};

// Visits children in constant time for each. Allocates once.
class Cursor {
  public:
    explicit Cursor(Node node) : raw_(ts_tree_cursor_new(node.raw())) {}
    ~Cursor() { ts_tree_cursor_delete(&raw_); }
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    [[nodiscard]] Node node() const { return Node(ts_tree_cursor_current_node(&raw_)); }
    [[nodiscard]] bool to_first_child() { return ts_tree_cursor_goto_first_child(&raw_); }
    [[nodiscard]] bool to_next_sibling() { return ts_tree_cursor_goto_next_sibling(&raw_); }
    void to_parent() { ts_tree_cursor_goto_parent(&raw_); }
    [[nodiscard]] bool is_field(Field wanted) const;

  private:
    TSTreeCursor raw_;
};

// visit(Node) for each child that is named and no comment, in order.
template <class Visit>
void for_each_child(Node node, const Visit& visit) {
    if (node.is_null()) return;
    Cursor cursor(node);
    if (!cursor.to_first_child()) return;
    do {
        const Node child = cursor.node();
        if (child.is_named() && !child.is(Kind::kComment)) visit(child);
    } while (cursor.to_next_sibling());
}

class Tree {
  public:
    explicit Tree(TSTree* raw) : raw_(raw) {}
    [[nodiscard]] Node root() const { return Node(ts_tree_root_node(raw_.get())); }

  private:
    struct Delete {
        void operator()(TSTree* tree) const { ts_tree_delete(tree); }
    };
    std::unique_ptr<TSTree, Delete> raw_;
};

class Parser {
  public:
    Parser();
    // A tree for anything; nothing but for a text of 4 GB or more.
    [[nodiscard]] std::optional<Tree> parse(Text source);

  private:
    struct Delete {
        void operator()(TSParser* parser) const { ts_parser_delete(parser); }
    };
    std::unique_ptr<TSParser, Delete> raw_;
};

}  // namespace tach::analyzer
