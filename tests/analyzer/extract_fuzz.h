#pragma once

// What holds for any bytes at all, taken as a source file, as facts and as an analysis: shared by the fuzzer and by the
// test that runs the corpus.

#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "analyzer/extract.h"
#include "analyzer/facts_archive.h"
#include "analyzer/source_text.h"
#include "shm/analysis_file.h"

namespace tach::tests {

[[noreturn]] inline void broken(const char* promise) {
    std::fprintf(stderr, "broken promise: %s\n", promise);
    std::abort();
}

// Facts that can be made are read back as they were written.
inline void run_as_source(std::string_view source, analyzer::Parser& parser) {
    if (analyzer::check_encoding(source)) return;
    analyzer::Arena arena;
    analyzer::Facts facts = analyzer::extract(source, parser, arena);
    std::string bytes;
    analyzer::append_bytes(bytes, facts);
    analyzer::Facts read;
    if (!analyzer::read_bytes(bytes, read)) broken("facts can be read back");
    std::string again;
    analyzer::append_bytes(again, read);
    if (again != bytes) broken("facts are read back as they were");
}

// What is read from them may be refused, but what is taken can be written again.
inline void run_as_facts(std::string_view bytes) {
    analyzer::Facts facts;
    if (!analyzer::read_bytes(bytes, facts)) return;
    std::string again;
    analyzer::append_bytes(again, facts);
}

// With a head that is right, as nobody would get past it by chance.
inline void run_as_analysis(std::string_view bytes) {
    (void)shm::analysis::decode(bytes);
    std::string whole = "tach analysis " + std::to_string(shm::analysis::kVersion) + "\n";
    std::uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
    for (int i = 0; i < 8; ++i, hash >>= 8) whole.push_back(static_cast<char>(hash & 0xFF));
    whole += bytes;
    if (auto analysis = shm::analysis::decode(whole)) (void)shm::analysis::encode(*analysis);
}

inline void run_as_anything(std::string_view bytes, analyzer::Parser& parser) {
    run_as_source(bytes, parser);
    run_as_facts(bytes);
    run_as_analysis(bytes);
}

}  // namespace tach::tests
