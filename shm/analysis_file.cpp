#include "shm/analysis_file.h"

#include <xxhash.h>

#include "shm/archive.h"

namespace tach::shm::analysis {

// In this order they stand in the file: a change here is a change of kVersion.

template <class Archive>
void parts(Archive& archive, Place& place) {
    archive(place.module, place.line, place.column);
}

template <class Archive>
void parts(Archive& archive, Reason& reason) {
    archive(reason.reason, reason.pattern, reason.because, reason.by_user, reason.at, reason.path);
}

template <class Archive>
void parts(Archive& archive, Import& import) {
    archive(import.to, import.kind, import.line);
}

template <class Archive>
void parts(Archive& archive, Module& m) {
    archive(m.path, m.name, m.hash_low, m.hash_high, m.is_test, m.is_conftest, m.is_text, m.is_complete);
    archive(m.level, m.reasons, m.hints, m.imports, m.packages);
}

template <class Archive>
void parts(Archive& archive, Fixture& f) {
    archive(f.name, f.at, f.origin, f.scope, f.is_autouse, f.is_parametrized, f.is_conditional);
    archive(f.level, f.reasons, f.needs);
}

template <class Archive>
void parts(Archive& archive, Mark& mark) {
    archive(mark.name, mark.arguments);
}

template <class Archive>
void parts(Archive& archive, Test& test) {
    archive(test.id, test.at, test.module, test.dynamic, test.fixtures, test.marks);
}

template <class Archive>
void parts(Archive& archive, Diagnostic& diagnostic) {
    archive(diagnostic.severity, diagnostic.at, diagnostic.file, diagnostic.message);
}

template <class Archive>
void parts(Archive& archive, Analysis& a) {
    archive(a.ini_file, a.paths, a.dynamic_texts, a.modules, a.fixtures, a.fixture_lists, a.mark_lists, a.tests);
    archive(a.diagnostics);
}

namespace {

constexpr std::string_view kMagic = "tach analysis 2\n";
static_assert(kVersion == 2);
constexpr std::string_view kAnyVersion = "tach analysis ";
constexpr std::size_t kHashBytes = 8;

std::string hash_bytes(std::string_view bytes) {
    const std::uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
    std::string text;
    for (std::size_t i = 0; i < kHashBytes; ++i) text.push_back(static_cast<char>(hash >> (8 * i)));
    return text;
}

}  // namespace

std::string encode(Analysis& analysis) {
    constexpr std::size_t kHead = kMagic.size() + kHashBytes;
    constexpr std::size_t kUsualTest = 64;  // bytes, so that the text grows but rarely
    std::string bytes(kMagic);
    bytes.reserve(kHead + analysis.tests.size() * kUsualTest);
    bytes.resize(kHead);
    append_bytes(bytes, analysis);
    bytes.replace(kMagic.size(), kHashBytes, hash_bytes(std::string_view(bytes).substr(kHead)));
    return bytes;
}

base::Result<Analysis> decode(std::string_view bytes) {
    if (!bytes.starts_with(kMagic)) {
        return base::fail(
            base::protocol_error(bytes.starts_with(kAnyVersion) ? "an analysis of another version" : "no analysis"));
    }
    bytes.remove_prefix(kMagic.size());
    if (bytes.size() < kHashBytes || hash_bytes(bytes.substr(kHashBytes)) != bytes.substr(0, kHashBytes)) {
        return base::fail(base::protocol_error("a damaged analysis"));
    }
    Analysis analysis;
    if (!read_bytes(bytes.substr(kHashBytes), analysis)) {
        return base::fail(base::protocol_error("a damaged analysis"));
    }
    return analysis;
}

}  // namespace tach::shm::analysis
