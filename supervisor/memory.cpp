#include "supervisor/memory.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/whole_file.h"
#include "supervisor/kept_file.h"

namespace tach::supervisor {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kVersion = 1;

// Bounds on what piles up as tests are renamed. 200,000 durations are the largest suites known (CPython's and
// pandas' are near) and about 15 MB of JSON; a tenth of it for opinions is a guess: nobody keeps that many
// failing tests.
constexpr std::size_t kMaxDurations = 200'000;
constexpr std::size_t kMaxOpinions = 20'000;
constexpr std::size_t kMaxJudgements = kMaxDurations;  // a toxic conftest.py has one for each test
// Of a file: one that is still there is enough. A guess.
constexpr std::size_t kMaxGatherings = 20;
constexpr std::size_t kMaxImports = 5'000;  // a guess

constexpr const char* kName = "memory.json";

fs::path file_of(const fs::path& rootdir) {
    return kept_directory(rootdir) / kName;
}

// "tests/test_a.py::TestB::test_c" -> "tests/test_a.py", "TestB::test_c"
std::pair<std::string_view, std::string_view> split(std::string_view nodeid) {
    const auto at = nodeid.find("::");
    if (at == std::string_view::npos) return {nodeid, ""};
    return {nodeid.substr(0, at), nodeid.substr(at + 2)};
}

template <class Map, class Gone>
void erase_where(Map& map, Gone gone) {
    std::erase_if(map, [&gone](const auto& entry) { return gone(entry.first); });
}

}  // namespace

Memory Memory::load(const fs::path& rootdir) {
    Memory memory(rootdir);
    auto text = base::read_file(file_of(rootdir), kMaxKeptBytes);
    if (text) {
        memory.parse(*text);
    } else if (text.error().code != ENOENT) {
        memory.warn(fmt::format("cannot use what earlier runs have learned: {}", text.error().what));
    }
    return memory;
}

// The library reports wrong types by exception; a Memory that was half filled by then is thrown away.
void Memory::parse(const std::string& text) try {
    Memory fresh(rootdir_);
    const Json json = Json::parse(text);
    const auto version = json.at("version").get<std::int64_t>();
    if (version != kVersion) {
        warn(fmt::format("{} has format {}, this tach knows {}: starting afresh", file_of(rootdir_).string(), version,
                         kVersion));
        return;
    }
    for (const auto& [file, tests] : json.at("durations").get_ref<const Json::object_t&>()) {
        auto& durations = fresh.durations_[file];
        for (const auto& [rest, us] : tests.get_ref<const Json::object_t&>()) {
            durations[rest].us = std::max<std::int64_t>(0, us.get<std::int64_t>());
        }
    }
    for (const auto& [nodeid, opinion] : json.at("opinions").get_ref<const Json::object_t&>()) {
        fresh.opinions_[nodeid] = {.verdict = opinion.at("order_dependent").get<bool>()
                                                  ? Opinion::Verdict::kOrderDependent
                                                  : Opinion::Verdict::kConfirmed,
                                   .needs = opinion.at("needs").get<std::vector<std::string>>(),
                                   .alone = opinion.at("alone").get<std::string>(),
                                   .key = opinion.at("key").get<std::string>()};
    }
    json.at("late_fixtures").get_to(fresh.late_fixtures_);
    if (json.contains("guard")) {
        for (const auto& [file, judgements] : json.at("guard").get_ref<const Json::object_t&>()) {
            Judgements& fresh_ones = fresh.judgements_[file];
            judgements.at("key").get_to(fresh_ones.key);
            judgements.at("why").get_to(fresh_ones.why);
        }
    }
    if (json.contains("gathers")) {
        for (const auto& [file, known] : json.at("gathers").get_ref<const Json::object_t&>()) {
            Gatherings& fresh_ones = fresh.gatherings_[file];
            known.at("key").get_to(fresh_ones.key);
            for (const auto& [rest, gathering] : known.at("of").get_ref<const Json::object_t&>()) {
                fresh_ones.of[rest] = {.reader = gathering.at("reader").get<std::string>(),
                                       .at_end = gathering.at("at_end").get<bool>()};
            }
        }
    }
    if (json.contains("imports")) json.at("imports").get_to(fresh.imports_);
    if (json.contains("left_out")) {
        for (const auto& [module, known] : json.at("left_out").get_ref<const Json::object_t&>()) {
            fresh.left_out_[module] = {.origin = known.at("origin").get<std::string>(),
                                       .stamp = known.at("stamp").get<std::string>(),
                                       .why = known.at("why").get<std::string>()};
        }
    }
    *this = std::move(fresh);
} catch (const Json::exception&) {
    warn(fmt::format("{} is damaged: starting afresh", file_of(rootdir_).string()));
}

std::string Memory::dump() const {
    Json json{{"version", kVersion},     {"durations", Json::object()},     {"opinions", Json::object()},
              {"guard", Json::object()}, {"late_fixtures", late_fixtures_}, {"imports", imports_}};
    for (const auto& [file, tests] : durations_) {
        Json& object = json["durations"][file];
        for (const auto& [rest, duration] : tests) object[rest] = duration.us;
    }
    for (const auto& [module, known] : left_out_) {
        json["left_out"][module] = {{"origin", known.origin}, {"stamp", known.stamp}, {"why", known.why}};
    }
    for (const auto& [nodeid, opinion] : opinions_) {
        json["opinions"][nodeid] = {
            {"order_dependent", opinion.verdict == Opinion::Verdict::kOrderDependent},
            {"needs", opinion.needs},
            {"alone", opinion.alone},
            {"key", opinion.key},
        };
    }
    for (const auto& [file, judgements] : judgements_) {
        json["guard"][file] = {{"key", judgements.key}, {"why", judgements.why}};
    }
    for (const auto& [file, known] : gatherings_) {
        Json& object = json["gathers"][file];
        object["key"] = known.key;
        for (const auto& [rest, gathering] : known.of) {
            object["of"][rest] = {{"reader", gathering.reader}, {"at_end", gathering.at_end}};
        }
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void Memory::save() {
    if (!changed_) return;
    forget_vanished();
    forget_surplus();
    if (auto written = keep_file(rootdir_, kName, dump()); !written) {
        warn(fmt::format("cannot remember this run: {}", written.error().what));
    }
    changed_ = false;
}

void Memory::forget_vanished() {
    std::map<std::string, bool, std::less<>> gone;
    auto vanished = [&](std::string_view file) {
        auto [known, fresh] = gone.try_emplace(std::string(file));
        // Only a certain "no" counts: a directory that cannot be searched just now is no reason to forget.
        std::error_code error;
        if (fresh) known->second = fs::status(rootdir_ / file, error).type() == fs::file_type::not_found;
        return known->second;
    };
    erase_where(durations_, vanished);
    erase_where(late_fixtures_, vanished);
    const auto is_gone = [](const std::string& origin) {
        std::error_code error;
        return fs::status(origin, error).type() == fs::file_type::not_found;
    };
    std::erase_if(imports_, [&](const auto& entry) { return is_gone(entry.second); });
    std::erase_if(left_out_, [&](const auto& entry) { return is_gone(entry.second.origin); });
    erase_where(judgements_, vanished);
    erase_where(gatherings_, vanished);
    erase_where(opinions_, [&](std::string_view nodeid) { return vanished(split(nodeid).first); });
}

// Tests that were not part of this run go first, and of these the fast ones: slowest first can do without
// them.
void Memory::forget_surplus() {
    while (opinions_.size() > kMaxOpinions) opinions_.erase(opinions_.begin());
    std::size_t judgements = 0;
    for (const auto& [file, of_file] : judgements_) judgements += of_file.why.size();
    while (judgements > kMaxJudgements) {
        judgements -= judgements_.begin()->second.why.size();
        judgements_.erase(judgements_.begin());
    }
    struct Entry {
        const Duration* duration;
        std::string_view file;
        std::string_view rest;
    };
    std::vector<Entry> entries;
    for (const auto& [file, tests] : durations_) {
        for (const auto& [rest, duration] : tests) entries.push_back({&duration, file, rest});
    }
    if (entries.size() <= kMaxDurations) return;
    const auto first_kept = entries.begin() + static_cast<std::ptrdiff_t>(entries.size() - kMaxDurations);
    std::nth_element(entries.begin(), first_kept, entries.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.duration->learned_now, a.duration->us) < std::pair(b.duration->learned_now, b.duration->us);
    });
    for (auto entry = entries.begin(); entry != first_kept; ++entry) {
        auto& tests = durations_.find(entry->file)->second;
        tests.erase(tests.find(entry->rest));
    }
    std::erase_if(durations_, [](const auto& file) { return file.second.empty(); });
}

void Memory::warn(std::string text) {
    if (warned_) return;
    warned_ = true;
    warning_ = std::move(text);
}

std::optional<std::string> Memory::take_warning() {
    return std::exchange(warning_, std::nullopt);
}

std::optional<double> Memory::duration_s(std::string_view nodeid) const {
    const auto [file, rest] = split(nodeid);
    const auto tests = durations_.find(file);
    if (tests == durations_.end()) return std::nullopt;
    const auto found = tests->second.find(rest);
    if (found == tests->second.end()) return std::nullopt;
    return static_cast<double>(found->second.us) / 1e6;
}

void Memory::learn_duration(std::string_view nodeid, std::int64_t duration_ns) {
    const auto [file, rest] = split(nodeid);
    durations_[std::string(file)][std::string(rest)] = {std::max<std::int64_t>(0, duration_ns / 1000), true};
    changed_ = true;
}

const Opinion* Memory::opinion(std::string_view nodeid, std::string_view key) const {
    const auto found = opinions_.find(nodeid);
    return found != opinions_.end() && found->second.key == key ? &found->second : nullptr;
}

void Memory::learn_opinion(std::string_view nodeid, Opinion opinion) {
    opinions_[std::string(nodeid)] = std::move(opinion);
    changed_ = true;
}

const std::string* Judgements::of(std::string_view nodeid) const {
    const auto found = why.find(split(nodeid).second);
    return found == why.end() ? nullptr : &found->second;
}

const Judgements* Memory::judgements(std::string_view file) const {
    const auto found = judgements_.find(file);
    return found == judgements_.end() ? nullptr : &found->second;
}

void Memory::learn_judgement(std::string_view nodeid, std::string_view why, std::string_view key) {
    const auto [file, rest] = split(nodeid);
    Judgements& known = judgements_[std::string(file)];
    if (known.key != key) known = {.key = std::string(key), .why = {}};
    const auto [at, is_new] = known.why.try_emplace(std::string(rest), why);
    if (!is_new && at->second == why) return;
    at->second = why;
    changed_ = true;
}

const Gathering* Memory::gathering(std::string_view nodeid, std::string_view key) const {
    const auto [file, rest] = split(nodeid);
    const auto known = gatherings_.find(file);
    if (known == gatherings_.end() || key.empty() || known->second.key != key) return nullptr;
    const auto found = known->second.of.find(rest);
    return found == known->second.of.end() ? nullptr : &found->second;
}

void Memory::learn_gathering(std::string_view nodeid, Gathering gathering, std::string_view key) {
    const auto [file, rest] = split(nodeid);
    Gatherings& known = gatherings_[std::string(file)];
    if (known.key != key) known = {.key = std::string(key), .of = {}};
    if (known.of.size() >= kMaxGatherings && !known.of.contains(rest)) return;
    Gathering& at = known.of[std::string(rest)];
    changed_ = changed_ || at != gathering;
    at = std::move(gathering);
}

const std::set<std::string>& Memory::late_fixtures(std::string_view file) const {
    static const std::set<std::string> kNone;
    const auto found = late_fixtures_.find(file);
    return found != late_fixtures_.end() ? found->second : kNone;
}

std::vector<std::string> Memory::files_with_late_fixtures() const {
    std::vector<std::string> files;
    for (const auto& [file, names] : late_fixtures_) files.push_back(file);
    return files;
}

void Memory::learn_late_fixture(std::string_view file, std::string_view name) {
    changed_ = late_fixtures_[std::string(file)].emplace(name).second || changed_;
}

void Memory::learn_import(std::string_view module, std::string_view origin) {
    if (imports_.size() >= kMaxImports && !imports_.contains(module)) return;
    std::string& known = imports_[std::string(module)];
    if (known == origin) return;
    known = origin;
    changed_ = true;
}

void Memory::forget_import(std::string_view module) {
    const auto found = imports_.find(module);
    if (found == imports_.end()) return;
    imports_.erase(found);
    changed_ = true;
}

void Memory::learn_left_out(std::string_view module, LeftOut left_out) {
    forget_import(module);
    if (left_out_.size() >= kMaxImports && !left_out_.contains(module)) return;
    left_out_[std::string(module)] = std::move(left_out);
    changed_ = true;
}

namespace {

std::string hex(XXH128_hash_t hash) {
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

const std::string& ContentKeys::digest(const fs::path& file) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    const fs::file_time_type mtime = error ? fs::file_time_type{} : fs::last_write_time(file, error);
    Known& known = known_[file.string()];
    if (!known.digest.empty() && !error && known.size == size && known.mtime == mtime) return known.digest;
    known.size = size;
    known.mtime = mtime;
    const auto text = base::read_file(file, kMaxKeptBytes);
    known.digest = text ? hex(XXH3_128bits(text->data(), text->size())) : "unreadable";
    return known.digest;
}

std::string ContentKeys::key(std::span<const fs::path> files, std::string_view extra) {
    std::vector<std::string> lines;
    for (const fs::path& file : files) {
        lines.push_back(fmt::format("{} {} {}", file.string().size(), file.string(), digest(file)));
    }
    std::sort(lines.begin(), lines.end());
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
    const std::string all = fmt::format("{}\n{}", fmt::join(lines, "\n"), extra);
    return hex(XXH3_128bits(all.data(), all.size()));
}

}  // namespace tach::supervisor
