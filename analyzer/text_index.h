#pragma once

// A hash table from texts to indexes, several to a text: names to files, heads of patterns to rules. Filled once, then
// only read. Keys are views, and whoever fills it keeps their memory. Deterministic: what it gives for a key does not
// depend on the other keys.

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "analyzer/facts.h"

namespace tach::analyzer {

class TextIndex {
  public:
    void reserve(std::size_t count) {
        entries_.reserve(count);
        if (count > heads_.size()) spread(std::bit_ceil(count));
    }

    void add(Text key, Index value) {
        if (entries_.size() >= heads_.size()) spread(std::max<std::size_t>(16, heads_.size() * 2));
        entries_.push_back({key, hash(key), value, -1});
        link(static_cast<Index>(entries_.size() - 1));
    }

    // visit(value) for each value of `key`, the latest first.
    template <class Visit>
    void for_each(Text key, const Visit& visit) const {
        if (heads_.empty()) return;
        const std::uint64_t wanted = hash(key);
        for (Index at = heads_[wanted & (heads_.size() - 1)]; at >= 0; at = entries_[at].next) {
            if (entries_[at].hash == wanted && entries_[at].key == key) visit(entries_[at].value);
        }
    }

    // The latest value of `key`; -1: none.
    [[nodiscard]] Index find(Text key) const {
        Index found = -1;
        for_each(key, [&](Index value) {
            if (found < 0) found = value;
        });
        return found;
    }

    [[nodiscard]] bool contains(Text key) const { return find(key) >= 0; }

  private:
    struct Entry {
        Text key;
        std::uint64_t hash;
        Index value;
        Index next;
    };

    static std::uint64_t hash(Text key) { return XXH3_64bits(key.data(), key.size()); }

    void link(Index at) {
        Index& head = heads_[entries_[at].hash & (heads_.size() - 1)];
        entries_[at].next = head;
        head = at;
    }

    void spread(std::size_t buckets) {
        heads_.assign(buckets, -1);
        for (std::size_t at = 0; at < entries_.size(); ++at) link(static_cast<Index>(at));
    }

    std::vector<Entry> entries_;
    std::vector<Index> heads_;  // a power of two of them
};

}  // namespace tach::analyzer
