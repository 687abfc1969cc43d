#include "supervisor/routing.h"

#include <fmt/format.h>

#include <algorithm>

namespace tach::supervisor {

std::string Forked::note() const {
    return by == By::kEarlierRun ? fmt::format("forked, since it could not be rewound before: {}", why)
                                 : fmt::format("forked, since the sources are against rewinding it: {}", why);
}

std::map<std::uint32_t, Forked> forked_tests(std::span<const std::string> nodeids, const Memory& memory,
                                             const FileKey& key, const Suspicions& suspicions) {
    std::map<std::uint32_t, Forked> forked;
    std::map<std::string_view, const Judgements*> known;  // by file; null: nothing that holds
    const auto judgements_of = [&](std::string_view file) {
        const auto [at, is_new] = known.try_emplace(file, nullptr);
        if (!is_new) return at->second;
        const Judgements* judgements = memory.judgements(file);
        if (judgements != nullptr && !judgements->key.empty() && judgements->key == key(file)) at->second = judgements;
        return at->second;
    };
    for (std::uint32_t i = 0; i < nodeids.size(); ++i) {
        const std::string_view nodeid = nodeids[i];
        const Judgements* judgements = judgements_of(nodeid.substr(0, nodeid.find("::")));
        const std::string* judged = judgements == nullptr ? nullptr : judgements->of(nodeid);
        if (judged != nullptr && !judged->empty()) {
            forked.emplace(i, Forked{Forked::By::kEarlierRun, *judged});
            continue;
        }
        const Suspicion* suspicion = suspicions.of(nodeid);
        if (suspicion == nullptr || (judged != nullptr && !suspicion->by_user)) continue;
        forked.emplace(i, Forked{Forked::By::kSources, suspicion->reasons.front()});
    }
    return forked;
}

OrderDependents order_dependents(std::span<const std::string> nodeids, std::span<const Grouping> items,
                                 const Memory& memory, std::string_view key) {
    OrderDependents found;
    std::map<std::string_view, std::uint32_t> by_nodeid;
    for (std::uint32_t i = 0; i < nodeids.size(); ++i) by_nodeid.emplace(nodeids[i], i);
    for (std::uint32_t i = 0; i < nodeids.size(); ++i) {
        const Opinion* opinion = memory.opinion(nodeids[i], key);
        if (opinion == nullptr || opinion->verdict != Opinion::Verdict::kOrderDependent) continue;
        found.known.emplace(i, *opinion);
        std::uint32_t first = i;
        for (const std::string& needed : opinion->needs) {
            const auto at = by_nodeid.find(needed);
            if (at != by_nodeid.end()) first = std::min(first, at->second);
        }
        for (std::uint32_t j = first; j < items.size() && (j <= i || items[j].module == items[i].module); ++j) {
            found.together.insert(j);
        }
    }
    std::set<std::uint32_t> units;
    for (const std::uint32_t i : found.together) units.insert(items[i].unit);
    for (std::uint32_t i = 0; i < items.size(); ++i) {
        if (items[i].unit != 0 && units.contains(items[i].unit)) found.together.insert(i);
    }
    return found;
}

}  // namespace tach::supervisor
