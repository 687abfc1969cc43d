#pragma once

// Projects for tests, with facts made by hand: what an extraction would say of a few lines of Python.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/project.h"

namespace tach::test {

using analyzer::Facts;
using analyzer::Import;
using analyzer::Index;
using analyzer::Text;

// Facts of one file. Texts must be literals.
class FactsBuilder {
  public:
    // `import module`, or `import module as whole`.
    FactsBuilder& import(Text module, Text as = {}) {
        const Text local = as.empty() ? module.substr(0, std::min(module.find('.'), module.size())) : as;
        return add_import({.module = module, .local = local, .is_whole = !as.empty()});
    }

    // `from ..module import member`: the dots are part of the module.
    FactsBuilder& from(Text module, Text member) {
        Import import{.member = member, .local = member == "*" ? Text() : member};
        import.level = static_cast<std::uint32_t>(std::min(module.find_first_not_of('.'), module.size()));
        import.module = module.substr(import.level);
        return add_import(import);
    }

    // How the latest import is written.
    FactsBuilder& guarded() { return facts_.imports.back().is_guarded = true, *this; }
    FactsBuilder& conditional() { return facts_.imports.back().is_conditional = true, *this; }
    FactsBuilder& never() { return facts_.imports.back().never_runs = true, *this; }
    FactsBuilder& call() { return facts_.imports.back().is_call = true, *this; }
    FactsBuilder& inside(Index function) {
        facts_.imports.back().function = function;
        facts_.bindings.pop_back();
        return *this;
    }

    FactsBuilder& function(Text name, Index parent = -1) {
        bind({.name = name,
              .kind = analyzer::BindingKind::kFunction,
              .index = size(facts_.functions),
              .parent = parent});
        facts_.functions.push_back({.name = name, .at = next(), .parent = parent});
        return *this;
    }

    FactsBuilder& fixture(Text name, analyzer::Scope scope) {
        facts_.fixtures.push_back({.name = name, .at = next(), .function = size(facts_.functions), .scope = scope});
        return function(name);
    }

    FactsBuilder& type(Text name, std::vector<Text> bases = {}) {
        bind({.name = name, .kind = analyzer::BindingKind::kClass, .index = size(facts_.classes)});
        facts_.classes.push_back({.name = name, .at = next(), .bases = std::move(bases)});
        return *this;
    }

    FactsBuilder& value(Text name, Text value = {}) { return bind({.name = name, .value = value}), *this; }

    FactsBuilder& calls(Text callee, Index caller = -1) {
        facts_.calls.push_back({callee, caller, next()});
        return *this;
    }

    FactsBuilder& plugins(std::vector<Text> names) { return facts_.plugins = std::move(names), *this; }

    FactsBuilder& imports_anything(Index function = -1) {
        facts_.dynamic_imports.push_back({next(), function});
        return *this;
    }

    FactsBuilder& incomplete() { return facts_.is_complete = false, *this; }

    [[nodiscard]] const Facts& facts() const { return facts_; }

  private:
    template <class T>
    static Index size(const std::vector<T>& all) {
        return static_cast<Index>(all.size());
    }

    // Each thing is on a line of its own.
    analyzer::Position next() { return {++line_, 1}; }

    FactsBuilder& add_import(Import import) {
        import.at = next();
        bind({.name = import.local, .kind = analyzer::BindingKind::kImport, .index = size(facts_.imports)});
        facts_.imports.push_back(import);
        return *this;
    }

    void bind(const analyzer::Binding& binding) { facts_.bindings.push_back(binding); }

    Facts facts_;
    std::uint32_t line_ = 0;
};

// Files by path; test_*.py and conftest.py are what they are called.
class ProjectBuilder {
  public:
    ProjectBuilder() { project_.settings.root = "/project"; }

    ProjectBuilder& file(std::string_view path, const FactsBuilder& facts = {}) {
        const std::string_view name = path.substr(path.rfind('/') + 1);
        project_.files.push_back({.path = std::string(path),
                                  .is_test = name.starts_with("test_"),
                                  .is_conftest = name == "conftest.py",
                                  .is_text = !name.ends_with(".py"),
                                  .facts = facts.facts()});
        return *this;
    }

    analyzer::Settings& settings() { return project_.settings; }

    [[nodiscard]] analyzer::Project build() const {
        analyzer::Project project = project_;
        std::sort(project.files.begin(), project.files.end(),
                  [](const auto& left, const auto& right) { return left.path < right.path; });
        return project;
    }

  private:
    analyzer::Project project_;
};

}  // namespace tach::test
