#include "analyzer/renew.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "analyzer/numbering.h"

namespace tach::analyzer {
namespace {

namespace analysis = shm::analysis;

// --- portions -------------------------------------------------------------------------------------------------------

bool can_be_alone(Index file, const Findings& from) {
    const SourceFile& source = from.project.files[static_cast<std::size_t>(file)];
    const Facts& facts = source.facts;
    return !source.is_left_out && !source.is_conftest && !from.modules.was_found(file) && !from.graph.is_plugin(file) &&
           facts.plugins.empty() && facts.plugins_known && facts.diagnostics.empty() && !from.tests.has_circles;
}

// --- what is needed -------------------------------------------------------------------------------------------------

void add_with_imports(Index file, const analysis::Analysis& old, std::vector<char>& needed) {
    std::vector<Index> open{file};
    while (!open.empty()) {
        const Index next = open.back();
        open.pop_back();
        if (std::exchange(needed[static_cast<std::size_t>(next)], 1) != 0) continue;
        for (const analysis::Import& import : old.modules[static_cast<std::size_t>(next)].imports) {
            if (import.to >= 0) open.push_back(import.to);
        }
    }
}

// --- putting it in place --------------------------------------------------------------------------------------------

class Renewal {
  public:
    Renewal(analysis::Analysis& old, const Portions& portions, const Findings& findings, const analysis::Analysis& made,
            const Portions& fresh, Arena& arena)
        : old_(old), portions_(portions), findings_(findings), made_(made), fresh_(fresh), arena_(arena) {
        for (std::vector<Index>& list : old_.fixture_lists) lists_.number_of(std::move(list));
        for (std::vector<analysis::Mark>& list : old_.mark_lists) marks_.number_of(std::move(list));
    }

    bool put(Index file) {
        file_ = file;
        const Portion& was = portions_.files[static_cast<std::size_t>(file)];
        const Portion& is = fresh_.files[static_cast<std::size_t>(file)];
        if (!was.is_alone || !is.is_alone || was.fixture_count != is.fixture_count) return false;
        if (!put_fixtures(was, is) || !put_setups() || !put_tests() || !put_diagnostics(was)) return false;
        old_.modules[static_cast<std::size_t>(file)] = made_.modules[static_cast<std::size_t>(file)];
        return true;
    }

    void finish() {
        old_.fixture_lists = std::move(lists_.elements);
        old_.mark_lists = std::move(marks_.elements);
        number_by_use(old_, portions_.named_fixtures);
    }

  private:
    bool put_fixtures(const Portion& was, const Portion& is);
    bool put_setups();
    bool put_tests();
    bool put_test(analysis::Test& test);
    bool put_diagnostics(const Portion& was);
    [[nodiscard]] bool translate(std::vector<Index>& fixtures);
    [[nodiscard]] std::optional<Index> place_of(Index fixture);
    [[nodiscard]] Index unknown(Text name);
    [[nodiscard]] bool is_told_before(const std::string& about) const;

    // Places of what is the file's.
    template <class Element>
    [[nodiscard]] std::vector<std::size_t> own(const std::vector<Element>& elements, std::size_t begin,
                                               std::size_t end) const {
        std::vector<std::size_t> places;
        for (std::size_t i = begin; i < end; ++i) {
            if (elements[i].at.module == file_) places.push_back(i);
        }
        return places;
    }

    analysis::Analysis& old_;
    const Portions& portions_;
    const Findings& findings_;
    const analysis::Analysis& made_;
    const Portions& fresh_;
    Arena& arena_;
    Index file_ = -1;
    Numbered<std::vector<Index>> lists_;
    Numbered<std::vector<analysis::Mark>> marks_;
};

Index Renewal::unknown(Text name) {
    for (std::size_t i = portions_.named_fixtures; i < old_.fixtures.size(); ++i) {
        if (old_.fixtures[i].name == name) return static_cast<Index>(i);
    }
    old_.fixtures.push_back({.name = name, .at = {}, .origin = "unknown"});
    return static_cast<Index>(old_.fixtures.size()) - 1;
}

// Of a fixture of the new analysis in the old one.
std::optional<Index> Renewal::place_of(Index fixture) {
    const auto at = static_cast<std::size_t>(fixture);
    if (at < fresh_.shared_fixtures) return fixture;
    if (at >= fresh_.named_fixtures) return unknown(made_.fixtures[at].name);
    const Portion& was = portions_.files[static_cast<std::size_t>(file_)];
    const Portion& is = fresh_.files[static_cast<std::size_t>(file_)];
    if (at < is.first_fixture || at >= is.first_fixture + is.fixture_count) return std::nullopt;
    return static_cast<Index>(at - is.first_fixture + was.first_fixture);
}

bool Renewal::translate(std::vector<Index>& fixtures) {
    for (Index& fixture : fixtures) {
        const auto place = place_of(fixture);
        if (!place) return false;
        fixture = *place;
    }
    return true;
}

bool Renewal::put_fixtures(const Portion& was, const Portion& is) {
    for (std::uint32_t i = 0; i < was.fixture_count; ++i) {
        analysis::Fixture fixture = made_.fixtures[is.first_fixture + i];
        if (!translate(fixture.needs)) return false;
        old_.fixtures[was.first_fixture + i] = std::move(fixture);
    }
    return true;
}

// setup_module and its like.
bool Renewal::put_setups() {
    const auto was = own(old_.fixtures, portions_.found_fixtures, portions_.named_fixtures);
    const auto is = own(made_.fixtures, fresh_.found_fixtures, fresh_.named_fixtures);
    if (was.size() != is.size()) return false;
    for (std::size_t i = 0; i < was.size(); ++i) old_.fixtures[was[i]] = made_.fixtures[is[i]];
    return true;
}

bool Renewal::put_test(analysis::Test& test) {
    if (test.fixtures >= 0) {
        std::vector<Index> fixtures = made_.fixture_lists[static_cast<std::size_t>(test.fixtures)];
        if (!translate(fixtures)) return false;
        test.fixtures = lists_.number_of(std::move(fixtures));
    }
    if (test.marks >= 0) test.marks = marks_.number_of(made_.mark_lists[static_cast<std::size_t>(test.marks)]);
    return true;
}

bool Renewal::put_tests() {
    const auto is_own = [&](const analysis::Test& test) { return test.module == file_; };
    const auto begin = std::find_if(old_.tests.begin(), old_.tests.end(), is_own);
    const auto end = std::find_if_not(begin, old_.tests.end(), is_own);
    // Where its tests would stand is not known, or they stand in several places.
    if (begin == end || std::any_of(end, old_.tests.end(), is_own)) return false;
    std::vector<analysis::Test> tests;
    std::copy_if(made_.tests.begin(), made_.tests.end(), std::back_inserter(tests), is_own);
    for (analysis::Test& test : tests) {
        if (!put_test(test)) return false;
    }
    const auto place = old_.tests.erase(begin, end);
    old_.tests.insert(place, tests.begin(), tests.end());
    return true;
}

bool Renewal::is_told_before(const std::string& about) const {
    return std::any_of(portions_.files.begin(), portions_.files.begin() + file_, [&](const Portion& earlier) {
        return std::find(earlier.told.begin(), earlier.told.end(), about) != earlier.told.end();
    });
}

// What others are told depends on what has been told here.
bool Renewal::put_diagnostics(const Portion& was) {
    std::vector<FileDiagnostic> fresh;
    std::vector<std::string> told_here;
    for (const FileDiagnostic& one : findings_.tests.diagnostics) {
        const std::string about(one.about);
        if (one.file != file_ || (!about.empty() && is_told_before(about))) continue;
        fresh.push_back(one);
        if (!about.empty()) told_here.push_back(about);
    }
    std::sort(told_here.begin(), told_here.end());
    if (told_here != was.told) return false;
    const auto is_before = [](const analysis::Diagnostic& one, Index file) { return one.at.module < file; };
    const auto begin =
        std::lower_bound(old_.diagnostics.begin() + portions_.first_told, old_.diagnostics.end(), file_, is_before);
    const auto end = std::lower_bound(begin, old_.diagnostics.end(), file_ + 1, is_before);
    const auto place = old_.diagnostics.erase(begin, end);
    const std::vector<analysis::Diagnostic> made = told(fresh, arena_);
    old_.diagnostics.insert(place, made.begin(), made.end());
    return true;
}

}  // namespace

Portions portions_of(const Findings& from, const analysis::Analysis& analysis) {
    Portions portions;
    portions.shared_fixtures = from.tests.shared_fixtures;
    portions.found_fixtures = static_cast<std::uint32_t>(from.tests.fixtures.size());
    const auto setups = std::count_if(from.toxicity.wide().begin(), from.toxicity.wide().end(),
                                      [](const WideToxicity& wide) { return wide.wide.fixture < 0; });
    portions.named_fixtures = portions.found_fixtures + static_cast<std::uint32_t>(setups);
    portions.first_told = static_cast<std::uint32_t>(analysis.diagnostics.size() - from.tests.diagnostics.size());
    portions.files.resize(from.project.files.size());
    for (std::size_t i = 0; i < portions.files.size(); ++i) {
        portions.files[i].is_alone = can_be_alone(static_cast<Index>(i), from);
    }
    for (const FileDiagnostic& one : from.graph.diagnostics()) {
        portions.files[static_cast<std::size_t>(one.file)].is_alone = false;
    }
    const std::span<const FileDiagnostic> told = from.tests.diagnostics;
    for (const FileTests& file : from.tests.files) {
        Portion& portion = portions.files[static_cast<std::size_t>(file.file)];
        portion.is_alone = portion.is_alone && !file.depends_on_order;
        portion.first_fixture = file.first_fixture;
        portion.fixture_count = file.fixture_count;
        for (const FileDiagnostic& one : told.subspan(file.first_told, file.told_count)) {
            if (!one.about.empty()) portion.told.emplace_back(one.about);
        }
        std::sort(portion.told.begin(), portion.told.end());
    }
    return portions;
}

std::vector<char> needed_for(const std::vector<Index>& changed, const std::vector<WalkedFile>& files,
                             const analysis::Analysis& old) {
    std::vector<char> needed(files.size(), 0);
    for (const Index file : changed) add_with_imports(file, old, needed);
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (files[i].is_conftest) add_with_imports(static_cast<Index>(i), old, needed);
    }
    return needed;
}

bool add_needed(std::vector<char>& needed, const Modules& modules, const analysis::Analysis& old) {
    bool is_more = false;
    for (std::size_t i = 0; i < needed.size(); ++i) {
        if (needed[i] != 0 || !modules.was_found(static_cast<Index>(i))) continue;
        add_with_imports(static_cast<Index>(i), old, needed);
        is_more = true;
    }
    return is_more;
}

bool renew(analysis::Analysis& old, Portions& portions, const std::vector<Index>& changed, const Findings& findings,
           Arena& arena) {
    const analysis::Analysis made = write_down(findings, arena);
    const Portions fresh = portions_of(findings, made);
    if (fresh.shared_fixtures != portions.shared_fixtures) return false;
    Renewal renewal(old, portions, findings, made, fresh, arena);
    for (const Index file : changed) {
        if (!renewal.put(file)) return false;
    }
    renewal.finish();
    for (std::size_t i = 0; i < portions.files.size(); ++i) {
        if (findings.modules.was_found(static_cast<Index>(i))) portions.files[i].is_alone = false;
    }
    return true;
}

}  // namespace tach::analyzer
