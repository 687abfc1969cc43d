#include "analyzer/fixtures.h"

#include <algorithm>
#include <array>

#include "analyzer/hooks.h"

namespace tach::analyzer {

namespace {

struct Builtin {
    Text name;
    Scope scope;
    std::array<Text, 3> requests;
    PytestVersion since;
};

// What `pytest --fixtures -v` names without plugins, 7.4 to 9.2, and what each asks for.
constexpr std::array kBuiltins{
    Builtin{"LineMatcher", Scope::kFunction, {"request"}, 0},
    Builtin{"cache", Scope::kFunction, {"request"}, 0},
    Builtin{"capfd", Scope::kFunction, {"request"}, 0},
    Builtin{"capfdbinary", Scope::kFunction, {"request"}, 0},
    Builtin{"caplog", Scope::kFunction, {"request"}, 0},
    Builtin{"capsys", Scope::kFunction, {"request"}, 0},
    Builtin{"capsysbinary", Scope::kFunction, {"request"}, 0},
    Builtin{"capteesys", Scope::kFunction, {"request"}, 804},
    Builtin{"doctest_namespace", Scope::kSession, {}, 0},
    Builtin{"linecomp", Scope::kFunction, {}, 0},
    Builtin{"monkeypatch", Scope::kFunction, {}, 0},
    Builtin{"pytestconfig", Scope::kSession, {"request"}, 0},
    Builtin{"pytester", Scope::kFunction, {"request", "tmp_path_factory", "monkeypatch"}, 0},
    Builtin{"record_property", Scope::kFunction, {"request"}, 0},
    Builtin{"record_testsuite_property", Scope::kSession, {"request"}, 0},
    Builtin{"record_xml_attribute", Scope::kFunction, {"request"}, 0},
    Builtin{"recwarn", Scope::kFunction, {}, 0},
    Builtin{"request", Scope::kFunction, {}, 0},
    Builtin{"subtests", Scope::kFunction, {"request"}, 900},
    Builtin{"testdir", Scope::kFunction, {"pytester"}, 0},
    Builtin{"tmp_path", Scope::kFunction, {"request", "tmp_path_factory"}, 0},
    Builtin{"tmp_path_factory", Scope::kSession, {"request"}, 0},
    Builtin{"tmpdir", Scope::kFunction, {"tmp_path"}, 0},
    Builtin{"tmpdir_factory", Scope::kSession, {"request"}, 0},
};

constexpr PytestVersion kFirstDepthFirst = 901;
constexpr PytestVersion kFirstThroughOverridden = 900;

enum class Order : std::uint8_t { kBreadth, kInitialThenDepth, kDepth };

Text text_of(Scope scope) {
    constexpr std::array kNames{Text("function"), Text("class"), Text("module"), Text("package"), Text("session")};
    return scope == Scope::kDynamic ? Text("dynamic") : kNames[static_cast<std::size_t>(scope)];
}

bool contains(std::span<const Text> names, Text name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

// One computation of a closure: names in pytest's order, and what is wrong on the way.
class Fixtures::Walk {
  public:
    Walk(Fixtures& all, const Request& request) : all_(all), request_(request) {}

    std::vector<Text> names(std::span<const Text> initial, Order order) {
        states_.clear();
        names_.clear();
        if (order == Order::kBreadth) {
            for (const Text name : initial) add(name);
            for (std::size_t next_name = 0; next_name < names_.size();) {  // grows
                const std::vector<Index>& found = chain(names_[next_name++]);
                if (found.empty()) continue;
                for (const Text next : all_.requests_of(fixture(found.front()))) add(next);
            }
            return std::move(names_);
        }
        if (order == Order::kInitialThenDepth) {
            for (const Text name : initial) add(name);
        }
        for (const Text name : initial) visit(name);
        return std::move(names_);
    }

    void sort_by_scope(std::vector<Text>& names) {
        const auto width = [&](Text name) {
            const std::vector<Index>& found = chain(name);
            const Scope scope = found.empty() ? Scope::kFunction : fixture(found.front()).scope;
            return scope == Scope::kDynamic ? 0 : static_cast<int>(scope);
        };
        std::stable_sort(names.begin(), names.end(), [&](Text one, Text other) { return width(one) > width(other); });
    }

    // Fixtures of the name as they are visible, the nearest first; none of what parametrize gives.
    const std::vector<Index>& chain(Text name) {
        const auto [at, is_new] = chains_.try_emplace(name);
        if (is_new && !contains(request_.given, name)) all_.chain(request_.place, name, at->second);
        return at->second;
    }

    void parametrized(const std::vector<Text>& names, std::vector<Index>& found) {
        for (const Text name : names) {
            for (const Index index : chain(name)) {
                if (fixture(index).fixture >= 0 && all_.parameters_of(fixture(index)) != nullptr) {
                    found.push_back(index);
                    break;
                }
                if (!contains(all_.requests_of(fixture(index)), name)) break;
            }
        }
    }

    bool tells = false;             // diagnostics
    std::vector<Index> overridden;  // that were visited

  private:
    struct State {
        std::size_t depth = 0;  // how far out the next one of the name is, from here
        bool is_named = false;
        bool is_done = false;
    };

    const FixtureInfo& fixture(Index index) const { return all_.fixtures[static_cast<std::size_t>(index)]; }

    void add(Text name) {
        State& state = states_[name];
        if (!state.is_named) names_.push_back(name);
        state.is_named = true;
    }

    // _pytest/fixtures.py, traverse_fixture_closure.
    void visit(Text name) {
        add(name);
        const std::vector<Index>& found = chain(name);
        State& state = states_[name];
        if (state.depth == 0 && state.is_done) return;
        if (found.empty()) {
            state.is_done = true;
            if (tells && !contains(request_.given, name)) tell_unknown(name);
            return;
        }
        if (state.depth >= found.size()) {
            if (tells) tell_cycle(name);
            return;
        }
        const Index index = found[state.depth];
        if (state.depth != 0 && std::find(overridden.begin(), overridden.end(), index) == overridden.end()) {
            overridden.push_back(index);
        }
        state.is_done = true;
        ++state.depth;
        stack_.push_back(index);
        for (const Text next : all_.requests_of(fixture(index))) {
            if (tells) check_scope(index, next);
            visit(next);
        }
        stack_.pop_back();
        --states_[name].depth;
    }

    void check_scope(Index wide, Text name) {
        const std::vector<Index>& found = chain(name);
        const std::size_t depth = states_[name].depth;
        if (depth >= found.size() || name == "request") return;
        const Scope asking = fixture(wide).scope;
        const Scope asked = fixture(found[depth]).scope;
        if (asking == Scope::kDynamic || asked == Scope::kDynamic || asking <= asked) return;
        tell(Severity::kError, wide, found[depth],
             {"fixture '", fixture(wide).name, "' of scope ", text_of(asking), " asks for '", name, "' of scope ",
              text_of(asked), ": ", chain_text(0), name});
    }

    void tell_cycle(Text name) {
        std::size_t first = 0;
        for (std::size_t i = 0; i != stack_.size(); ++i) {
            if (fixture(stack_[i]).name == name) {
                first = i;
                break;
            }
        }
        tell(Severity::kError, stack_.back(), stack_[first],
             {"fixtures ask for each other: ", chain_text(first), name});
    }

    void tell_unknown(Text name) {
        const bool is_missing = all_.options_.plugins_are_known;
        // Told by close_fixtures(), whichever test comes to it first.
        if (!stack_.empty() && fixture(stack_.back()).file >= 0 && !request_.asker.empty()) return;
        if (stack_.empty() && !all_.told_names_.insert(name).second && !is_missing) return;
        // A name has no index: its place in the facts tells one from another.
        const auto mark = static_cast<Index>(std::hash<Text>{}(name)&0x7FFFFFFFU);
        tell(is_missing ? Severity::kError : Severity::kNote, stack_.empty() ? -1 : stack_.back(), mark,
             {"fixture '", name, is_missing ? "' does not exist: " : "' is not in the project, a plugin may have it: ",
              request_.asker, request_.asker.empty() ? "" : " -> ", chain_text(0), name},
             stack_.empty() ? name : Text());
    }

    Text chain_text(std::size_t first) {
        std::string text;
        for (std::size_t i = first; i != stack_.size(); ++i) text.append(fixture(stack_[i]).name).append(" -> ");
        return all_.arena_.keep(text);
    }

    void tell(Severity severity, Index asking, Index asked, std::initializer_list<std::string_view> message,
              Text about = {}) {
        const auto key =
            static_cast<std::uint64_t>(static_cast<std::uint32_t>(asking)) << 32U | static_cast<std::uint32_t>(asked);
        const bool is_of_a_fixture = asking >= 0 && fixture(asking).file >= 0;
        if (is_of_a_fixture && !all_.told_.insert(key).second) return;
        FileDiagnostic made{request_.file, {severity, request_.at, all_.arena_.join(message)}, about};
        if (is_of_a_fixture) {
            const FixtureInfo& info = fixture(asking);
            made.file = info.file;
            made.diagnostic.at = all_.names_.facts(info.file).functions[static_cast<std::size_t>(info.function)].at;
        }
        all_.diagnostics.push_back(made);
    }

    Fixtures& all_;
    const Request& request_;
    std::unordered_map<Text, std::vector<Index>> chains_;
    std::unordered_map<Text, State> states_;
    std::vector<Text> names_;
    std::vector<Index> stack_;
};

Fixtures::Fixtures(const Project& project, ProjectNames& names, Arena& arena, const TestOptions& options)
    : project_(project), names_(names), arena_(arena), options_(options), module_places_(project.files.size(), -1) {
    add_builtins();
    add_plugins();
    add_conftests();
}

void Fixtures::add_builtins() {
    Place place;
    const auto add = [&](Text name, Index bit, Scope scope, FixtureOrigin origin) {
        place.fixtures.push_back(static_cast<Index>(fixtures.size()));
        FixtureInfo info;
        info.name = info.attribute = name;
        info.bit = bit;
        info.place = 0;
        info.scope = scope;
        info.origin = origin;
        fixtures.push_back(info);
    };
    for (std::size_t i = 0; i != kBuiltins.size(); ++i) {
        if (options_.pytest != 0 && kBuiltins[i].since > options_.pytest) continue;
        add(kBuiltins[i].name, static_cast<Index>(i), kBuiltins[i].scope, FixtureOrigin::kPytest);
    }
    for (const std::string& name : options_.plugin_fixtures) {
        add(name, -1, Scope::kFunction, FixtureOrigin::kPlugin);
    }
    for (const std::string& name : project_.settings.usefixtures) place.autouse.emplace_back(name);
    finish(std::move(place));
}

// Plugins named by -p and by conftest.py; those of a test module are seen from there on only, see add_module.
void Fixtures::add_plugins() {
    Place place;
    place.parent = 0;
    std::unordered_set<Index> seen;
    for (const std::string& name : project_.settings.plugins) add_plugin(names_.module(-1, Text(name)), place, seen);
    for (const SourceFile& file : project_.files) {
        if (!file.is_conftest) continue;
        const auto index = static_cast<Index>(&file - project_.files.data());
        for (const Text name : file.facts.plugins) add_plugin(names_.module(index, name), place, seen);
    }
    directories_.emplace(Text("/"), finish(std::move(place)));  // no relative directory has this name: the outermost
}

void Fixtures::add_plugin(Index file, Place& place, std::unordered_set<Index>& seen) {
    if (file < 0 || !seen.insert(file).second) return;
    plugin_files_.push_back(file);
    for (const Text name : names_.facts(file).plugins) add_plugin(names_.module(file, name), place, seen);
    add_module(file, place);
}

void Fixtures::add_conftests() {
    std::vector<Index> conftests;
    for (const SourceFile& file : project_.files) {
        // pytest does not look above its root directory.
        if (!file.is_conftest || file.path.starts_with('/')) continue;
        conftests.push_back(static_cast<Index>(&file - project_.files.data()));
    }
    const auto depth = [&](Index file) {
        const std::string& path = project_.files[static_cast<std::size_t>(file)].path;
        return std::count(path.begin(), path.end(), '/');
    };
    std::stable_sort(conftests.begin(), conftests.end(),
                     [&](Index one, Index other) { return depth(one) < depth(other); });
    for (const Index file : conftests) {
        const Text directory = directory_of(project_.files[static_cast<std::size_t>(file)].path);
        Place place;
        place.parent = place_of_directory(directory);
        add_module(file, place);
        const Index made = finish(std::move(place));
        directories_[directory] = made;
        module_places_[static_cast<std::size_t>(file)] = made;
    }
}

// Of the nearest conftest.py at or above the directory.
Index Fixtures::place_of_directory(Text directory) {
    for (;;) {
        const auto found = directories_.find(directory);
        if (found != directories_.end()) return found->second;
        if (directory.empty()) return directories_.find(Text("/"))->second;
        directory = directory_of(directory);
    }
}

Index Fixtures::place_of_module(Index file) {
    Index& known = module_places_[static_cast<std::size_t>(file)];
    if (known >= 0) return known;
    const Text directory = directory_of(project_.files[static_cast<std::size_t>(file)].path);
    if (last_place_ < 0 || directory != last_directory_) {
        last_place_ = place_of_directory(directory);
        last_directory_ = directory;
    }
    Place place;
    place.parent = last_place_;
    for (const Text name : names_.facts(file).plugins) {
        const Index plugin = names_.module(file, name);
        if (plugin < 0 || std::find(plugin_files_.begin(), plugin_files_.end(), plugin) != plugin_files_.end())
            continue;
        Place outer;
        outer.parent = place.parent;
        add_module(plugin, outer);
        place.parent = finish(std::move(outer));
    }
    add_module(file, place);
    return known = finish(std::move(place));
}

Index Fixtures::place_of_class(Index around, const Lineage& lineage) {
    if (!lineage.has_fixtures) return around;
    Place place;
    place.parent = around;
    add_class(lineage, place);
    return finish(std::move(place));
}

void Fixtures::add_module(Index file, Place& place) {
    const Facts& facts = names_.facts(file);
    // Unknown names may be fixtures for everybody, or override others.
    if (!names_.visible(file, visible_)) place.is_uncertain = true;
    for (const Visible& name : visible_) {
        const Binding& binding = names_.facts(name.file).bindings[static_cast<std::size_t>(name.binding)];
        switch (binding.kind) {
            case BindingKind::kFunction:
                if (names_.facts(name.file).functions[static_cast<std::size_t>(binding.index)].fixture < 0) continue;
                break;
            case BindingKind::kImport:
                if (facts.imports.empty() && name.file == file) continue;
                break;
            case BindingKind::kValue:
                if (!is_name(binding.value)) continue;
                break;
            default:
                continue;
        }
        add_target(name.name, names_.target(name.file, binding), name.is_doubtful, place);
    }
}

// As dir() of an instance shows them: the first one of each name in the order of resolution.
void Fixtures::add_class(const Lineage& lineage, Place& place) {
    std::unordered_set<Text> seen;
    for (const ClassRef ref : lineage.order) {
        const Facts& facts = names_.facts(ref.file);
        for (const Index index : names_.members(ref.file, ref.index)) {
            const Binding& binding = facts.bindings[static_cast<std::size_t>(index)];
            if (binding.kind == BindingKind::kDeleted || !seen.insert(binding.name).second) continue;
            add_target(binding.name, names_.target(ref.file, binding), false, place);
        }
    }
}

void Fixtures::add_target(Text attribute, const Target& target, bool is_doubtful, Place& place) {
    if (target.kind != TargetKind::kFunction) return;
    const Facts& facts = names_.facts(target.file);
    const Function& function = facts.functions[static_cast<std::size_t>(target.index)];
    if (function.fixture < 0) return;
    const Fixture& fixture = facts.fixtures[static_cast<std::size_t>(function.fixture)];
    FixtureInfo info;
    info.name = fixture.name == function.name ? attribute : fixture.name;
    info.attribute = attribute;
    info.file = target.file;
    info.fixture = function.fixture;
    info.function = target.index;
    info.scope = fixture.scope;
    info.is_conditional = target.is_conditional || is_doubtful;
    // Computed parameters concern those who ask for it; a computed name or autouse, everybody.
    const bool are_parameters_computed =
        fixture.parameters >= 0 && !facts.parameters[static_cast<std::size_t>(fixture.parameters)].known;
    if (!fixture.known && !are_parameters_computed) place.is_uncertain = true;
    place.fixtures.push_back(static_cast<Index>(fixtures.size()));
    fixtures.push_back(info);
}

Index Fixtures::finish(Place place) {
    if (place.fixtures.empty() && !place.is_uncertain && place.parent >= 0) return place.parent;
    const auto index = static_cast<Index>(places_.size());
    const auto info = [&](Index fixture) -> FixtureInfo& { return fixtures[static_cast<std::size_t>(fixture)]; };
    // pytest registers fixtures in the order of dir().
    std::sort(place.fixtures.begin(), place.fixtures.end(),
              [&](Index one, Index other) { return info(one).attribute < info(other).attribute; });
    if (place.parent >= 0) {
        const Place& outer = places_[static_cast<std::size_t>(place.parent)];
        place.autouse = outer.autouse;
        place.is_uncertain |= outer.is_uncertain;
    }
    for (const Index fixture : place.fixtures) {
        FixtureInfo& made = info(fixture);
        made.place = index;
        if (made.file < 0) continue;
        if (names_.facts(made.file).fixtures[static_cast<std::size_t>(made.fixture)].autouse) {
            place.autouse.push_back(made.name);
        }
    }
    std::stable_sort(place.fixtures.begin(), place.fixtures.end(),
                     [&](Index one, Index other) { return info(one).name < info(other).name; });
    places_.push_back(std::move(place));
    return index;
}

void Fixtures::chain(Index place, Text name, std::vector<Index>& nearest_first) const {
    const auto name_of = [&](Index fixture) { return fixtures[static_cast<std::size_t>(fixture)].name; };
    for (; place >= 0; place = places_[static_cast<std::size_t>(place)].parent) {
        const std::vector<Index>& all = places_[static_cast<std::size_t>(place)].fixtures;
        auto at =
            std::lower_bound(all.begin(), all.end(), name, [&](Index one, Text other) { return name_of(one) < other; });
        const auto begin = at;
        while (at != all.end() && name_of(*at) == name) ++at;
        while (at != begin) nearest_first.push_back(*--at);  // the one that was registered last is the nearest
    }
}

const Parameters* Fixtures::parameters_of(const FixtureInfo& fixture) const {
    if (fixture.file < 0) return nullptr;
    const Facts& facts = names_.facts(fixture.file);
    const Index parameters = facts.fixtures[static_cast<std::size_t>(fixture.fixture)].parameters;
    return parameters < 0 ? nullptr : &facts.parameters[static_cast<std::size_t>(parameters)];
}

std::span<const Text> Fixtures::requests_of(const FixtureInfo& fixture) const {
    if (fixture.file >= 0)
        return names_.facts(fixture.file).functions[static_cast<std::size_t>(fixture.function)].requests;
    if (fixture.bit < 0) return {};
    const auto& requests = kBuiltins[static_cast<std::size_t>(fixture.bit)].requests;
    const auto end = std::find(requests.begin(), requests.end(), Text());
    return {requests.begin(), static_cast<std::size_t>(end - requests.begin())};
}

Index Fixtures::closure(const Request& request) {
    Index& plain = places_[static_cast<std::size_t>(request.place)].plain;
    const bool is_plain = request.names.empty() && request.given.empty();
    if (is_plain && plain >= 0) return plain;
    if (is_plain) return plain = make_closure(request, true);

    std::size_t hash = static_cast<std::size_t>(request.place) + request.names.size() * 0x9E3779B97F4A7C15U;
    const auto mix = [&](Text name) { hash = (hash ^ std::hash<Text>{}(name)) * 0x9E3779B97F4A7C15U; };
    for (const Text name : request.names) mix(name);
    for (const Text name : request.given) mix(name);
    std::vector<Key>& keys = keys_[hash];
    for (const Key& key : keys) {
        if (key.place != request.place || key.asked != request.names.size()) continue;
        const std::span<const Text> all(key.names);
        if (std::equal(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(key.asked), request.names.begin()) &&
            std::equal(all.begin() + static_cast<std::ptrdiff_t>(key.asked), all.end(), request.given.begin(),
                       request.given.end())) {
            return key.closure;
        }
    }
    Key key;
    key.place = request.place;
    key.asked = request.names.size();
    key.names.assign(request.names.begin(), request.names.end());
    key.names.insert(key.names.end(), request.given.begin(), request.given.end());
    key.closure = make_closure(request, true);
    keys.push_back(std::move(key));
    return keys.back().closure;
}

Index Fixtures::make_closure(const Request& request, bool with_autouse) {
    const Place& place = places_[static_cast<std::size_t>(request.place)];
    std::vector<Text> initial;
    if (with_autouse) initial = place.autouse;
    initial.insert(initial.end(), request.names.begin(), request.names.end());

    Walk walk(*this, request);
    walk.tells = true;
    std::vector<Text> depth_first = walk.names(initial, Order::kDepth);  // finds what is wrong in all versions
    walk.tells = false;
    Closure made;
    made.overridden = walk.overridden;
    const PytestVersion version = options_.pytest;
    const bool is_breadth = version != 0 && version < kFirstThroughOverridden;
    std::vector<Text> names = is_breadth ? walk.names(initial, Order::kBreadth) : std::move(depth_first);
    walk.sort_by_scope(names);
    walk.parametrized(names, made.parametrized);
    if (version < kFirstDepthFirst && !is_breadth && !made.parametrized.empty()) {
        for (const Order order : {Order::kBreadth, Order::kInitialThenDepth}) {
            if (version != 0 && order == Order::kBreadth) continue;
            std::vector<Text> others = walk.names(initial, order);
            walk.sort_by_scope(others);
            std::vector<Index> parametrized;
            walk.parametrized(others, parametrized);
            if (parametrized != made.parametrized) made.reasons |= Dynamic::kParameters;
        }
    }

    if (place.is_uncertain) made.reasons |= Dynamic::kFixture;
    made.needs.reserve(names.size());
    for (const Text name : names) {
        const std::vector<Index>& found = walk.chain(name);
        Need need{name, NeedKind::kParameter, -1};
        if (!found.empty()) {
            need.kind = NeedKind::kFixture;
            need.fixture = found.front();
            const FixtureInfo& info = fixtures[static_cast<std::size_t>(need.fixture)];
            if (info.is_conditional) made.reasons |= Dynamic::kFixture;
            if (info.scope == Scope::kDynamic && made.parametrized.size() > 1) made.reasons |= Dynamic::kParameters;
            if (info.file >= 0) {
                const Function& function = names_.facts(info.file).functions[static_cast<std::size_t>(info.function)];
                made.asks_later |= function.asks_for_fixtures || !function.literals.empty();
            }
        } else if (!contains(request.given, name)) {
            need.kind = NeedKind::kUnknown;
            made.reasons |= Dynamic::kFixture;
        }
        made.needs.push_back(need);
    }
    closures.push_back(std::move(made));
    return static_cast<Index>(closures.size()) - 1;
}

void Fixtures::close_fixtures() {
    for (FixtureInfo& info : fixtures) {
        if (info.file < 0) continue;
        const Text name = info.name;
        Request request;
        request.place = info.place;
        request.names = {&name, 1};
        request.file = info.file;
        request.at = names_.facts(info.file).functions[static_cast<std::size_t>(info.function)].at;
        info.closure = make_closure(request, false);
    }
}

}  // namespace tach::analyzer
