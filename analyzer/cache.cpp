#include "analyzer/cache.h"

#include <xxhash.h>

#include "analyzer/facts_archive.h"
#include "analyzer/walk_archive.h"
#include "base/whole_file.h"
#include "shm/archive.h"

namespace tach::analyzer {
template <class Archive>
void parts(Archive& archive, CachedFile& file) {
    archive(file.hash, file.is_stable, file.begin, file.size);
}

template <class Archive>
void parts(Archive& archive, Portion& portion) {
    archive(portion.is_alone, portion.first_fixture, portion.fixture_count, portion.told);
}

template <class Archive>
void parts(Archive& archive, Portions& portions) {
    archive(portions.shared_fixtures, portions.found_fixtures, portions.named_fixtures, portions.first_told,
            portions.files);
}

template <class Archive>
void parts(Archive& archive, CacheHead& head) {
    archive(head.program, head.inputs, head.output, head.walk, head.files, head.portions);
}

namespace {

constexpr std::string_view kMagic = "tach analysis cache\n";
constexpr std::size_t kWords = 3;
constexpr std::size_t kPreamble = kMagic.size() + kWords * sizeof(std::uint64_t);

std::uint64_t word_at(std::string_view bytes, std::size_t at) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < sizeof word; ++i) {
        word |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    }
    return word;
}

void append_word(std::string& bytes, std::uint64_t word) {
    for (std::size_t i = 0; i < sizeof word; ++i) bytes.push_back(static_cast<char>(word >> (8 * i)));
}

}  // namespace

Cache Cache::load(const std::string& path) {
    Cache cache;
    cache.bytes_ = base::read_file(path).value_or(std::string());
    const std::string_view bytes = cache.bytes_;
    if (bytes.size() < kPreamble || !bytes.starts_with(kMagic)) return {};
    const std::uint64_t head_size = word_at(bytes, kMagic.size());
    if (head_size > bytes.size() - kPreamble) return {};
    const std::string_view head = bytes.substr(kPreamble, static_cast<std::size_t>(head_size));
    if (XXH3_64bits(head.data(), head.size()) != word_at(bytes, kMagic.size() + 8)) return {};
    if (!read_bytes(head, cache.head) || cache.head.files.size() != cache.head.walk.files.size()) return {};
    cache.facts_hash_ = word_at(bytes, kMagic.size() + 16);
    cache.facts_begin_ = kPreamble + static_cast<std::size_t>(head_size);
    return cache;
}

std::string_view Cache::facts_of(const CachedFile& file) {
    const std::string_view facts = std::string_view(bytes_).substr(facts_begin_);
    if (check_ == Check::kNotYet) {
        check_ = XXH3_64bits(facts.data(), facts.size()) == facts_hash_ ? Check::kGood : Check::kBad;
    }
    if (check_ == Check::kBad || file.begin > facts.size() || file.size > facts.size() - file.begin) return {};
    return facts.substr(static_cast<std::size_t>(file.begin), static_cast<std::size_t>(file.size));
}

base::Result<void> Cache::store(const std::string& path, CacheHead& head, std::string_view facts) {
    std::string head_bytes;
    append_bytes(head_bytes, head);
    std::string preamble(kMagic);
    append_word(preamble, head_bytes.size());
    append_word(preamble, XXH3_64bits(head_bytes.data(), head_bytes.size()));
    append_word(preamble, XXH3_64bits(facts.data(), facts.size()));
    return base::replace_file(path, {preamble, head_bytes, facts});
}

}  // namespace tach::analyzer
