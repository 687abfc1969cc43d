#include "supervisor/suspicions.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace tach::supervisor {
namespace {

namespace analysis = shm::analysis;
using analysis::Analysis;
using analysis::Level;
using analysis::Scope;

std::string_view word(Scope scope) {
    constexpr std::array<std::string_view, 6> kWords{"function", "class", "module", "package", "session", "dynamic"};
    const auto place = static_cast<std::size_t>(scope);
    return place < kWords.size() ? kWords.at(place) : "unknown";
}

// A file may have a bracket in its name.
std::string_view without_parameters(std::string_view nodeid) {
    const std::size_t file_end = nodeid.find("::");
    return file_end == std::string_view::npos ? nodeid : nodeid.substr(0, nodeid.find('[', file_end));
}

// The analysis is a file, so that its indices are claims.
template <class List>
auto at(List& list, analysis::Index index) -> decltype(list.data()) {
    const auto place = static_cast<std::size_t>(index);
    return index < 0 || place >= list.size() ? nullptr : list.data() + place;
}

class Reader {
  public:
    explicit Reader(const Analysis& from) : from_(from) {}

    [[nodiscard]] Suspicion of_module(const analysis::Module& module) const {
        Suspicion suspicion;
        if (module.level == Level::kToxic) add(suspicion, fmt::format("importing {}", module.path), module.reasons);
        return suspicion;
    }

    [[nodiscard]] Suspicion of_fixture(const analysis::Fixture& fixture) const {
        Suspicion suspicion;
        if (fixture.level != Level::kToxic || fixture.scope == Scope::kFunction) return suspicion;
        add(suspicion, fmt::format("fixture {} ({}, {})", fixture.name, word(fixture.scope), place(fixture.at)),
            fixture.reasons);
        return suspicion;
    }

  private:
    [[nodiscard]] std::string_view path(analysis::Index module) const {
        const analysis::Module* found = at(from_.modules, module);
        return found == nullptr ? "?" : found->path;
    }

    [[nodiscard]] std::string place(const analysis::Place& where) const {
        return where.line == 0 ? std::string(path(where.module)) : fmt::format("{}:{}", path(where.module), where.line);
    }

    void add(Suspicion& suspicion, std::string_view subject, const std::vector<analysis::Reason>& reasons) const {
        for (const analysis::Reason& reason : reasons) {
            std::string line =
                fmt::format("{}: {}: {} at {}", subject, reason.reason, reason.pattern, place(reason.at));
            if (!reason.because.empty()) line += fmt::format(", {}", reason.because);
            for (std::size_t i = 0; i < reason.path.size(); ++i) {
                line += fmt::format("{}{}", i == 0 ? "; by way of " : " -> ", path(reason.path[i]));
            }
            suspicion.reasons.push_back(std::move(line));
            suspicion.by_user = suspicion.by_user || reason.by_user;
        }
    }

    const Analysis& from_;
};

void merge(Suspicion& into, const Suspicion& from) {
    for (const std::string& reason : from.reasons) {
        if (std::find(into.reasons.begin(), into.reasons.end(), reason) == into.reasons.end()) {
            into.reasons.push_back(reason);
        }
    }
    into.by_user = into.by_user || from.by_user;
}

// setup_module, setup_class and their like, which are in nobody's closure: those that no closure has.
bool is_of_test(const analysis::Fixture& fixture, const analysis::Test& test) {
    if (!fixture.is_autouse || fixture.at.module != test.at.module) return false;
    return fixture.scope != Scope::kClass || test.id.find("::") != test.id.rfind("::");
}

}  // namespace

Suspicions::Suspicions(const Analysis& from) : ini_file_(from.ini_file) {
    const Reader reader(from);
    files_.reserve(from.modules.size());
    for (const analysis::Module& module : from.modules) {
        File& file = files_.emplace_back(File{std::string(module.path), module.hash_low, module.hash_high, {}});
        for (const analysis::Import& import : module.imports) file.imports.push_back(import.to);
        Suspicion suspicion = reader.of_module(module);
        if (!suspicion.reasons.empty()) by_file_.emplace(module.path, std::move(suspicion));
    }
    std::vector<Suspicion> fixtures;
    fixtures.reserve(from.fixtures.size());
    for (const analysis::Fixture& fixture : from.fixtures) fixtures.push_back(reader.of_fixture(fixture));

    std::vector<char> is_in_a_closure(fixtures.size(), 0);
    std::vector<Suspicion> closures(from.fixture_lists.size());
    for (std::size_t i = 0; i < closures.size(); ++i) {
        for (const analysis::Index index : from.fixture_lists[i]) {
            const Suspicion* found = at(fixtures, index);
            if (found == nullptr) continue;
            is_in_a_closure[static_cast<std::size_t>(index)] = 1;
            merge(closures[i], *found);
        }
    }
    std::vector<std::size_t> xunit;
    for (std::size_t i = 0; i < fixtures.size(); ++i) {
        if (is_in_a_closure[i] == 0 && !fixtures[i].reasons.empty()) xunit.push_back(i);
    }
    for (const analysis::Test& test : from.tests) {
        Suspicion all;
        if (const Suspicion* closure = at(closures, test.fixtures)) merge(all, *closure);
        for (const std::size_t i : xunit) {
            if (is_of_test(from.fixtures[i], test)) merge(all, fixtures[i]);
        }
        if (all.reasons.empty()) continue;
        if (const analysis::Module* module = at(from.modules, test.module)) merge(all, reader.of_module(*module));
        merge(by_test_[std::string(without_parameters(test.id))], all);
    }
}

std::string Suspicions::contents_key(std::string_view file) const {
    const auto first = std::lower_bound(files_.begin(), files_.end(), file,
                                        [](const File& one, std::string_view path) { return one.path < path; });
    if (first == files_.end() || first->path != file) return {};
    std::vector<char> is_reached(files_.size(), 0);
    std::vector<analysis::Index> open{static_cast<analysis::Index>(first - files_.begin())};
    while (!open.empty()) {
        const analysis::Index next = open.back();
        open.pop_back();
        const File* one = at(files_, next);
        if (one == nullptr || is_reached[static_cast<std::size_t>(next)] != 0) continue;
        is_reached[static_cast<std::size_t>(next)] = 1;
        open.insert(open.end(), one->imports.begin(), one->imports.end());
    }
    std::string contents;
    for (std::size_t i = 0; i < files_.size(); ++i) {
        if (is_reached[i] != 0) {
            contents += fmt::format("{} {:016x}{:016x}\n", files_[i].path, files_[i].hash_high, files_[i].hash_low);
        }
    }
    const XXH128_hash_t hash = XXH3_128bits(contents.data(), contents.size());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

base::Result<Suspicions> Suspicions::read(std::string_view bytes) {
    const auto decoded = analysis::decode(bytes);
    if (!decoded) return base::fail(decoded.error());
    return Suspicions(*decoded);
}

const Suspicion* Suspicions::of(std::string_view nodeid) const {
    if (const auto test = by_test_.find(without_parameters(nodeid)); test != by_test_.end()) return &test->second;
    const auto file = by_file_.find(nodeid.substr(0, nodeid.find("::")));
    return file == by_file_.end() ? nullptr : &file->second;
}

}  // namespace tach::supervisor
