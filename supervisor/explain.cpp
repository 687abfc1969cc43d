#include "supervisor/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "supervisor/choices.h"
#include "supervisor/spelling.h"
#include "supervisor/split.h"
#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

std::string engine_line(const Settings& settings) {
    if (settings.mode.value == Mode::kShared) return "none: nothing is brought back to a clean state";
    const std::string_view name = word(settings.engine.value);
    return settings.engine.source == Source::kDefault ? fmt::format("{} (the first that works here)", name)
                                                      : fmt::format("{} ({})", name, settings.engine.where);
}

// All tests take it.
constexpr std::string_view kPath = "full: pytest's own protocol, with every hook and plugin";

constexpr std::string_view kIfLive =
    "shared, if setting up its wide fixtures leaves something live: a thread, a child, a socket, shared memory";

}  // namespace

Explained Explained::parse(const shm::Message& message) {
    Explained told;
    told.item = message.head.item;
    for (const std::string& record : split(message.string(0), '\0')) {
        std::vector<std::string> words = split(record, '\n');
        words.resize(4);
        told.fixtures.push_back({std::move(words[0]), std::move(words[1]), std::move(words[2]), words[3] == "wide"});
    }
    told.why_solo = message.string(1);
    told.why_shared = message.string(2);
    return told;
}

Explanation::Explanation(const Inputs& inputs)
    : nodeid_(inputs.nodeid), path_(kPath), engine_(engine_line(inputs.settings)), fixtures_(inputs.told.fixtures) {
    decide(inputs);
    add_sources(inputs);
}

void Explanation::share(std::string why) {
    mode_ = "shared";
    because_.push_back(std::move(why));
}

// In the order in which a run decides: the first that applies.
void Explanation::decide(const Inputs& inputs) {
    const Settings& settings = inputs.settings;
    if (settings.mode.value == Mode::kShared) return share(fmt::format("mode is shared ({})", settings.mode.where));
    if (!inputs.told.why_solo.empty()) return share("the whole session runs in one process: " + inputs.told.why_solo);
    if (!inputs.dependents.empty()) {
        for (const auto& [dependent, opinion] : inputs.dependents) {
            because_.push_back(fmt::format("in an earlier run {} {} alone and passed after {}: they run together",
                                           dependent, opinion.alone, fmt::join(opinion.needs, ", ")));
        }
        mode_ = "shared";
        return;
    }
    if (!inputs.told.why_shared.empty()) return share(inputs.told.why_shared);
    const bool has_wide = std::any_of(fixtures_.begin(), fixtures_.end(),
                                      [](const Explained::Fixture& fixture) { return fixture.is_wide; });
    if (has_wide) condition_ = kIfLive;
    is_last_ = inputs.is_last;
    if (settings.engine.value == Engine::kFork) {
        mode_ = "fork";
        because_.emplace_back("engine fork has a process for every test");
    } else if (inputs.forked) {
        mode_ = "fork";
        because_.push_back(inputs.forked->by == Forked::By::kSources ? "the sources are against rewinding it"
                                                                     : inputs.forked->note());
    } else {
        mode_ = "snapshot";
        because_.emplace_back(
            inputs.suspicion ? "the sources are against rewinding it, but the guard found nothing in the way before"
                             : "nothing is known against rewinding it; the guard looks at what it leaves");
    }
}

void Explanation::add_sources(const Inputs& inputs) {
    if (!inputs.sources_unknown.empty()) {
        because_.push_back("the sources could not be looked at: " + inputs.sources_unknown);
    }
    if (!inputs.suspicion) return;
    for (const std::string& reason : inputs.suspicion->reasons) because_.push_back("the sources: " + reason);
}

std::string Explanation::text() const {
    std::string text = fmt::format("{}\n", nodeid_);
    const auto add = [&text](std::string_view subject, std::string_view finding) {
        text += fmt::format("  {:<8} {}\n", subject, finding);
    };
    add("mode", mode_ + (is_last_ ? ", after the others" : ""));
    if (!condition_.empty()) add("or", condition_);
    add("path", path_);
    add("engine", engine_);
    for (const std::string& line : because_) add("because", line);
    for (const Explained::Fixture& fixture : fixtures_) {
        add("fixture", fmt::format("{}: {}, {}", fixture.name, fixture.scope, fixture.place));
    }
    return text;
}

std::string Explanation::json() const {
    nlohmann::json fixtures = nlohmann::json::array();
    for (const Explained::Fixture& fixture : fixtures_) {
        fixtures.push_back({{"name", fixture.name}, {"scope", fixture.scope}, {"place", fixture.place}});
    }
    const nlohmann::json json{{"nodeid", nodeid_},       {"mode", mode_},       {"last", is_last_},
                              {"condition", condition_}, {"path", path_},       {"engine", engine_},
                              {"because", because_},     {"fixtures", fixtures}};
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

tl::unexpected<base::Error> no_such_test(std::string_view nodeid, std::span<const std::string> nodeids) {
    const std::string variants = fmt::format("{}[", nodeid);
    std::vector<std::string_view> known(nodeids.begin(), nodeids.end());
    const auto variant =
        std::find_if(known.begin(), known.end(), [&](std::string_view one) { return one.starts_with(variants); });
    const auto nearest = variant != known.end() ? std::optional(*variant) : nearest_word(nodeid, known);
    return mistake(fmt::format("--explain {}: no such test is selected{}", nodeid,
                               nearest ? fmt::format("; did you mean {}?", *nearest) : "; --list prints their ids"));
}

}  // namespace tach::supervisor
