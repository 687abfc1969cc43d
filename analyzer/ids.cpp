#include "analyzer/ids.h"

#include <string>
#include <unordered_map>

namespace tach::analyzer {

namespace {

constexpr PytestVersion kFirstWithUnderscore = 800;  // numbers after a digit are set off by "_", and are made unique

void make_unique(std::vector<Text>& ids, bool is_new_style, Arena& arena) {
    std::unordered_map<Text, int> counts;
    for (const Text id : ids) ++counts[id];
    if (counts.size() == ids.size()) return;
    std::unordered_map<Text, int> current(counts);  // as the list is so far
    std::unordered_map<Text, int> next;
    for (Text& id : ids) {
        const auto count = counts.find(id);
        if (count == counts.end() || count->second < 2) continue;
        const Text original = id;
        const bool ends_in_digit = !id.empty() && id.back() >= '0' && id.back() <= '9';
        const Text separator = is_new_style && ends_in_digit ? "_" : "";
        do {
            id = arena.join({original, separator, std::to_string(next[original]++)});
        } while (is_new_style && current[id] > 0);
        --current[original];
        ++current[id];
    }
}

}  // namespace

IdList ids_of(const Parameters& parameters, const std::function<Text(Text)>& resolve, PytestVersion version,
              Arena& arena) {
    IdList list;
    // An empty list makes one test that is skipped, with an id that depends on the version and settings.
    if (!parameters.known || parameters.sets.empty()) return list;
    list.ids.reserve(parameters.sets.size());
    std::string joined;
    for (const ParameterSet& set : parameters.sets) {
        if (set.id.empty()) return list;
        joined.clear();
        for (std::size_t i = 0; i != set.id.size(); ++i) {
            const IdPart& part = set.id[i];
            if (part.kind == IdKind::kUnknown) return list;
            const Text text = part.kind == IdKind::kText ? part.text : resolve(part.text);
            if (part.kind == IdKind::kReference && text.empty()) return list;
            if (i != 0) joined += '-';
            joined += text;
        }
        list.ids.push_back(set.id.size() == 1 && set.id[0].kind == IdKind::kText ? set.id[0].text : arena.keep(joined));
    }
    std::vector<Text> old_style;
    if (version == 0) old_style = list.ids;
    make_unique(list.ids, version == 0 || version >= kFirstWithUnderscore, arena);
    if (version == 0) make_unique(old_style, false, arena);
    list.is_known = version != 0 || old_style == list.ids;
    return list;
}

void join_ids(std::span<const IdList* const> lists, const std::function<void(Text)>& visit) {
    std::vector<std::size_t> places(lists.size(), 0);
    std::string joined;
    for (;;) {
        joined.clear();
        for (std::size_t i = 0; i != lists.size(); ++i) {
            if (i != 0) joined += '-';
            joined += lists[i]->ids[places[i]];
        }
        visit(joined);
        std::size_t last = lists.size();
        while (last != 0 && ++places[last - 1] == lists[last - 1]->ids.size()) places[--last] = 0;
        if (last == 0) return;
    }
}

}  // namespace tach::analyzer
