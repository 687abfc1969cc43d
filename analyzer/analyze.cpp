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
    std::string output_bytes;  // of the output, if nothing has changed
    std::optional<shm::analysis::Analysis> read;

    [[nodiscard]] std::string cache_path() const { return task.output + ".cache"; }

    base::Result<void> settle();
    base::Result<void> find_changes();
    base::Result<void> parse(const std::vector<std::size_t>& places);
    void keep_known(std::vector<std::size_t>& to_parse);
    [[nodiscard]] bool output_is_right() const;
    base::Result<void> make_project();
    base::Result<void> make_analysis();
};

base::Result<void> Stage::State::settle() {
    // Ids of pytest 9 are those of an unknown version.
    const std::uint32_t major = task.pytest == 0 ? 9 : task.pytest / 100;
    auto read_all =
        read_settings(Invocation{.directory = task.root, .arguments = task.arguments, .addopts = {}, .pytest = major});
    if (!read_all) return base::fail(read_all.error());
    settings = *std::move(read_all);
    rules_file = find_rules(settings.root);
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
            known[i] = {cached.hash, cached.is_stable, cache.facts_of(cached)};
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
    return parse_files(files, std::min(task.jobs, useful), [&](const ParsedFile& file) {
        Known& one = known[places[file.number]];
        one.is_stable = file.is_stable;
        if (file.is_same) {
            ++counts.same;
            return;
        }
        ++counts.parsed;
        parsed[file.number] = file.facts;
        one.hash = file.hash;
        one.facts = parsed[file.number];
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

base::Result<void> Stage::State::make_project() {
    if (made) return {};
    auto all = rules ? base::Result<RuleSet>(*std::move(rules)) : parse_rules(rules_file);
    if (!all) return base::fail(all.error());
    made = std::make_unique<Made>(*std::move(all));
    Project& project = made->project;
    project.settings = settings;
    project.files.resize(walk.files.size());
    for (std::size_t i = 0; i < walk.files.size(); ++i) {
        const WalkedFile& from = walk.files[i];
        SourceFile& file = project.files[i];
        file.path = from.path;
        file.is_test = from.is_test;
        file.is_conftest = from.is_conftest;
        file.is_text = from.is_text;
        made->hashes.push_back(known[i].hash);
        if (!read_bytes(known[i].facts, file.facts)) {
            return base::fail(base::Error{EPROTO, fmt::format("{}: facts that cannot be read", from.path)});
        }
    }
    made->modules.emplace(project);
    made->references.emplace(project, *made->modules);
    made->graph.emplace(project, *made->modules, *made->references);
    return {};
}

base::Result<void> Stage::State::make_analysis() {
    if (auto done = make_project(); !done) return done;
    if (made->analysis) return {};
    made->toxicity.emplace(made->project, *made->graph, *made->references, made->rules);
    const ModuleLookup lookup{[this](Index from, Text name) { return made->modules->find_from(from, name); },
                              [this](Index file) { return made->modules->name(file); }};
    TestOptions options;
    options.pytest = static_cast<PytestVersion>(task.pytest);
    made->tests.emplace(find_tests(made->project, lookup, options));
    const std::vector<std::size_t> collected = collection_order(settings, walk.files);
    made->analysis = write_down({.project = made->project,
                                 .walk_problems = walk.problems,
                                 .hashes = made->hashes,
                                 .collected = collected,
                                 .modules = *made->modules,
                                 .graph = *made->graph,
                                 .rules = made->rules,
                                 .toxicity = *made->toxicity,
                                 .tests = *made->tests},
                                made->arena);
    made->bytes = shm::analysis::encode(*made->analysis);
    return {};
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
    if (state.unchanged && !state.read) {
        state.output_bytes = base::read_file(state.task.output).value_or(std::string());
        auto decoded = shm::analysis::decode(state.output_bytes);
        if (decoded) state.read = *std::move(decoded);
    }
    if (state.read) return &*state.read;
    if (auto done = state.make_analysis(); !done) return base::fail(done.error());
    return &*state.made->analysis;
}

base::Result<void> Stage::write() {
    State& state = *state_;
    if (state.unchanged) return {};
    const bool right = state.counts.parsed == 0 && state.output_is_right();
    if (!right) {
        if (auto done = state.make_analysis(); !done) return done;
        // Who waits for the file by its time has nothing to do if its contents are as they were.
        if (base::read_file(state.task.output) != state.made->bytes) {
            if (auto done = base::replace_file(state.task.output, {state.made->bytes}); !done) return done;
        }
    }
    CacheHead head{.program = state.program,
                   .inputs = state.inputs,
                   .output = signature_of(state.task.output),
                   .walk = state.walk,
                   .files = {}};
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
