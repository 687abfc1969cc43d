#pragma once

// Folds expressions of small modules, for tests: the module's last statement is what is asked about.

#include <map>
#include <string>

#include "analyzer/evaluate.h"

namespace tach::analyzer {

// Canonical names from the imports at the top of the module; enough for tests.
class Module {
  public:
    explicit Module(std::string source) : source_(std::move(source)), tree_(*parser_.parse(source_)) {
        for_each_child(tree_.root(), [&](Node statement) { read(statement); });
        evaluator_.emplace(tree_.root(), source_, arena_, [this](Node node) { return canonical(node); });
    }

    Evaluator& evaluator() { return *evaluator_; }
    Arena& arena() { return arena_; }
    [[nodiscard]] Text source() const { return source_; }

    // The last statement, if it is an expression, and what it comes to.
    Node last() {
        Node found;
        for_each_child(tree_.root(), [&](Node statement) { found = statement; });
        return found.is(Kind::kExpressionStatement) ? found.named_child(0) : found;
    }
    Value value() { return evaluator().evaluate(last()); }

    // The argument_list of the first decorator, in the order of the source, that is called in `around`.
    static Node arguments(Node around) {
        Node found;
        for_each_child(around, [&](Node child) {
            if (found.is_null() && child.is(Kind::kDecorator)) found = child.named_child(0).field(Field::kArguments);
        });
        return found;
    }

  private:
    void read(Node statement) {
        const Node module = statement.field(Field::kModuleName);
        if (!statement.is(Kind::kImportStatement) && !statement.is(Kind::kImportFromStatement)) return;
        const std::string prefix = module.is_null() ? "" : std::string(module.text(source_)) + ".";
        for_each_child(statement, [&](Node name) {
            if (!module.is_null() && name.begin() == module.begin()) return;
            const bool is_alias = name.is(Kind::kAliasedImport);
            const Node local = is_alias ? name.field(Field::kAlias) : name;
            imports_[std::string(local.text(source_))] =
                prefix + std::string((is_alias ? name.field(Field::kName) : name).text(source_));
        });
    }

    Text canonical(Node node) {
        std::string tail;
        while (node.is(Kind::kAttribute)) {
            tail.insert(0, "." + std::string(node.field(Field::kAttribute).text(source_)));
            node = node.field(Field::kObject);
        }
        const std::string root(node.text(source_));
        const auto found = imports_.find(root);
        return arena_.keep((found == imports_.end() ? root : found->second) + tail);
    }

    std::string source_;
    Parser parser_;
    Tree tree_;
    Arena arena_;
    std::map<std::string, std::string> imports_;
    std::optional<Evaluator> evaluator_;
};

}  // namespace tach::analyzer
