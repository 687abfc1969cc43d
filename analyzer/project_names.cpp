#include "analyzer/project_names.h"

#include <algorithm>
#include <bit>
#include <unordered_set>
#include <utility>

namespace tach::analyzer {

namespace {

// More re-exports than any sane project has between a name and its definition; a guess that ends cycles.
constexpr int kMostSteps = 16;

// Of a namespace: the module's comes first.
std::size_t place_of(Index parent) {
    return parent < 0 ? 0 : static_cast<std::size_t>(parent) + 1;
}

std::size_t hash_of(Index parent, Text name) {
    return std::hash<Text>{}(name) ^ (place_of(parent) * 0x9E3779B97F4A7C15U);
}

bool is_star(const Import& import) {
    return import.member == "*" && import.function < 0 && !import.never_runs;
}

// Does `from module import *` bring the name?
bool is_exported(const Facts& facts, Text name) {
    if (!facts.has_exports) return !name.starts_with('_');
    return std::find(facts.exports.begin(), facts.exports.end(), name) != facts.exports.end();
}

bool is_before(const Position& one, const Position& other) {
    return std::pair(one.line, one.column) < std::pair(other.line, other.column);
}

}  // namespace

bool is_name(Text value) {
    if (value.empty() || value == "None" || value == "True" || value == "False") return false;
    const auto letter = [](char c) {
        return c == '_' || c == '.' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               static_cast<signed char>(c) < 0;
    };
    if (!letter(value.front()) || value == "...") return false;
    return std::all_of(value.begin(), value.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool Target::leads_to(Text dotted) const {
    if (kind != TargetKind::kOutside) return false;
    if (member.empty()) return dotted == module;
    return dotted.size() == module.size() + 1 + member.size() && dotted.starts_with(module) &&
           dotted[module.size()] == '.' && dotted.ends_with(member);
}

ProjectNames::ProjectNames(const Project& project, ModuleLookup modules)
    : project_(project), modules_(std::move(modules)), spaces_(project.files.size()) {}

ProjectNames::Space& ProjectNames::space(Index file) {
    Space& space = spaces_[static_cast<std::size_t>(file)];
    if (!space.begins.empty()) return space;
    const Facts& all = facts(file);
    space.begins.assign(all.classes.size() + 2, 0);
    for (const Binding& binding : all.bindings) ++space.begins[place_of(binding.parent)];
    std::uint32_t sum = 0;
    for (std::uint32_t& begin : space.begins) begin = std::exchange(sum, sum + begin);
    space.grouped.resize(all.bindings.size());
    std::vector<std::uint32_t> next(space.begins);
    for (std::size_t i = 0; i != all.bindings.size(); ++i) {
        space.grouped[next[place_of(all.bindings[i].parent)]++] = static_cast<Index>(i);
    }
    space.has_stars = std::any_of(all.imports.begin(), all.imports.end(), is_star);
    return space;
}

std::span<const Index> ProjectNames::members(Index file, Index parent) {
    const Space& found = space(file);
    const std::size_t place = place_of(parent);
    return std::span(found.grouped).subspan(found.begins[place], found.begins[place + 1] - found.begins[place]);
}

Index ProjectNames::find(Index file, Index parent, Text name) {
    const Facts& all = facts(file);
    if (all.bindings.empty()) return -1;
    Space& found = space(file);
    const std::size_t mask = std::bit_ceil(all.bindings.size() * 2) - 1;
    const auto slot_of = [&](Index at_parent, Text wanted) {
        std::size_t slot = hash_of(at_parent, wanted) & mask;
        while (found.slots[slot] >= 0) {
            const Binding& other = all.bindings[static_cast<std::size_t>(found.slots[slot])];
            if (other.parent == at_parent && other.name == wanted) break;
            slot = (slot + 1) & mask;
        }
        return slot;
    };
    if (found.slots.empty()) {
        found.slots.assign(mask + 1, -1);
        for (std::size_t i = 0; i != all.bindings.size(); ++i) {
            found.slots[slot_of(all.bindings[i].parent, all.bindings[i].name)] = static_cast<Index>(i);
        }
    }
    return found.slots[slot_of(parent, name)];
}

Index ProjectNames::module(Index from_file, Text dotted) {
    if (dotted.starts_with('.')) return modules_.find(from_file, dotted);
    const Text path = from_file >= 0 ? Text(project_.files[static_cast<std::size_t>(from_file)].path) : Text();
    const Text directory = path.substr(0, path.rfind('/') + 1);
    if (of_directory_ == nullptr || directory != directory_) of_directory_ = &absolute_[directory];
    directory_ = directory;
    const auto known = of_directory_->find(dotted);
    if (known != of_directory_->end()) return known->second;
    const Index found = modules_.find(from_file, dotted);
    // `dotted` may be a view into scratch_: only what the facts hold is kept.
    if (dotted.data() != scratch_.data()) of_directory_->emplace(dotted, found);
    return found;
}

Index ProjectNames::module(Index from_file, const Import& import) {
    if (import.level == 0) return module(from_file, import.module);
    scratch_.assign(import.level, '.');
    scratch_ += import.module;
    return modules_.find(from_file, scratch_);
}

Target ProjectNames::target(Index file, const Binding& binding, int depth) {
    Target found;
    found.file = file;
    found.index = binding.index;
    found.is_conditional = binding.is_conditional;
    switch (binding.kind) {
        case BindingKind::kFunction:
            found.kind = TargetKind::kFunction;
            found.is_conditional |= facts(file).functions[static_cast<std::size_t>(binding.index)].is_conditional;
            return found;
        case BindingKind::kClass:
            found.kind = TargetKind::kClass;
            found.is_conditional |= facts(file).classes[static_cast<std::size_t>(binding.index)].is_conditional;
            return found;
        case BindingKind::kDeleted:
            found.kind = TargetKind::kAbsent;
            return found;
        case BindingKind::kImport:
            found = imported(file, facts(file).imports[static_cast<std::size_t>(binding.index)], depth + 1);
            break;
        case BindingKind::kValue:
            if (is_name(binding.value) && binding.value != binding.name) {
                found = aliased(file, binding, depth + 1);
                // A name without a definition may be anything that was made at run time.
                if (found.kind == TargetKind::kAbsent) found.kind = TargetKind::kUnknown;
            } else {
                const bool is_data = binding.is_data || !(binding.value.empty() || is_name(binding.value));
                found.kind = is_data ? TargetKind::kData : TargetKind::kUnknown;
            }
            break;
    }
    found.is_conditional |= binding.is_conditional;
    return found;
}

// `name = other` in a class sees the names of the class first.
Target ProjectNames::aliased(Index file, const Binding& binding, int depth) {
    if (depth > kMostSteps) return {};
    if (binding.parent >= 0) {
        const std::size_t dot = binding.value.find('.');
        const Index local = find(file, binding.parent, binding.value.substr(0, dot));
        if (local >= 0) {
            const Text rest = dot == Text::npos ? Text() : binding.value.substr(dot + 1);
            const Target found = target(file, facts(file).bindings[static_cast<std::size_t>(local)], depth + 1);
            return descend(found, rest, depth + 1);
        }
    }
    return resolve(file, binding.value, depth);
}

Target ProjectNames::imported(Index file, const Import& import, int depth) {
    Target found;
    if (depth > kMostSteps) return found;
    if (import.never_runs) {
        found.kind = TargetKind::kAbsent;
        return found;
    }
    if (import.member.empty()) {
        found.kind = TargetKind::kModule;
        return found;
    }
    const Index from = module(file, import);
    if (from >= 0) found = member(from, import.member, depth + 1);
    if (from < 0 || found.kind == TargetKind::kAbsent) {
        scratch_.assign(import.level, '.');
        scratch_.append(import.module);
        if (!import.module.empty()) scratch_ += '.';
        scratch_ += import.member;
        if (module(file, scratch_) >= 0) {
            found.kind = TargetKind::kModule;
        } else if (from < 0) {
            found.kind = TargetKind::kOutside;
            found.module = import.module;
            found.member = import.member;
        } else {
            found.kind = TargetKind::kUnknown;  // a module's __getattr__, or an error when it is imported
        }
    }
    found.is_conditional |= import.is_conditional || import.is_guarded;
    return found;
}

Target ProjectNames::member(Index file, Text name, int depth) {
    if (depth > kMostSteps) return {};
    const Index binding = find(file, -1, name);
    if (binding >= 0) {
        Target found = target(file, facts(file).bindings[static_cast<std::size_t>(binding)], depth + 1);
        if (space(file).has_stars) found.is_conditional |= starred(file, name, depth + 1).kind != TargetKind::kAbsent;
        return found;
    }
    Target found = starred(file, name, depth + 1);
    if (found.kind == TargetKind::kAbsent && !facts(file).is_complete) found.kind = TargetKind::kUnknown;
    return found;
}

// What star imports of the file bring under the name; the last one wins.
Target ProjectNames::starred(Index file, Text name, int depth) {
    Target found;
    found.kind = TargetKind::kAbsent;
    if (depth > kMostSteps || !space(file).has_stars) return found;
    for (const Import& import : facts(file).imports) {
        if (!is_star(import)) continue;
        const Index from = module(file, import);
        if (from < 0 || (facts(from).has_exports && !facts(from).exports_known)) {
            if (found.kind == TargetKind::kAbsent) found.kind = TargetKind::kUnknown;
            continue;
        }
        if (!is_exported(facts(from), name)) continue;
        const Target next = member(from, name, depth + 1);
        if (next.kind == TargetKind::kAbsent) continue;
        found = next;
        found.is_conditional |= import.is_conditional || import.is_guarded;
    }
    return found;
}

Target ProjectNames::descend(Target target, Text rest, int depth) {
    while (!rest.empty()) {
        const std::size_t dot = rest.find('.');
        const Text name = rest.substr(0, dot);
        rest = dot == Text::npos ? Text() : rest.substr(dot + 1);
        if (target.kind != TargetKind::kClass) return {};
        const Index binding = find(target.file, target.index, name);
        if (binding < 0) return {};
        const bool was_conditional = target.is_conditional;
        target = this->target(target.file, facts(target.file).bindings[static_cast<std::size_t>(binding)], depth + 1);
        target.is_conditional |= was_conditional;
    }
    return target;
}

Target ProjectNames::resolve(Index file, Text canonical, int depth) {
    if (canonical.empty() || depth > kMostSteps) return {};
    if (!canonical.starts_with('.')) {
        const std::size_t dot = canonical.find('.');
        const Text first = canonical.substr(0, dot);
        const Text rest = dot == Text::npos ? Text() : canonical.substr(dot + 1);
        const Index binding = find(file, -1, first);
        if (binding >= 0) {
            const Binding& local = facts(file).bindings[static_cast<std::size_t>(binding)];
            if (local.kind != BindingKind::kImport) return descend(target(file, local, depth + 1), rest, depth + 1);
        } else {
            const Target found = starred(file, first, depth + 1);
            if (found.kind != TargetKind::kAbsent) return descend(found, rest, depth + 1);
        }
    }
    return resolve_module(file, canonical, depth);
}

// By the longest prefix that is a module of the project.
Target ProjectNames::resolve_module(Index file, Text canonical, int depth) {
    const std::size_t dots = std::min(canonical.find_first_not_of('.'), canonical.size());
    for (std::size_t end = canonical.size();;) {
        const Index found = module(file, canonical.substr(0, end));
        if (found >= 0) {
            Target target;
            target.kind = TargetKind::kModule;
            if (end == canonical.size()) return target;
            const Text rest = canonical.substr(end == dots ? end : end + 1);
            const std::size_t dot = rest.find('.');
            target = member(found, rest.substr(0, dot), depth + 1);
            if (target.kind == TargetKind::kAbsent) target.kind = TargetKind::kUnknown;
            return descend(target, dot == Text::npos ? Text() : rest.substr(dot + 1), depth + 1);
        }
        if (end <= dots) break;
        const std::size_t dot = canonical.rfind('.', end - 1);
        if (dot == Text::npos) break;
        end = std::max(dot, dots);
    }
    Target outside;
    outside.kind = TargetKind::kOutside;
    outside.module = canonical;
    return outside;
}

bool ProjectNames::append_star(Index file, const Import& import, bool is_doubtful, int depth,
                               std::vector<Visible>& names) {
    const Index from = module(file, import);
    if (from < 0 || depth > kMostSteps) return false;
    const Facts& all = facts(from);
    is_doubtful |= import.is_conditional || import.is_guarded;
    if (!all.has_exports) return append_all(from, is_doubtful, depth + 1, names) && all.is_complete;
    bool is_whole = all.is_complete && all.exports_known;
    for (const Text name : all.exports) {
        const Index binding = find(from, -1, name);
        if (binding >= 0) {
            names.push_back({name, from, binding, is_doubtful});
        } else {
            // By a star import of yet another file: rare enough to be told as not known.
            is_whole &= starred(from, name, 0).kind == TargetKind::kAbsent;
        }
    }
    return is_whole;
}

// The module's own names and those of its star imports, by their places in the source. Depth 0: with private names.
bool ProjectNames::append_all(Index file, bool is_doubtful, int depth, std::vector<Visible>& names) {
    const Facts& all = facts(file);
    const std::span<const Index> own = members(file, -1);
    bool is_whole = true;
    std::size_t next = 0;
    const auto append_until = [&](const Import* star) {
        for (; next != own.size(); ++next) {
            const Binding& binding = all.bindings[static_cast<std::size_t>(own[next])];
            if (star != nullptr && is_before(star->at, binding.at)) return;
            const bool is_the_star = binding.kind == BindingKind::kImport &&
                                     all.imports[static_cast<std::size_t>(binding.index)].member == "*";
            const bool is_hidden = depth != 0 && binding.name.starts_with('_');
            if (!is_the_star && !is_hidden) names.push_back({binding.name, file, own[next], is_doubtful});
        }
    };
    for (const Import& import : all.imports) {
        if (!is_star(import)) continue;
        append_until(&import);
        is_whole &= append_star(file, import, is_doubtful, depth + 1, names);
    }
    append_until(nullptr);
    return is_whole;
}

bool ProjectNames::visible(Index file, std::vector<Visible>& names) {
    names.clear();
    if (!space(file).has_stars) {
        const Facts& all = facts(file);
        for (const Index binding : members(file, -1)) {
            names.push_back({all.bindings[static_cast<std::size_t>(binding)].name, file, binding, false});
        }
        return true;
    }
    const bool is_whole = append_all(file, false, 0, names);

    // A name that comes twice keeps its first place; which of its values wins is not for us to say.
    std::unordered_map<Text, std::size_t> seen;
    std::size_t kept = 0;
    for (const Visible& name : names) {
        const auto [at, is_new] = seen.emplace(name.name, kept);
        if (is_new) {
            names[kept++] = name;
        } else if (names[at->second].file != name.file || names[at->second].binding != name.binding) {
            names[at->second].is_doubtful = true;
        }
    }
    names.resize(kept);
    return is_whole;
}

}  // namespace tach::analyzer
