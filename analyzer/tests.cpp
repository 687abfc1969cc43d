#include "analyzer/tests.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "analyzer/hooks.h"
#include "analyzer/patterns.h"

namespace tach::analyzer {

namespace {

// Products of parameters beyond this are not spelled out: the function stands for its items.
constexpr std::size_t kMostItems = 100'000;
// Classes within classes; an alias of a class within itself never ends.
constexpr int kMostNested = 16;
constexpr PytestVersion kFirstWithoutAbstract = 800;  // abstract classes of unittest are not collected

// Well-known names that match pytest's patterns and have no tests.
constexpr std::array kNoTests{
    Text("unittest.TestCase"),
    Text("unittest.IsolatedAsyncioTestCase"),
    Text("unittest.TestSuite"),
    Text("unittest.TestLoader"),
    Text("unittest.TestResult"),
    Text("unittest.TextTestRunner"),
    Text("fastapi.testclient.TestClient"),
    Text("starlette.testclient.TestClient"),
    Text("aiohttp.test_utils.TestClient"),
    Text("aiohttp.test_utils.TestServer"),
    Text("numpy.testing"),
    Text("pandas.testing"),
};

// Marks with which well-known plugins multiply tests.
constexpr std::array kMultiplyingMarks{Text("anyio"), Text("repeat")};

// What the marks of a test say, its own and those around it.
struct Marks {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::vector<Text> uses;  // usefixtures
    std::vector<MarkUse> parametrize;
    Dynamic reasons = Dynamic::kNothing;
};

// What pytest calls a collector: the module, or a class in it.
struct Collector {
    Index file = -1;   // the module's
    Index node = -1;   // into classes
    Index place = -1;  // of fixtures
    Text prefix;       // of ids
    Marks marks;
    Dynamic reasons = Dynamic::kNothing;
    int depth = 0;
    bool is_unittest = false;
    bool has_entry = false;  // one for the class or file as a whole
};

struct Name {
    Text name;
    Index file = -1;
    Index binding = -1;
    bool is_doubtful = false;
};

// The same node, or one below it.
bool is_at_or_below(Text id, Text node) {
    if (!id.starts_with(node)) return false;
    const Text rest = id.substr(node.size());
    return rest.empty() || rest.starts_with("::") || rest.starts_with('[');
}

bool is_ignored(Text name) {
    return name.starts_with("__") && name.ends_with("__");
}

bool is_before(const Position& one, const Position& other) {
    return one.line != other.line ? one.line < other.line : one.column < other.column;
}

bool adds_names(const std::vector<Decorator>& decorators) {
    return std::any_of(decorators.begin(), decorators.end(),
                       [](const Decorator& one) { return one.name.starts_with("parameterized."); });
}

// Calls with which code gives its module or classes names that are nowhere in the source.
bool makes_names(Text callee) {
    constexpr std::array kMakers{Text("globals"), Text("vars"), Text("locals"),
                                 Text("exec"),    Text("eval"), Text("setattr")};
    return callee.size() >= 4 && callee.size() <= 7 &&
           std::find(kMakers.begin(), kMakers.end(), callee) != kMakers.end();
}

// Do such calls run when the module is imported, in it or in a function of it that it calls?
bool makes_names(const Facts& facts) {
    std::unordered_set<Index> makers;
    for (const Call& call : facts.calls) {
        if (!makes_names(call.callee)) continue;
        if (call.caller < 0) return true;
        makers.insert(call.caller);
    }
    if (makers.empty()) return false;
    std::unordered_map<Text, std::vector<Index>> callers;
    for (const Call& call : facts.calls) callers[call.callee].push_back(call.caller);
    std::vector<Index> open(makers.begin(), makers.end());
    while (!open.empty()) {
        const Function& function = facts.functions[static_cast<std::size_t>(open.back())];
        open.pop_back();
        const auto found = callers.find(function.name);
        if (found == callers.end() || function.parent >= 0) continue;
        for (const Index caller : found->second) {
            if (caller < 0) return true;
            if (makers.insert(caller).second) open.push_back(caller);
        }
    }
    return false;
}

class Discovery {
  public:
    Discovery(const Project& project, const ModuleLookup& modules, const TestOptions& options)
        : project_(project),
          options_(options),
          arena_(std::make_unique<Arena>()),
          names_(project, modules),
          lineages_(names_),
          fixtures_(project, names_, *arena_, options),
          hooks_(project, names_, fixtures_.plugins()),
          name_of_(modules.name) {}

    Tests run();

  private:
    void collect_file(Index index);
    void collect_text(const SourceFile& file);
    void keep_named(Text path, std::size_t first);
    void collect_module(Index file);
    void collect_directories();
    void count_names();
    [[nodiscard]] bool is_importable(Index file) const;
    Dynamic module_reasons(Index file, const std::vector<Visible>& names, Wish& wish);
    void collect_name(Collector& around, const Name& name);
    void collect_target(Collector& around, const Name& name, const Target& target);
    void collect_class(Collector& around, Text name, const Target& target, Dynamic reasons);
    void collect_members(Collector& cls, const Lineage& lineage);
    void collect_unittest(Collector& cls, const Lineage& lineage);
    void collect_function(Collector& around, Text name, const Target& target, Dynamic reasons);
    void collect_items(const Collector& around, Test& test, const Function& function, const Marks& marks);
    void add_entry(Collector& collector, Dynamic reasons);
    void add_unknown(const Collector& around, const Name& name, Dynamic reasons);

    void add_marks(Index file, const std::vector<Mark>& all, Position definition, Marks& marks);
    void add_mark(Index file, const Mark& mark, Marks& marks);
    void add_class_marks(const Lineage& lineage, const Marks& around, Marks& marks);
    void add_marks_around(const Marks& around, Marks& marks);
    [[nodiscard]] bool sources_of(const Closure& closure, const Marks& marks, std::vector<const IdList*>& lists);
    [[nodiscard]] bool is_widely_parametrized(const Closure& closure, const Marks& marks) const;
    const IdList& ids(Index file, const Parameters& parameters);
    Text name_of_reference(Index file, Text canonical);

    [[nodiscard]] const Facts& facts(Index file) const { return names_.facts(file); }
    [[nodiscard]] const Binding& binding(const Name& name) const {
        return facts(name.file).bindings[static_cast<std::size_t>(name.binding)];
    }
    [[nodiscard]] bool is_function_name(Text name) const {
        return matches_any(name, project_.settings.python_functions);
    }
    [[nodiscard]] bool is_class_name(Text name) const { return matches_any(name, project_.settings.python_classes); }

    const Project& project_;
    const TestOptions& options_;
    std::unique_ptr<Arena> arena_;
    ProjectNames names_;
    Lineages lineages_;
    Fixtures fixtures_;
    Hooks hooks_;
    const std::function<Text(Index)>& name_of_;
    std::unordered_map<Text, int> named_;  // how many modules of tests have a name
    Tests found_;
    Index collected_ = -1;  // the file that is looked at, with what goes into its FileTests
    bool order_known_ = true;
    bool depends_on_order_ = false;
    std::unordered_map<const Parameters*, IdList> ids_;
    std::unordered_set<const Parameters*> spent_;  // of which the first test has had all values
    std::vector<Visible> visible_;
    std::vector<Text> asked_;  // scratch of collect_items
    std::vector<Text> given_;
};

Tests Discovery::run() {
    std::size_t most = 0;
    for (const SourceFile& file : project_.files) {
        if (file.is_test) most += file.facts.functions.size();
    }
    found_.tests.reserve(most);
    found_.shared_fixtures = static_cast<std::uint32_t>(fixtures_.fixtures.size());
    count_names();
    collect_directories();
    for (std::size_t i = 0; i != project_.files.size(); ++i) collect_file(static_cast<Index>(i));
    fixtures_.close_fixtures();
    found_.has_circles = lineages_.has_circles();
    found_.fixtures = std::move(fixtures_.fixtures);
    found_.closures = std::move(fixtures_.closures);
    found_.diagnostics = std::move(fixtures_.diagnostics);
    found_.arena = std::move(arena_);
    return std::move(found_);
}

// A conftest.py that collects files of its own may make tests of anything below it.
void Discovery::collect_directories() {
    for (const Index file : hooks_.collecting()) {
        FileTests entry{file, static_cast<std::uint32_t>(found_.tests.size()), 1, false};
        const Text directory = directory_of(project_.files[static_cast<std::size_t>(file)].path);
        Test test;
        test.id = directory.empty() ? Text(".") : directory;
        test.reach = Reach::kDirectory;
        test.reasons = Dynamic::kHook;
        found_.tests.push_back(test);
        found_.files.push_back(entry);
    }
}

void Discovery::collect_file(Index index) {
    const SourceFile& file = project_.files[static_cast<std::size_t>(index)];
    const bool has_doctests = project_.settings.doctest_modules && file.facts.has_doctests;
    if ((!file.is_test && !file.is_text && !has_doctests) || file.is_left_out) return;
    FileTests entry;
    entry.file = index;
    entry.first = static_cast<std::uint32_t>(found_.tests.size());
    entry.first_fixture = static_cast<std::uint32_t>(fixtures_.fixtures.size());
    entry.first_told = static_cast<std::uint32_t>(fixtures_.diagnostics.size());
    order_known_ = true;
    collected_ = index;
    depends_on_order_ = false;
    if (file.is_text) {
        collect_text(file);
    } else {
        if (has_doctests) {
            Test test;
            test.id = file.path;
            test.definition = index;
            test.reach = Reach::kFile;
            test.reasons = Dynamic::kDoctest;
            found_.tests.push_back(test);
            order_known_ = false;
        }
        if (file.is_test) collect_module(index);
    }
    keep_named(file.path, entry.first);
    entry.count = static_cast<std::uint32_t>(found_.tests.size()) - entry.first;
    entry.fixture_count = static_cast<std::uint32_t>(fixtures_.fixtures.size()) - entry.first_fixture;
    entry.order_known = order_known_;
    const auto told = std::span(fixtures_.diagnostics).subspan(entry.first_told);
    entry.told_count = static_cast<std::uint32_t>(told.size());
    const auto is_of_another = [&](const FileDiagnostic& one) { return one.file != index; };
    entry.depends_on_order = depends_on_order_ || std::any_of(told.begin(), told.end(), is_of_another);
    found_.files.push_back(entry);
}

// Of a file that is collected in part, what node ids name, in their order.
void Discovery::keep_named(Text path, std::size_t first) {
    std::vector<Text> named;
    for (const Text id : project_.settings.node_ids) {
        if (id.starts_with(path) && id.substr(path.size()).starts_with("::")) named.push_back(id);
    }
    if (named.empty()) return;
    const auto begin = found_.tests.begin() + static_cast<std::ptrdiff_t>(first);
    std::vector<Test> all(begin, found_.tests.end());
    found_.tests.erase(begin, found_.tests.end());
    std::vector<char> is_taken(all.size(), 0);
    for (const Text id : named) {
        for (std::size_t i = 0; i != all.size(); ++i) {
            const bool is_meant =
                is_at_or_below(all[i].id, id) || (all[i].reach != Reach::kItem && is_at_or_below(id, all[i].id));
            if (!is_meant || is_taken[i] != 0) continue;
            is_taken[i] = 1;
            found_.tests.push_back(all[i]);
        }
    }
}

// A text is one test if there is an example in it.
void Discovery::collect_text(const SourceFile& file) {
    if (!file.facts.has_doctests && file.facts.is_complete) return;
    const Text path = file.path;
    const std::size_t slash = path.rfind('/');
    Test test;
    test.id = arena_->join({path, "::", slash == Text::npos ? path : path.substr(slash + 1)});
    test.reasons = Dynamic::kDoctest | hooks_.of(path);
    found_.tests.push_back(test);
}

// In the import modes prepend and append pytest imports by name: importtestmodule of _pytest/python.py.
void Discovery::count_names() {
    if (!name_of_ || project_.settings.import_mode == ImportMode::kImportlib) return;
    for (std::size_t i = 0; i != project_.files.size(); ++i) {
        // pytest forgets the module of a conftest.py before it imports the next one.
        if (!project_.files[i].is_test || project_.files[i].is_conftest) continue;
        if (const Text name = name_of_(static_cast<Index>(i)); !name.empty()) ++named_[name];
    }
}

bool Discovery::is_importable(Index file) const {
    if (named_.empty() || project_.files[static_cast<std::size_t>(file)].is_conftest) return true;
    const Text path = project_.files[static_cast<std::size_t>(file)].path;
    const Text stem = path.substr(path.rfind('/') + 1, path.size() - path.rfind('/') - 4);  // without ".py"
    const auto found = named_.find(name_of_(file));
    return stem.find('.') == Text::npos && (found == named_.end() || found->second == 1);
}

// What the module says about all of its tests.
Dynamic Discovery::module_reasons(Index file, const std::vector<Visible>& names, Wish& wish) {
    const Facts& all = facts(file);
    const SourceFile& source = project_.files[static_cast<std::size_t>(file)];
    Dynamic reasons = hooks_.of(source.path);
    if (all.may_skip) reasons |= Dynamic::kModuleSkip;
    if (!all.is_complete) reasons |= Dynamic::kIncomplete;
    if (!all.marks_known) reasons |= Dynamic::kParameters;
    if (source.path.starts_with('/')) reasons |= Dynamic::kOutside;
    if (!is_importable(file)) reasons |= Dynamic::kModuleName;
    for (const Visible& name : names) {
        if (name.name == "pytest_generate_tests") reasons |= Dynamic::kGenerated;
        if (name.name == "__test__") {
            const Binding& value = facts(name.file).bindings[static_cast<std::size_t>(name.binding)];
            const bool is_no = value.kind == BindingKind::kValue && !value.is_conditional &&
                               (value.value == "False" || value.value == "None" || value.value == "0");
            if (is_no) wish = Wish::kNever;
            if (!is_no && value.value != "True") reasons |= Dynamic::kValue;
        }
        // An imported pytestmark counts, and is not among the module's own.
        if (name.name == "pytestmark" &&
            facts(name.file).bindings[static_cast<std::size_t>(name.binding)].kind == BindingKind::kImport) {
            reasons |= Dynamic::kParameters;
        }
    }
    return reasons;
}

void Discovery::collect_module(Index file) {
    Collector module;
    module.file = file;
    module.place = fixtures_.place_of_module(file);
    const bool is_whole = names_.visible(file, visible_);
    Wish wish = Wish::kNone;
    module.reasons = module_reasons(file, visible_, wish);
    if (wish == Wish::kNever) return;
    const Facts& all = facts(file);
    module.marks.first = static_cast<std::uint32_t>(found_.marks.size());
    for (const Mark& mark : all.marks) add_mark(file, mark, module.marks);
    module.prefix = arena_->join({project_.files[static_cast<std::size_t>(file)].path, "::"});

    const auto is_above = [](const Binding& one, const Binding& other) { return is_before(one.at, other.at); };
    if (names_.has_stars(file) && !std::is_sorted(all.bindings.begin(), all.bindings.end(), is_above)) {
        order_known_ = false;  // bound again, before or after the star: nobody knows
    }
    Dynamic entry = Dynamic::kNothing;
    if (!is_whole) entry |= Dynamic::kStarImport;
    if (!all.is_complete) entry |= Dynamic::kIncomplete;
    if (makes_names(all)) entry |= Dynamic::kGenerated;
    if (entry != Dynamic::kNothing) add_entry(module, entry);
    constexpr Dynamic kReordering = Dynamic::kHook | Dynamic::kGenerated;
    if (has(module.reasons, kReordering)) order_known_ = false;

    std::unordered_set<Text> questioned;  // `test_x.__test__ = ...`
    for (const Visible& name : visible_) {
        if (name.name.ends_with(".__test__")) questioned.insert(name.name.substr(0, name.name.size() - 9));
    }
    for (const Visible& name : visible_) {
        const bool is_questioned = !questioned.empty() && questioned.contains(name.name);
        if (name.is_doubtful) order_known_ = false;
        collect_name(module, {name.name, name.file, name.binding, name.is_doubtful || is_questioned});
    }
}

void Discovery::collect_name(Collector& around, const Name& name) {
    const Binding& bound = binding(name);
    switch (bound.kind) {
        case BindingKind::kDeleted:
            if (bound.is_conditional && !is_ignored(name.name)) add_unknown(around, name, Dynamic::kConditional);
            return;
        case BindingKind::kFunction:
            if (!is_function_name(name.name)) return;
            break;
        case BindingKind::kImport:
            if (!project_.settings.collect_imported_tests && around.node < 0) return;
            if (facts(name.file).imports[static_cast<std::size_t>(bound.index)].member.empty()) return;
            break;
        case BindingKind::kValue:
            if (bound.is_data || (!is_name(bound.value) && !bound.value.empty())) return;
            if (bound.value.empty() && !is_function_name(name.name) && !is_class_name(name.name)) return;
            break;
        case BindingKind::kClass:
            break;
    }
    if (is_ignored(name.name) || name.name.find('.') != Text::npos) return;
    collect_target(around, name, names_.target(name.file, bound));
}

void Discovery::collect_target(Collector& around, const Name& name, const Target& target) {
    Dynamic reasons = name.is_doubtful ? Dynamic::kValue : Dynamic::kNothing;
    if (target.is_conditional) reasons |= Dynamic::kConditional;
    switch (target.kind) {
        case TargetKind::kFunction:
            if (is_function_name(name.name)) collect_function(around, name.name, target, reasons);
            return;
        case TargetKind::kClass:
            collect_class(around, name.name, target, reasons);
            return;
        case TargetKind::kOutside: {
            const bool is_no_test =
                std::any_of(kNoTests.begin(), kNoTests.end(), [&](Text known) { return target.leads_to(known); });
            if (!is_no_test) add_unknown(around, name, reasons | Dynamic::kOutside);
            return;
        }
        case TargetKind::kUnknown:
            add_unknown(around, name, reasons | Dynamic::kValue);
            return;
        default:
            return;
    }
}

void Discovery::add_unknown(const Collector& around, const Name& name, Dynamic reasons) {
    const bool is_function = is_function_name(name.name);
    if (!is_function && !is_class_name(name.name)) return;
    Test test;
    test.id = arena_->join({around.prefix, name.name});
    test.definition = name.file;
    test.node = around.node;
    test.line = binding(name).at.line;
    test.reach = is_function ? Reach::kFunction : Reach::kClass;
    test.reasons = reasons | around.reasons;
    test.is_unittest = around.is_unittest;
    found_.tests.push_back(test);
}

// For a class or file that may have more tests than its source shows.
void Discovery::add_entry(Collector& collector, Dynamic reasons) {
    if (collector.has_entry) return;
    collector.has_entry = true;
    order_known_ = false;
    Test test;
    test.id = collector.prefix.substr(0, collector.prefix.size() - 2);
    test.definition = collector.file;
    test.node = collector.node;
    test.reach = collector.node < 0 ? Reach::kFile : Reach::kClass;
    test.reasons = reasons | collector.reasons;
    test.is_unittest = collector.is_unittest;
    if (collector.node >= 0) {
        const ClassRef ref = found_.classes[static_cast<std::size_t>(collector.node)].definition;
        test.definition = ref.file;
        test.line = facts(ref.file).classes[static_cast<std::size_t>(ref.index)].at.line;
    }
    found_.tests.push_back(test);
}

void Discovery::collect_class(Collector& around, Text name, const Target& target, Dynamic reasons) {
    const ClassRef ref{target.file, target.index};
    const Lineage& lineage = lineages_.of(ref);
    const bool is_wanted = lineage.is_test_case || lineage.wish == Wish::kAlways || is_class_name(name);
    if (!is_wanted && !lineage.may_be_test_case && lineage.wish != Wish::kUnknown) return;
    if (around.depth > kMostNested) return;
    // Under a condition there may be another class of the name, or another base.
    const bool is_certain = !target.is_conditional && !has(lineage.reasons, Dynamic::kConditional);
    if (lineage.wish == Wish::kNever && is_certain) return;
    const bool is_uncollectable = !lineage.is_test_case && (lineage.has_constructor || lineage.is_abstract);
    if (is_wanted && is_uncollectable && is_certain && !lineage.may_be_test_case) return;
    const bool is_abstract_test_case = lineage.is_test_case && lineage.is_abstract;
    if (is_abstract_test_case && options_.pytest >= kFirstWithoutAbstract) return;

    Collector cls;
    cls.file = around.file;
    cls.depth = around.depth + 1;
    cls.is_unittest = lineage.is_test_case;
    cls.prefix = arena_->join({around.prefix, name, "::"});
    cls.node = static_cast<Index>(found_.classes.size());
    found_.classes.push_back({cls.prefix.substr(0, cls.prefix.size() - 2), name, ref, around.node});
    cls.reasons = around.reasons | lineage.reasons | reasons;
    if (lineage.wish == Wish::kUnknown) cls.reasons |= Dynamic::kValue;
    if (is_abstract_test_case) cls.reasons |= Dynamic::kBaseClass;
    if (lineage.has_generator_hook) cls.reasons |= Dynamic::kGenerated;
    if (!is_wanted) return add_entry(cls, Dynamic::kPossibleTestCase);

    cls.place = fixtures_.place_of_class(around.place, lineage);
    add_class_marks(lineage, around.marks, cls.marks);
    const Class& own = facts(ref.file).classes[static_cast<std::size_t>(ref.index)];
    if (adds_names(own.decorators)) add_entry(around, Dynamic::kGenerated);
    if (lineage.is_open || !is_certain || has(cls.reasons, Dynamic::kDecorator | Dynamic::kBaseClass) ||
        has(lineage.reasons, Dynamic::kGenerated)) {
        add_entry(cls, Dynamic::kNothing);
    }
    if (cls.is_unittest) {
        collect_unittest(cls, lineage);
    } else {
        collect_members(cls, lineage);
    }
}

// Base classes first, as PyCollector.collect; of a name that several define, the one that Python would find.
void Discovery::collect_members(Collector& cls, const Lineage& lineage) {
    std::vector<Name> names;
    std::vector<std::size_t> begins;
    std::unordered_set<Text> seen;
    const bool is_alone = lineage.order.size() == 1;
    for (const ClassRef ref : lineage.order) {
        begins.push_back(names.size());
        const Facts& all = facts(ref.file);
        for (const Index index : names_.members(ref.file, ref.index)) {
            const Binding& bound = all.bindings[static_cast<std::size_t>(index)];
            if (bound.kind == BindingKind::kDeleted && !bound.is_conditional) continue;
            if (is_alone || seen.insert(bound.name).second) names.push_back({bound.name, ref.file, index, false});
        }
    }
    std::size_t end = names.size();
    for (std::size_t group = begins.size(); group-- != 0;) {
        for (std::size_t i = begins[group]; i != end; ++i) collect_name(cls, names[i]);
        end = begins[group];
    }
}

// As unittest.TestLoader.getTestCaseNames: by name, whatever pytest's patterns say.
void Discovery::collect_unittest(Collector& cls, const Lineage& lineage) {
    std::vector<Name> names;
    std::unordered_set<Text> seen;
    Name run_test;
    for (const ClassRef ref : lineage.order) {
        const Facts& all = facts(ref.file);
        for (const Index index : names_.members(ref.file, ref.index)) {
            const Binding& bound = all.bindings[static_cast<std::size_t>(index)];
            const bool is_run = bound.name == "runTest";
            if ((bound.kind == BindingKind::kDeleted && !bound.is_conditional) ||
                (!is_run && !bound.name.starts_with("test")))
                continue;
            if (!seen.insert(bound.name).second) continue;
            if (is_run) {
                run_test = {bound.name, ref.file, index, false};
            } else {
                names.push_back({bound.name, ref.file, index, false});
            }
        }
    }
    std::sort(names.begin(), names.end(), [](const Name& one, const Name& other) { return one.name < other.name; });
    const std::size_t before = found_.tests.size();
    const auto collect = [&](const Name& name) {
        if (name.name.find('.') != Text::npos) return;
        const Target target = names_.target(name.file, binding(name));
        const Dynamic reasons = target.is_conditional ? Dynamic::kConditional : Dynamic::kNothing;
        if (target.kind == TargetKind::kFunction) return collect_function(cls, name.name, target, reasons);
        if (target.kind == TargetKind::kData || target.kind == TargetKind::kModule) return;
        Test test;
        test.id = arena_->join({cls.prefix, name.name});
        test.definition = name.file;
        test.node = cls.node;
        test.line = binding(name).at.line;
        test.reasons = cls.reasons | reasons | Dynamic::kValue;
        test.is_unittest = true;
        found_.tests.push_back(test);
    };
    for (const Name& name : names) collect(name);
    if (found_.tests.size() == before && run_test.binding >= 0) collect(run_test);
}

void Discovery::collect_function(Collector& around, Text name, const Target& target, Dynamic reasons) {
    const Function& function = facts(target.file).functions[static_cast<std::size_t>(target.index)];
    if (function.fixture >= 0) {
        if (!around.is_unittest) return;
        reasons |= Dynamic::kValue;  // unittest takes what can be called
    }
    if (!function.is_known) {
        reasons |= Dynamic::kDecorator;
        if (adds_names(function.decorators)) add_entry(around, Dynamic::kGenerated);
    }
    if (function.is_generator && !function.is_async && !around.is_unittest) {
        reasons |= Dynamic::kYield;
        // From pytest 8 on it is an error of the whole module.
        order_known_ = false;
    }
    Test test;
    test.definition = target.file;
    test.function = target.index;
    test.node = around.node;
    test.line = function.at.line;
    test.reasons = around.reasons | reasons;
    test.is_unittest = around.is_unittest;
    if (function.marks.empty()) {
        test.id = arena_->join({around.prefix, name});
        return collect_items(around, test, function, around.marks);
    }
    Marks marks;
    marks.first = static_cast<std::uint32_t>(found_.marks.size());
    add_marks(target.file, function.marks, function.at, marks);
    add_marks_around(around.marks, marks);
    test.id = arena_->join({around.prefix, name});
    collect_items(around, test, function, marks);
}

// One test for each set of parameters; `test` is that of the function.
void Discovery::collect_items(const Collector& around, Test& test, const Function& function, const Marks& marks) {
    test.first_mark = marks.first;
    test.mark_count = marks.count;
    test.reasons |= marks.reasons;
    asked_.assign(marks.uses.begin(), marks.uses.end());
    given_.clear();
    if (!around.is_unittest) {
        asked_.insert(asked_.end(), function.requests.begin(), function.requests.end());
        for (const MarkUse& use : marks.parametrize) {
            const Parameters& parameters = facts(use.file).parameters[static_cast<std::size_t>(use.mark->parameters)];
            if (!parameters.indirect) given_.insert(given_.end(), parameters.names.begin(), parameters.names.end());
        }
    }
    test.closure = fixtures_.closure({around.place, asked_, given_, test.definition, function.at, function.name});
    const Closure& closure = fixtures_.closures[static_cast<std::size_t>(test.closure)];
    test.reasons |= closure.reasons;
    constexpr Dynamic kManifold = Dynamic::kParameters | Dynamic::kDecorator | Dynamic::kGenerated | Dynamic::kFixture |
                                  Dynamic::kConditional | Dynamic::kValue;
    if (around.is_unittest || (closure.parametrized.empty() && marks.parametrize.empty())) {
        if (has(test.reasons, kManifold) && !around.is_unittest) test.reach = Reach::kFunction;
        found_.tests.push_back(test);
        return;
    }
    if (is_widely_parametrized(closure, marks)) order_known_ = false;
    std::vector<const IdList*> lists;
    if (!sources_of(closure, marks, lists)) test.reasons |= Dynamic::kParameters;
    if (has(test.reasons, kManifold)) {
        test.reach = Reach::kFunction;
        found_.tests.push_back(test);
        return;
    }
    const std::size_t first = found_.tests.size();
    const Text name = test.id;
    join_ids(lists, [&](Text id) {
        test.id = arena_->join({name, "[", id, "]"});
        found_.tests.push_back(test);
    });
    if (lists.size() < 2) return;
    std::unordered_map<Text, std::size_t> places;
    places.reserve(found_.tests.size() - first);
    for (std::size_t i = first; i != found_.tests.size(); ++i) {
        const auto [at, is_new] = places.emplace(found_.tests[i].id, i);
        if (is_new) continue;
        found_.tests[i].reasons |= Dynamic::kDuplicate;
        found_.tests[at->second].reasons |= Dynamic::kDuplicate;
    }
}

// What multiplies a test, in the order of its id: parametrized fixtures, then marks. False: not all of it is known.
bool Discovery::sources_of(const Closure& closure, const Marks& marks, std::vector<const IdList*>& lists) {
    std::vector<Text> taken;
    for (const MarkUse& use : marks.parametrize) {
        const Parameters& parameters = facts(use.file).parameters[static_cast<std::size_t>(use.mark->parameters)];
        if (!parameters.known) return false;
        if (parameters.is_spent && use.file != collected_) depends_on_order_ = true;
        if (parameters.is_spent && !spent_.insert(&parameters).second) return false;
        for (const Text name : parameters.names) {
            // Twice the same name is an error of pytest, and so is one that the function does not ask for.
            const bool is_needed = std::any_of(closure.needs.begin(), closure.needs.end(),
                                               [&](const Need& need) { return need.name == name; });
            if (!is_needed || std::find(taken.begin(), taken.end(), name) != taken.end()) return false;
            taken.push_back(name);
        }
    }
    std::size_t product = 1;
    const auto add = [&](Index file, const Parameters& parameters) {
        const IdList& list = ids(file, parameters);
        lists.push_back(&list);
        product *= std::max<std::size_t>(list.ids.size(), 1);
        return list.is_known && product <= kMostItems;
    };
    for (const Index index : closure.parametrized) {
        const FixtureInfo& fixture = fixtures_.fixtures[static_cast<std::size_t>(index)];
        if (std::find(taken.begin(), taken.end(), fixture.name) != taken.end()) continue;
        if (!add(fixture.file, *fixtures_.parameters_of(fixture))) return false;
    }
    return std::all_of(marks.parametrize.begin(), marks.parametrize.end(), [&](const MarkUse& use) {
        return add(use.file, facts(use.file).parameters[static_cast<std::size_t>(use.mark->parameters)]);
    });
}

// Then pytest moves tests together that share a parameter: reorder_items.
bool Discovery::is_widely_parametrized(const Closure& closure, const Marks& marks) const {
    const auto is_wide = [&](Index index) {
        return index >= 0 && fixtures_.fixtures[static_cast<std::size_t>(index)].scope != Scope::kFunction;
    };
    if (std::any_of(closure.parametrized.begin(), closure.parametrized.end(), is_wide)) return true;
    return std::any_of(marks.parametrize.begin(), marks.parametrize.end(), [&](const MarkUse& use) {
        const Parameters& parameters = facts(use.file).parameters[static_cast<std::size_t>(use.mark->parameters)];
        if (use.mark->arguments.find("scope") != Text::npos) return true;
        return parameters.indirect && std::any_of(closure.needs.begin(), closure.needs.end(), [&](const Need& need) {
                   return is_wide(need.fixture) && std::find(parameters.names.begin(), parameters.names.end(),
                                                             need.name) != parameters.names.end();
               });
    });
}

const IdList& Discovery::ids(Index file, const Parameters& parameters) {
    const auto [at, is_new] = ids_.try_emplace(&parameters);
    if (is_new) {
        at->second = ids_of(
            parameters, [&](Text canonical) { return name_of_reference(file, canonical); }, options_.pytest, *arena_);
    }
    return at->second;
}

// The __name__ of a class or a function that nothing has wrapped.
Text Discovery::name_of_reference(Index file, Text canonical) {
    const Target target = names_.resolve(file, canonical);
    if (target.is_conditional) return {};
    if (target.kind == TargetKind::kFunction) {
        const Function& function = facts(target.file).functions[static_cast<std::size_t>(target.index)];
        return function.decorators.empty() && function.is_known ? function.name : Text();
    }
    if (target.kind == TargetKind::kClass) {
        const Class& cls = facts(target.file).classes[static_cast<std::size_t>(target.index)];
        return cls.decorators.empty() && cls.is_known && !cls.has_keywords ? cls.name : Text();
    }
    const bool is_builtin = target.kind == TargetKind::kOutside && target.member.empty() &&
                            target.module.find('.') == Text::npos && is_builtin_type(target.module);
    return is_builtin ? target.module : Text();
}

// In the order in which pytest stores them: `pytestmark` of a class as written, then decorators from the definition up.
void Discovery::add_marks(Index file, const std::vector<Mark>& all, Position definition, Marks& marks) {
    if (all.empty()) return;
    for (const Mark& mark : all) {
        if (is_before(definition, mark.at)) add_mark(file, mark, marks);
    }
    std::vector<const Mark*> decorators;
    for (const Mark& mark : all) {
        if (!is_before(definition, mark.at)) decorators.push_back(&mark);
    }
    std::stable_sort(decorators.begin(), decorators.end(),
                     [](const Mark* one, const Mark* other) { return is_before(other->at, one->at); });
    for (const Mark* mark : decorators) add_mark(file, *mark, marks);
}

void Discovery::add_mark(Index file, const Mark& mark, Marks& marks) {
    found_.marks.push_back({file, &mark});
    ++marks.count;
    if (mark.name == "parametrize") {
        if (mark.known && mark.parameters >= 0) {
            marks.parametrize.push_back({file, &mark});
        } else {
            marks.reasons |= Dynamic::kParameters;
        }
    } else if (mark.name == "usefixtures") {
        marks.uses.insert(marks.uses.end(), mark.strings.begin(), mark.strings.end());
        const bool is_blank = mark.arguments.find_first_not_of(" \t\r\n") == Text::npos;
        if (!mark.known || (mark.strings.empty() && !is_blank)) marks.reasons |= Dynamic::kFixture;
    } else if (!mark.known && mark.name.empty()) {
        marks.reasons |= Dynamic::kParameters;
    } else if (std::find(kMultiplyingMarks.begin(), kMultiplyingMarks.end(), mark.name) != kMultiplyingMarks.end()) {
        marks.reasons |= Dynamic::kGenerated;
    }
}

// Of the class and its bases, the furthest one first, then those around the class.
void Discovery::add_class_marks(const Lineage& lineage, const Marks& around, Marks& marks) {
    marks.first = static_cast<std::uint32_t>(found_.marks.size());
    for (std::size_t i = lineage.order.size(); i-- != 0;) {
        const ClassRef ref = lineage.order[i];
        const Class& cls = facts(ref.file).classes[static_cast<std::size_t>(ref.index)];
        add_marks(ref.file, cls.marks, cls.at, marks);
    }
    if (marks.count == 0) {
        marks = around;
    } else {
        add_marks_around(around, marks);
    }
}

void Discovery::add_marks_around(const Marks& around, Marks& marks) {
    for (std::uint32_t i = 0; i != around.count; ++i) {
        const MarkUse copy = found_.marks[around.first + i];  // the vector may move
        found_.marks.push_back(copy);
    }
    marks.count += around.count;
    marks.uses.insert(marks.uses.end(), around.uses.begin(), around.uses.end());
    marks.parametrize.insert(marks.parametrize.end(), around.parametrize.begin(), around.parametrize.end());
    marks.reasons |= around.reasons;
}

}  // namespace

Tests find_tests(const Project& project, const ModuleLookup& modules, const TestOptions& options) {
    return Discovery(project, modules, options).run();
}

}  // namespace tach::analyzer
