#include "analyzer/references.h"

#include <algorithm>
#include <utility>

namespace tach::analyzer {
namespace {

// A guess: chains of re-exports have three or four links, a package that imports everything by `*` some ten.
constexpr std::size_t kMaxSteps = 64;

Text first_part(Text name) {
    return name.substr(0, std::min(name.find('.'), name.size()));
}

Text after_first_part(Text name) {
    const std::size_t dot = name.find('.');
    return dot == Text::npos ? Text() : name.substr(dot + 1);
}

Text last_part(Text name) {
    return name.substr(name.rfind('.') + 1);
}

// Names, not numbers, strings or displays.
bool is_name(Text value) {
    if (value.empty()) return false;
    const char first = value.front();
    const bool starts = first == '.' || first == '_' || (first >= 'a' && first <= 'z') ||
                        (first >= 'A' && first <= 'Z') || static_cast<unsigned char>(first) >= 0x80;
    return starts && value.find_first_of(" \"'()[]{}") == Text::npos;
}

// Whether the file has something from the package `head` or a module in it, by `from ... import`.
bool has_members_of(const Facts& facts, Text head) {
    return std::any_of(facts.imports.begin(), facts.imports.end(), [&](const Import& import) {
        return import.level == 0 && !import.never_runs && !import.member.empty() && first_part(import.module) == head;
    });
}

template <class Name>
std::pair<std::vector<Index>::const_iterator, std::vector<Index>::const_iterator> equal(
    const std::vector<Index>& sorted, Text name, const Name& name_of) {
    const auto begin = std::lower_bound(sorted.begin(), sorted.end(), name,
                                        [&](Index left, Text right) { return name_of(left) < right; });
    auto end = begin;
    while (end != sorted.end() && name_of(*end) == name) ++end;
    return {begin, end};
}

template <class Name>
void sort_by(std::vector<Index>& indexes, const Name& name_of) {
    std::stable_sort(indexes.begin(), indexes.end(),
                     [&](Index left, Index right) { return name_of(left) < name_of(right); });
}

}  // namespace

References::References(const Project& project, const Modules& modules)
    : project_(project), modules_(modules), names_(project.files.size()) {}

const References::Names& References::names_of(Index file) {
    Names& names = names_[file];
    if (names.is_made) return names;
    names.is_made = true;
    const Facts& facts = project_.files[file].facts;
    for (std::size_t at = 0; at < facts.bindings.size(); ++at) {
        if (facts.bindings[at].parent < 0) names.bindings.push_back(static_cast<Index>(at));
    }
    for (std::size_t at = 0; at < facts.imports.size(); ++at) {
        const Import& import = facts.imports[at];
        if (import.never_runs) continue;
        if (import.member == "*") {
            names.stars.push_back(static_cast<Index>(at));
        } else if (!import.local.empty() && import.function < 0) {
            names.imports.push_back(static_cast<Index>(at));
        }
    }
    for (std::size_t at = 0; at < facts.functions.size(); ++at) {
        if (facts.functions[at].parent >= 0) names.functions.push_back(static_cast<Index>(at));
    }
    sort_by(names.bindings, [&](Index at) { return facts.bindings[at].name; });
    sort_by(names.imports, [&](Index at) { return facts.imports[at].local; });
    sort_by(names.functions, [&](Index at) { return facts.functions[at].name; });
    return names;
}

std::vector<Referent> References::resolve(Index file, Text canonical) {
    return run({file, std::string(canonical), false, true});
}

std::vector<Referent> References::resolve_call(Index file, Index caller, Text callee) {
    const Facts& facts = project_.files[file].facts;
    const Index parent = caller >= 0 ? facts.functions[caller].parent : -1;
    const Text head = first_part(callee);
    const Text rest = after_first_part(callee);
    if (parent < 0 || rest.empty() || (head != "self" && head != "cls")) return resolve(file, callee);
    targets_.clear();
    steps_.clear();
    look_in_class(file, parent, rest);
    return std::exchange(targets_, {});
}

std::vector<Referent> References::run(Step first) {
    targets_.clear();
    steps_.clear();
    steps_.push_back(std::move(first));
    for (std::size_t at = 0; at < steps_.size() && at < kMaxSteps; ++at) {
        const Step step = steps_[at];  // a copy: following it adds steps
        follow(step);
    }
    return std::exchange(targets_, {});
}

void References::follow(const Step& step) {
    const Text name = step.name;
    if (!step.is_canonical && !name.starts_with('.')) {
        const Facts& facts = project_.files[step.file].facts;
        const Names& names = names_of(step.file);
        const auto [begin, end] =
            equal(names.bindings, first_part(name), [&](Index at) { return facts.bindings[at].name; });
        // An import's name has been replaced by what it stands for already.
        const bool is_own = std::any_of(begin, end, [&](Index at) {
            return facts.bindings[at].kind != BindingKind::kImport && facts.bindings[at].kind != BindingKind::kDeleted;
        });
        if (is_own) {
            look_in(step.file, name);
            // `from server import Server; server = Server()`: server.Server may be that of the import all the same.
            if (!has_members_of(facts, first_part(name))) return;
        }
    }
    const Modules::Prefix prefix = modules_.find_prefix(step.file, name);
    if (prefix.file >= 0) {
        Text rest = name.substr(prefix.size);
        if (rest.starts_with('.')) rest.remove_prefix(1);
        if (rest.empty()) return found({Referent::Kind::kModule, prefix.file, -1, {}});
        return look_in(prefix.file, rest);
    }
    if (name.starts_with('.')) return;
    found({Referent::Kind::kExternal, -1, -1, std::string(name), step.is_first});
    // A bare name that nothing binds may be one of a star import's.
    if (!step.is_canonical && name.find('.') == Text::npos) look_in(step.file, name);
}

void References::look_in(Index file, Text name) {
    const Facts& facts = project_.files[file].facts;
    const Names& names = names_of(file);
    const Text head = first_part(name);
    const Text rest = after_first_part(name);
    const auto [begin, end] = equal(names.bindings, head, [&](Index at) { return facts.bindings[at].name; });
    const auto [first, last] = equal(names.imports, head, [&](Index at) { return facts.imports[at].local; });
    for (auto at = first; at != last; ++at) follow_import(file, facts.imports[*at], rest);
    for (auto at = begin; at != end; ++at) {
        const Binding& binding = facts.bindings[*at];
        if (binding.kind == BindingKind::kFunction && rest.empty()) {
            found({Referent::Kind::kFunction, file, binding.index, {}});
        } else if (binding.kind == BindingKind::kClass) {
            look_in_class(file, binding.index, rest);
        } else if (binding.kind == BindingKind::kValue && is_name(binding.value) && first_part(binding.value) != head) {
            steps_.push_back({file, std::string(binding.value) + (rest.empty() ? "" : ".") + std::string(rest), false});
        } else if (binding.kind == BindingKind::kValue) {
            found({Referent::Kind::kValue, file, -1, std::string(rest.empty() ? rest : last_part(rest))});
        }
    }
    if (begin != end || first != last) return;
    for (const Index at : names.stars) {
        const Import& star = facts.imports[at];
        steps_.push_back(
            {file, std::string(star.level, '.') + std::string(star.module) + "." + std::string(name), true});
    }
}

void References::look_in_class(Index file, Index index, Text name) {
    const Facts& facts = project_.files[file].facts;
    while (!name.empty()) {
        const Text head = first_part(name);
        const auto inner = std::find_if(facts.classes.begin(), facts.classes.end(),
                                        [&](const Class& one) { return one.parent == index && one.name == head; });
        if (inner == facts.classes.end()) break;
        index = static_cast<Index>(inner - facts.classes.begin());
        name = after_first_part(name);
    }
    if (name.empty()) return found({Referent::Kind::kClass, file, index, {}});
    if (name.find('.') != Text::npos) return found({Referent::Kind::kValue, file, -1, std::string(last_part(name))});
    if (const Index own = method(file, index, name); own >= 0) return found({Referent::Kind::kFunction, file, own, {}});
    found({Referent::Kind::kMember, file, index, std::string(name)});
}

void References::follow_import(Index file, const Import& import, Text rest) {
    std::string name(import.level, '.');
    if (!import.member.empty()) {
        name += import.module;
        if (!import.module.empty()) name += '.';
        name += import.member;
    } else {
        name += import.is_whole || import.is_call ? import.module : first_part(import.module);
    }
    if (!rest.empty()) {
        name += '.';
        name += rest;
    }
    steps_.push_back({file, std::move(name), true});
}

void References::found(Referent target) {
    targets_.push_back(std::move(target));
}

Index References::method(Index file, Index index, Text name) {
    const Facts& facts = project_.files[file].facts;
    const auto [begin, end] = equal(names_of(file).functions, name, [&](Index at) { return facts.functions[at].name; });
    Index last = -1;
    for (auto at = begin; at != end; ++at) {
        if (facts.functions[*at].parent == index) last = *at;  // the last definition counts
    }
    return last;
}

References::Lineage References::lineage(Index file, Index index) {
    Lineage lineage;
    lineage.classes.push_back({file, index});
    for (std::size_t at = 0; at < lineage.classes.size(); ++at) {
        const Lineage::Class derived = lineage.classes[at];
        for (const Text base : project_.files[derived.file].facts.classes[derived.index].bases) {
            if (base.empty()) continue;
            for (Referent& target : resolve(derived.file, base)) {
                if (target.kind == Referent::Kind::kExternal) lineage.externals.push_back(std::move(target.name));
                if (target.kind != Referent::Kind::kClass) continue;
                const bool is_new = std::none_of(lineage.classes.begin(), lineage.classes.end(), [&](auto known) {
                    return known.file == target.file && known.index == target.index;
                });
                if (is_new) lineage.classes.push_back({target.file, target.index});
            }
        }
    }
    return lineage;
}

}  // namespace tach::analyzer
