#include "analyzer/analyze.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "analyzer/affected.h"
#include "analyzer/cache.h"
#include "analyzer/facts_archive.h"
#include "analyzer/import_graph.h"
#include "analyzer/parse_files.h"
#include "analyzer/paths.h"
#include "analyzer/references.h"
#include "analyzer/renew.h"
#include "analyzer/rule_settings.h"
#include "analyzer/settings_archive.h"
#include "analyzer/tests.h"
#include "analyzer/toxicity.h"
#include "analyzer/walk_archive.h"
#include "analyzer/write_down.h"
#include "base/file_status.h"
#include "base/whole_file.h"

namespace tach::analyzer {
namespace {

// So little is parsed at once by one process in the time that another one takes to start. A guess.
constexpr std::int64_t kBytesWorthAWorker = 64 << 10;

// More changed files than this, or half of a project to be looked at for them, and all is made anew. A guess.
constexpr std::size_t kMostRenewed = 16;
constexpr std::size_t kSmallProject = 64;  // files; there it is not worth a thought
// Each attempt to do with some of the files finds others that are needed as well.
constexpr int kMostAttempts = 4;

Signature signature_of(const std::string& path) {
    const base::FileStatus status = base::status_at(AT_FDCWD, path.c_str());
    if (status.kind != base::FileKind::kFile) return {};
    return {status.size, status.mtime_ns, status.ctime_ns, status.inode};
}

// This very program: facts of another build may be others.
std::string program_key() {
    Signature signature = signature_of("/proc/self/exe");
    std::uint32_t version = kFactsVersion;
    std::string key = TACH_VERSION;
    append_bytes(key, signature);
    append_bytes(key, version);
    return key;
}

// Where rules of toxicity may stand: text of the file, how errors call it, and what stands before the table in it.
struct RulesFile {
    std::string text;
    std::string shown;
    bool in_pyproject = false;
};

base::Result<RulesFile> read_rules_file(const std::string& path, const std::string& root) {
    auto text = base::read_file(path);
    if (!text) return base::fail(base::Error{EINVAL, fmt::format("--config: {}", text.error().what)});
    return RulesFile{*std::move(text), path.starts_with(root + "/") ? relative_to(root, path) : path,
                     path.ends_with("/pyproject.toml")};
}

RulesFile find_rules(const std::string& root) {
    for (const char* name : {"tach.toml", "pyproject.toml"}) {
        const std::string path = root + "/" + name;
        if (::access(path.c_str(), F_OK) != 0) continue;
        const bool in_pyproject = name[0] == 'p';
        std::string text = base::read_file(path).value_or(std::string());
        if (!in_pyproject || text.find("tool.tach") != std::string::npos) return {std::move(text), name, in_pyproject};
    }
    return {};
}

base::Result<RuleSet> parse_rules(const RulesFile& file) {
    if (file.text.empty()) return RuleSet::builtin();
    try {
        toml::table parsed = toml::parse(file.text, std::string_view(file.shown));
        const auto node = file.in_pyproject ? parsed["tool"]["tach"]["toxicity"] : parsed["toxicity"];
        const toml::table* table = node.as_table();
        if (table == nullptr) return RuleSet::builtin();
        return read_rules(*table, file.shown, file.in_pyproject ? "tool.tach." : "");
    } catch (const toml::parse_error& error) {
        const auto& at = error.source().begin;
        return base::fail(base::Error{
            EINVAL, fmt::format("{}:{}:{}: not TOML: {}", file.shown, at.line, at.column, error.description())});
    }
}

}  // namespace

struct Stage::State {
    Task task;
    Settings settings;
    RulesFile rules_file;
    std::optional<RuleSet> rules;  // read already, since they may be wrong
    Cache cache;
    Walk walk;
    std::string program;
    std::string inputs;
    Counts counts;
    bool unchanged = false;

    // Of walk.files. Facts are bytes in the cache or in `parsed`.
    struct Known {
        ContentHash hash;
        bool is_stable = false;
        bool is_parsed = false;  // now
        std::string_view facts;
    };
    std::vector<Known> known;
    std::vector<std::string> parsed;

    // Made when first asked for, each from those above it.
    struct Made {
        explicit Made(RuleSet from) : rules(std::move(from)) {}
        RuleSet rules;
        Project project;
        Arena arena;
        std::vector<ContentHash> hashes;
        std::optional<Modules> modules;
        std::optional<References> references;
        std::optional<ImportGraph> graph;
        std::optional<Toxicity> toxicity;
        std::optional<Tests> tests;
        std::optional<shm::analysis::Analysis> analysis;
        std::string bytes;
    };
    std::unique_ptr<Made> made;
    std::string output_bytes;  // of the output as it was found
    std::optional<shm::analysis::Analysis> read;
    std::unique_ptr<Made> renewed;  // what `read` has of changed files, and what holds its texts
    Portions portions;              // of the analysis

    [[nodiscard]] std::string cache_path() const { return task.output + ".cache"; }

    base::Result<void> settle();
    base::Result<void> find_changes();
    base::Result<void> parse(const std::vector<std::size_t>& places);
    void keep_known(std::vector<std::size_t>& to_parse);
    [[nodiscard]] bool output_is_right() const;
    // The output says what would be made, since no file has other contents.
    [[nodiscard]] bool is_right() const { return unchanged || (counts.parsed == 0 && output_is_right()); }
    [[nodiscard]] base::Result<std::unique_ptr<Made>> read_rules_again();
    base::Result<void> fill(Made& into, const std::vector<char>* needed = nullptr) const;
    void conclude(Made& into) const;
    [[nodiscard]] Findings findings(const Made& from, const std::vector<std::size_t>& collected) const;
    base::Result<void> make_project();
    base::Result<void> make_analysis();
    bool read_output();
    [[nodiscard]] std::vector<Index> changed_files() const;
    [[nodiscard]] bool may_renew(const std::vector<Index>& changed) const;
    bool make_needed(const std::vector<Index>& changed);
    bool renew();
    base::Result<void> settle_analysis();
};

base::Result<void> Stage::State::settle() {
    // Ids of pytest 9 are those of an unknown version.
    const std::uint32_t major = task.pytest == 0 ? 9 : task.pytest / 100;
    auto read_all =
        read_settings(Invocation{.directory = task.root, .arguments = task.arguments, .addopts = {}, .pytest = major});
    if (!read_all) return base::fail(read_all.error());
    settings = *std::move(read_all);
    if (task.config.empty()) {
        rules_file = find_rules(settings.root);
    } else if (auto named = read_rules_file(task.config, settings.root)) {
        rules_file = *std::move(named);
    } else {
        return base::fail(named.error());
    }
    program = program_key();
    append_bytes(inputs, settings);
    append_bytes(inputs, task.pytest);
    append_bytes(inputs, rules_file.text);
    return {};
}

// Takes over what is known of files whose signature is as it was; both walks are in order of the path.
void Stage::State::keep_known(std::vector<std::size_t>& to_parse) {
    known.resize(walk.files.size());
    const std::vector<WalkedFile>& earlier = cache.head.walk.files;
    std::size_t old = 0;
    for (std::size_t i = 0; i < walk.files.size(); ++i) {
        const WalkedFile& file = walk.files[i];
        while (old < earlier.size() && earlier[old].path < file.path) ++old;
        const bool is_there = old < earlier.size() && earlier[old].path == file.path;
        if (is_there) {
            const CachedFile& cached = cache.head.files[old];
            known[i] = {.hash = cached.hash, .is_stable = cached.is_stable, .facts = cache.facts_of(cached)};
            if (known[i].facts.empty()) known[i] = {};
            const bool is_same = earlier[old].signature == file.signature &&
                                 is_settled(file.signature, cache.head.walk.taken_ns) && cached.is_stable;
            if (is_same && !task.paranoid && !known[i].facts.empty()) continue;
        }
        to_parse.push_back(i);
    }
}

base::Result<void> Stage::State::parse(const std::vector<std::size_t>& places) {
    std::vector<FileToParse> files;
    std::int64_t bytes = 0;
    for (const std::size_t place : places) {
        const WalkedFile& file = walk.files[place];
        const bool is_absolute = file.path.starts_with('/');
        files.push_back({is_absolute ? file.path : settings.root + "/" + file.path, known[place].hash});
        bytes += file.signature.size;
    }
    const auto useful = static_cast<std::size_t>(bytes / kBytesWorthAWorker + 1);
    parsed.resize(places.size());
    const auto take = [&](const ParsedFile& file) {
        Known& one = known[places[file.number]];
        one.is_stable = file.is_stable;
        if (file.is_same) {
            ++counts.same;
            return;
        }
        ++counts.parsed;
        parsed[file.number] = file.facts;
        one.hash = file.hash;
        one.is_parsed = true;
        one.facts = parsed[file.number];
    };
    // Of few files the analysis of the last time is going to be wanted, whatever is in them.
    return parse_files(files, std::min(task.jobs, useful), take, [&] {
        if (places.size() <= kMostRenewed && output_is_right()) read_output();
    });
}

bool Stage::State::output_is_right() const {
    return cache.head.program == program && cache.head.inputs == inputs &&
           cache.head.walk.files.size() == walk.files.size() &&
           std::equal(walk.files.begin(), walk.files.end(), cache.head.walk.files.begin(),
                      [](const WalkedFile& one, const WalkedFile& other) {
                          return one.path == other.path && one.is_test == other.is_test &&
                                 one.is_doctest == other.is_doctest && one.is_text == other.is_text;
                      }) &&
           cache.head.output != Signature{} && signature_of(task.output) == cache.head.output;
}

base::Result<void> Stage::State::find_changes() {
    cache = Cache::load(cache_path());
    if (cache.head.program != program) cache = {};
    if (cache.head.inputs != inputs) {
        auto read_now = parse_rules(rules_file);
        if (!read_now) return base::fail(read_now.error());
        rules = *std::move(read_now);
    }
    auto walked = analyzer::walk(settings, cache.head.walk);
    if (!walked) return base::fail(walked.error());
    walk = *std::move(walked);
    counts.files = walk.files.size();
    std::vector<std::size_t> to_parse;
    keep_known(to_parse);
    unchanged = to_parse.empty() && output_is_right();
    return parse(to_parse);
}

base::Result<std::unique_ptr<Stage::State::Made>> Stage::State::read_rules_again() {
    auto all = rules ? base::Result<RuleSet>(*std::exchange(rules, std::nullopt)) : parse_rules(rules_file);
    if (!all) return base::fail(all.error());
    return std::make_unique<Made>(*std::move(all));
}

// All files, or those that are needed.
base::Result<void> Stage::State::fill(Made& into, const std::vector<char>* needed) const {
    Project& project = into.project;
    project.settings = settings;
    project.files.resize(walk.files.size());
    into.hashes.resize(walk.files.size());
    for (std::size_t i = 0; i < walk.files.size(); ++i) {
        const WalkedFile& from = walk.files[i];
        SourceFile& file = project.files[i];
        const bool is_new = file.path.empty();
        file.path = from.path;
        file.is_test = from.is_test;
        file.is_conftest = from.is_conftest;
        file.is_text = from.is_text;
        into.hashes[i] = known[i].hash;
        const bool was_left_out = std::exchange(file.is_left_out, needed != nullptr && (*needed)[i] == 0);
        if (file.is_left_out || (!is_new && !was_left_out)) continue;
        if (!read_bytes(known[i].facts, file.facts)) {
            return base::fail(base::Error{EPROTO, fmt::format("{}: facts that cannot be read", from.path)});
        }
    }
    into.modules.emplace(project);
    into.references.emplace(project, *into.modules);
    into.graph.emplace(project, *into.modules, *into.references);
    return {};
}

void Stage::State::conclude(Made& into) const {
    into.toxicity.emplace(into.project, *into.graph, *into.references, into.rules);
    const ModuleLookup lookup{[&into](Index from, Text name) { return into.modules->find_from(from, name); },
                              [&into](Index file) { return into.modules->name(file); }};
    TestOptions options;
    options.pytest = static_cast<PytestVersion>(task.pytest);
    into.tests.emplace(find_tests(into.project, lookup, options));
}

Findings Stage::State::findings(const Made& from, const std::vector<std::size_t>& collected) const {
    return {.project = from.project,
            .walk_problems = walk.problems,
            .hashes = from.hashes,
            .collected = collected,
            .modules = *from.modules,
            .graph = *from.graph,
            .rules = from.rules,
            .toxicity = *from.toxicity,
            .tests = *from.tests};
}

base::Result<void> Stage::State::make_project() {
    if (made) return {};
    auto begun = read_rules_again();
    if (!begun) return base::fail(begun.error());
    if (auto done = fill(**begun); !done) return done;
    made = *std::move(begun);
    return {};
}

base::Result<void> Stage::State::make_analysis() {
    if (auto done = make_project(); !done) return done;
    if (made->analysis) return {};
    conclude(*made);
    const std::vector<std::size_t> collected = collection_order(settings, walk.files);
    const Findings all = findings(*made, collected);
    made->analysis = write_down(all, made->arena);
    portions = portions_of(all, *made->analysis);
    made->bytes = shm::analysis::encode(*made->analysis);
    return {};
}

// --- what has changed alone -----------------------------------------------------------------------------------------

bool Stage::State::read_output() {
    if (read) return true;
    output_bytes = base::read_file(task.output).value_or(std::string());
    auto decoded = shm::analysis::decode(output_bytes);
    if (decoded) read = *std::move(decoded);
    return read.has_value();
}

std::vector<Index> Stage::State::changed_files() const {
    std::vector<Index> changed;
    for (std::size_t i = 0; i < known.size(); ++i) {
        if (known[i].is_parsed) changed.push_back(static_cast<Index>(i));
    }
    return changed;
}

bool Stage::State::may_renew(const std::vector<Index>& changed) const {
    const auto is_same = [](const WalkProblem& one, const WalkProblem& other) {
        return one.severity == other.severity && one.path == other.path && one.message == other.message;
    };
    const std::vector<WalkProblem>& earlier = cache.head.walk.problems;
    const Portions& kept = cache.head.portions;
    return output_is_right() && changed.size() <= kMostRenewed && kept.files.size() == walk.files.size() &&
           std::equal(walk.problems.begin(), walk.problems.end(), earlier.begin(), earlier.end(), is_same) &&
           std::all_of(changed.begin(), changed.end(),
                       [&](Index file) { return kept.files[static_cast<std::size_t>(file)].is_alone; });
}

// Findings about the changed files, of as few of the others as will do.
bool Stage::State::make_needed(const std::vector<Index>& changed) {
    auto begun = read_rules_again();
    if (!begun) return false;
    renewed = *std::move(begun);
    renewed->project.files.resize(walk.files.size());
    std::vector<char> needed = needed_for(changed, walk.files, *read);
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        const auto count = static_cast<std::size_t>(std::count(needed.begin(), needed.end(), 1));
        if (count > kSmallProject && count > needed.size() / 2) return false;
        if (!fill(*renewed, &needed)) return false;
        if (add_needed(needed, *renewed->modules, *read)) continue;
        conclude(*renewed);
        if (!add_needed(needed, *renewed->modules, *read)) return true;
    }
    return false;
}

// Whether the analysis is that of the last time with another portion for what has changed. See renew.h.
bool Stage::State::renew() {
    const std::vector<Index> changed = changed_files();
    if (!may_renew(changed) || !read_output()) {
        read.reset();
        return false;
    }
    portions = cache.head.portions;
    counts.kept = read->modules.size() == walk.files.size() && make_needed(changed) &&
                  analyzer::renew(*read, portions, changed, findings(*renewed, {}), renewed->arena);
    if (counts.kept) {
        renewed->bytes = shm::analysis::encode(*read);
    } else {
        read.reset();
        renewed.reset();
    }
    return counts.kept;
}

base::Result<void> Stage::State::settle_analysis() {
    if (renew()) return {};
    return make_analysis();
}

// --- the stage ------------------------------------------------------------------------------------------------------

Stage::Stage(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stage::Stage(Stage&&) noexcept = default;
Stage& Stage::operator=(Stage&&) noexcept = default;
Stage::~Stage() = default;

base::Result<Stage> Stage::run(const Task& task) {
    auto state = std::make_unique<State>();
    state->task = task;
    if (auto done = state->settle(); !done) return base::fail(done.error());
    if (auto done = state->find_changes(); !done) return base::fail(done.error());
    return Stage(std::move(state));
}

bool Stage::is_unchanged() const {
    return state_->unchanged;
}
const Counts& Stage::counts() const {
    return state_->counts;
}
const Settings& Stage::settings() const {
    return state_->settings;
}
Stage::Inputs Stage::inputs() const {
    const std::string& root = state_->settings.root;
    Inputs inputs{.files = state_->settings.files_read, .directories = {}};
    if (const std::string& name = state_->rules_file.shown; !name.empty()) {
        std::string path = absolute_path(root, name);
        const auto known = std::find(inputs.files.begin(), inputs.files.end(), path);
        if (known == inputs.files.end()) inputs.files.push_back(std::move(path));
    }
    for (const WalkedFile& file : state_->walk.files) inputs.files.push_back(absolute_path(root, file.path));
    for (const WalkedDirectory& one : state_->walk.directories) {
        inputs.directories.push_back(absolute_path(root, one.path));
    }
    return inputs;
}

base::Result<const shm::analysis::Analysis*> Stage::analysis() {
    State& state = *state_;
    if ((state.is_right() && state.read_output()) || state.counts.kept) return &*state.read;
    if (auto done = state.make_analysis(); !done) return base::fail(done.error());
    return &*state.made->analysis;
}

base::Result<void> Stage::write() {
    State& state = *state_;
    if (state.unchanged) return {};
    const bool right = state.is_right();
    if (!right) {
        if (auto done = state.settle_analysis(); !done) return done;
        const bool is_kept = state.counts.kept;
        const std::string& bytes = is_kept ? state.renewed->bytes : state.made->bytes;
        // Who waits for the file by its time has nothing to do if its contents are as they were.
        if ((is_kept ? state.output_bytes : base::read_file(state.task.output).value_or(std::string())) != bytes) {
            if (auto done = base::replace_file(state.task.output, {bytes}); !done) return done;
        }
    }
    CacheHead head{.program = state.program,
                   .inputs = state.inputs,
                   .output = signature_of(state.task.output),
                   .walk = state.walk,
                   .files = {},
                   .portions = right ? state.cache.head.portions : state.portions};
    std::string facts;
    std::size_t size = 0;
    for (const State::Known& known : state.known) size += known.facts.size();
    facts.reserve(size);
    for (const State::Known& known : state.known) {
        head.files.push_back({known.hash, known.is_stable, facts.size(), known.facts.size()});
        facts += known.facts;
    }
    return Cache::store(state.cache_path(), head, facts);
}

base::Result<Stage::AffectedLines> Stage::affected_by(const std::vector<std::string>& changed) {
    State& state = *state_;
    if (auto done = state.make_project(); !done) return base::fail(done.error());
    auto analysis = this->analysis();
    if (!analysis) return base::fail(analysis.error());
    const Affected affected =
        analyzer::affected_by(changed, state.made->project, *state.made->modules, *state.made->graph);
    AffectedLines lines;
    std::vector<bool> reached(state.walk.files.size(), affected.everything);
    for (const AffectedTest& test : affected.tests) reached[static_cast<std::size_t>(test.file)] = true;
    for (const shm::analysis::Test& test : (*analysis)->tests) {
        if (reached[static_cast<std::size_t>(test.module)]) lines.tests.emplace_back(test.id);
    }
    if (affected.everything && affected.because >= 0) {
        lines.notes.push_back(
            fmt::format("{} can affect every test", changed[static_cast<std::size_t>(affected.because)]));
    }
    for (const AffectedTest& test : affected.tests) {
        if (affected.everything) break;
        for (std::string& line : explain(affected, test, changed, state.made->project, *state.made->graph)) {
            lines.notes.push_back(std::move(line));
        }
    }
    for (const std::string& path : affected.ignored) lines.notes.push_back(path + " affects no test");
    return lines;
}

base::Result<AffectedFiles> Stage::affected_files(std::vector<std::string> changed) {
    State& state = *state_;
    if (auto done = state.make_project(); !done) return base::fail(done.error());
    const Project& project = state.made->project;
    const std::size_t seen = changed.size();
    const ImportGraph& graph = *state.made->graph;
    for (std::size_t at = 0; at < project.files.size(); ++at) {
        const SourceFile& file = project.files[at];
        if (!file.facts.is_complete && is_reached(static_cast<Index>(at), project, graph)) changed.push_back(file.path);
    }
    const Affected affected = analyzer::affected_by(changed, project, *state.made->modules, graph);
    AffectedFiles files{.everything = affected.everything, .ignored = affected.ignored};
    if (affected.everything) files.because = changed[static_cast<std::size_t>(affected.because)];
    std::vector<bool> reached(project.files.size(), false);
    for (const AffectedTest& test : affected.tests) {
        reached[static_cast<std::size_t>(test.file)] = true;
        files.affected.push_back({project.files[test.file].path, explain(affected, test, changed, project, graph)});
        if (affected.everything) continue;
        Index last = test.step;
        while (affected.steps[last].next >= 0) last = affected.steps[last].next;
        const auto cause = static_cast<std::size_t>(affected.steps[last].changed);
        if (cause >= seen) files.affected.back().why.back() = changed[cause] + " cannot be read to its end";
    }
    for (std::size_t at = 0; at < project.files.size(); ++at) {
        const SourceFile& file = project.files[at];
        if ((file.is_test || file.is_text) && !reached[at]) files.unaffected.push_back(file.path);
    }
    return files;
}

}  // namespace tach::analyzer
