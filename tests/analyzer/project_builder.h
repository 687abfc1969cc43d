#pragma once

// Projects by hand: what extraction would say of a few short files, for tests of what comes after it.

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "analyzer/fixtures.h"
#include "analyzer/project.h"
#include "analyzer/tests.h"

namespace tach::analyzer {

using Texts = std::vector<Text>;

class Source {
  public:
    explicit Source(std::string path) {
        file.path = std::move(path);
        const Text name = Text(file.path).substr(file.path.rfind('/') + 1);
        file.is_conftest = name == "conftest.py";
        file.is_test = name.starts_with("test_");
    }

    Index def(Text name, Texts requests = {}, Index parent = -1) {
        Function made;
        made.name = name;
        made.at = made.first = next();
        made.parent = parent;
        made.requests = std::move(requests);
        facts().functions.push_back(made);
        const auto index = static_cast<Index>(facts().functions.size()) - 1;
        bind(name, BindingKind::kFunction, index, parent);
        return index;
    }

    Fixture& fixture(Text name, Texts requests = {}, Scope scope = Scope::kFunction, const Texts& params = {},
                     Index parent = -1) {
        const Index function = def(name, std::move(requests), parent);
        facts().functions[static_cast<std::size_t>(function)].fixture = static_cast<Index>(facts().fixtures.size());
        Fixture made;
        made.name = name;
        made.function = function;
        made.scope = scope;
        if (!params.empty()) made.parameters = parameters({}, params);
        facts().fixtures.push_back(made);
        return facts().fixtures.back();
    }

    Index cls(Text name, Texts bases = {}, Index parent = -1) {
        Class made;
        made.name = name;
        made.at = made.first = next();
        made.parent = parent;
        made.bases = std::move(bases);
        facts().classes.push_back(made);
        const auto index = static_cast<Index>(facts().classes.size()) - 1;
        bind(name, BindingKind::kClass, index, parent);
        return index;
    }

    Import& import(Text module, Text member, Text local = {}, std::uint32_t level = 0) {
        Import made;
        made.level = level;
        made.module = module;
        made.member = member;
        made.at = next();
        if (member != "*") {
            made.local = local.empty() ? member : local;
            bind(made.local, BindingKind::kImport, static_cast<Index>(facts().imports.size()), -1);
        }
        facts().imports.push_back(made);
        return facts().imports.back();
    }

    Binding& value(Text name, Text value, Index parent = -1) {
        next();
        return bind(name, BindingKind::kValue, -1, parent, value);
    }

    Index parameters(Texts names, const Texts& ids) {
        Parameters made;
        made.names = std::move(names);
        made.known = true;
        for (const Text id : ids) made.sets.push_back({{{IdKind::kText, id}}});
        facts().parameters.push_back(made);
        return static_cast<Index>(facts().parameters.size()) - 1;
    }

    // Decorators are given from the definition up: each is further up than the one before.
    Parameters& parametrize(std::vector<Mark>& marks, Position definition, Texts names, const Texts& ids) {
        Mark& made = mark(marks, definition, "parametrize");
        made.parameters = parameters(std::move(names), ids);
        return facts().parameters.back();
    }
    Parameters& parametrize(Index function, Texts names, const Texts& ids) {
        Function& to = facts().functions[static_cast<std::size_t>(function)];
        return parametrize(to.marks, to.at, std::move(names), ids);
    }
    Parameters& parametrize_class(Index index, Texts names, const Texts& ids) {
        Class& to = facts().classes[static_cast<std::size_t>(index)];
        return parametrize(to.marks, to.at, std::move(names), ids);
    }

    static Mark& mark(std::vector<Mark>& marks, Position definition, Text name, Texts strings = {}) {
        Mark made;
        made.name = name;
        made.at = {definition.line - 1 - static_cast<std::uint32_t>(marks.size()), 1};
        made.strings = std::move(strings);
        if (!made.strings.empty()) made.arguments = "...";
        marks.push_back(made);
        return marks.back();
    }

    Function& function(Index index) { return facts().functions[static_cast<std::size_t>(index)]; }
    Class& klass(Index index) { return facts().classes[static_cast<std::size_t>(index)]; }
    Facts& facts() { return file.facts; }

    SourceFile file;

  private:
    Position next() { return {line_ += 10, 1}; }
    Binding& bind(Text name, BindingKind kind, Index index, Index parent, Text value = {}) {
        facts().bindings.push_back({name, kind, index, parent, value, {line_, 1}});
        return facts().bindings.back();
    }

    std::uint32_t line_ = 0;
};

inline Project project_of(std::vector<Source> sources) {
    Project project;
    for (Source& source : sources) project.files.push_back(std::move(source.file));
    std::sort(project.files.begin(), project.files.end(),
              [](const SourceFile& one, const SourceFile& other) { return one.path < other.path; });
    return project;
}

// By paths from the root: a/b.py is a.b, a/__init__.py is a.
inline ModuleLookup lookup_of(const Project& project) {
    return {[&project](Index from, Text name) -> Index {
        std::string path;
        if (name.starts_with('.')) {
            path = project.files[static_cast<std::size_t>(from)].path;
            while (name.starts_with('.')) {
                name.remove_prefix(1);
                path.resize(path.find('/') == std::string::npos ? 0 : path.rfind('/'));
            }
            if (!path.empty() && !name.empty()) path += '/';
        }
        path += name;
        std::replace(path.begin(), path.end(), '.', '/');
        for (std::size_t i = 0; i != project.files.size(); ++i) {
            const Text other = project.files[i].path;
            if (other == path + ".py" || other == path + "/__init__.py") return static_cast<Index>(i);
        }
        return -1;
    }};
}

inline std::vector<std::string> known(const Tests& tests) {
    std::vector<std::string> ids;
    for (const Test& test : tests.tests) {
        if (test.is_known()) ids.emplace_back(test.id);
    }
    return ids;
}

// Of the first test with the id; kNothing with a failing reach if there is none.
inline const Test* find(const Tests& tests, Text id) {
    for (const Test& test : tests.tests) {
        if (test.id == id) return &test;
    }
    return nullptr;
}

inline std::vector<std::string> dynamic(const Tests& tests) {
    std::vector<std::string> ids;
    for (const Test& test : tests.tests) {
        if (!test.is_known()) ids.emplace_back(test.id);
    }
    return ids;
}

inline std::string closure_of(const Tests& tests, Text id) {
    const Test* const test = find(tests, id);
    if (test == nullptr || test->closure < 0) return "none";
    std::string names;
    for (const Need& need : tests.closures[static_cast<std::size_t>(test->closure)].needs) {
        names.append(names.empty() ? "" : " ").append(need.name);
    }
    return names;
}

inline std::vector<std::string> messages(const Tests& tests) {
    std::vector<std::string> all;
    for (const FileDiagnostic& one : tests.diagnostics) all.emplace_back(one.diagnostic.message);
    return all;
}

}  // namespace tach::analyzer
