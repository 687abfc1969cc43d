#pragma once

// The analysis file: what tach-analyzer writes down about a project, and what the other stages know of it.
//
//     "tach analysis 2\n"     the number is the version of all that follows
//     XXH3 (64 bits) of the rest, little-endian
//     an Analysis by the rules of archive.h, its members in the order of analysis_file.cpp's parts()
//
// The same sources and settings give the same bytes on any machine: no times, no absolute paths. docs/analysis.md
// describes the members, docs/analysis.schema.json the same data as `tach-analyzer --format json` prints it.
//
// Texts are views into the bytes that the analysis was read from, or into what the analyzer holds.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tach::shm::analysis {

constexpr std::uint32_t kVersion = 2;

using Text = std::string_view;
using Index = std::int32_t;  // into a list of the same Analysis; -1: none

enum class Severity : std::uint8_t { kNote, kWarning, kError };
enum class Level : std::uint8_t { kSafe, kToxic, kUnknown };
enum class Scope : std::uint8_t { kFunction, kClass, kModule, kPackage, kSession, kDynamic };

struct Place {
    Index module = -1;
    std::uint32_t line = 0;    // from 1; 0: of the file as a whole
    std::uint32_t column = 0;  // from 1, in bytes
};

// Why something cannot be rewound, or what will have to be looked at when it runs.
struct Reason {
    Text reason;   // "thread", "socket", ...: one of the words of docs/analysis.md
    Text pattern;  // of the rule, or what says it instead of one
    Text because;
    bool by_user = false;     // a rule of tach.toml, or strict mode: what a run finds does not correct it
    Place at;                 // the evidence
    std::vector<Index> path;  // modules by whose imports it comes here, this one first; empty: it is its own
};

struct Import {
    Index to = -1;
    Text kind;  // "import", "conditional", ...: docs/analysis.md
    std::uint32_t line = 0;
};

struct Module {
    Text path;                   // relative to the root
    Text name;                   // dotted; empty: no module
    std::uint64_t hash_low = 0;  // XXH3 (128 bits) of the contents
    std::uint64_t hash_high = 0;
    bool is_test = false;
    bool is_conftest = false;
    bool is_text = false;
    bool is_complete = false;  // read to its end
    Level level = Level::kSafe;
    std::vector<Reason> reasons;
    std::vector<Reason> hints;  // of bodies and function-scoped fixtures: the guard sees what is left behind
    std::vector<Import> imports;
    std::vector<Text> packages;  // installed ones, by their top-level names
};

struct Fixture {
    Text name;
    Place at;
    Text origin;  // "project", "pytest", "unknown"
    Scope scope = Scope::kFunction;
    bool is_autouse = false;
    bool is_parametrized = false;
    bool is_conditional = false;
    Level level = Level::kSafe;  // toxic: tests that use it cannot be rewound while it is set up
    std::vector<Reason> reasons;
    std::vector<Index> needs;  // its closure
};

struct Mark {
    Text name;
    Text arguments;  // as written
};

struct Test {
    Text id;                    // of a dynamic one: as far as it is known
    Place at;                   // of its definition
    Index module = -1;          // that pytest collects it in
    std::uint32_t dynamic = 0;  // bits, into `dynamic_texts`; 0: it is known to have exactly this id
    Index fixtures = -1;        // into fixture_lists
    Index marks = -1;           // into mark_lists
};

struct Diagnostic {
    Severity severity = Severity::kError;
    Place at;
    Text file;  // if it is of no module
    Text message;
};

struct Analysis {
    Text ini_file;
    std::vector<Text> paths;  // that pytest collects
    std::vector<Text> dynamic_texts;
    std::vector<Module> modules;  // by path
    std::vector<Fixture> fixtures;
    std::vector<std::vector<Index>> fixture_lists;  // closures
    std::vector<std::vector<Mark>> mark_lists;
    std::vector<Test> tests;  // in the order in which pytest collects, as far as that is known
    std::vector<Diagnostic> diagnostics;
};

[[nodiscard]] std::string encode(Analysis& analysis);

// EPROTO: no analysis, damaged, or of another version; `what` says so and names nothing.
[[nodiscard]] base::Result<Analysis> decode(std::string_view bytes);

}  // namespace tach::shm::analysis
