#include "analyzer/parse_files.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <utility>

#include "analyzer/extract.h"
#include "analyzer/facts_archive.h"
#include "analyzer/parse_memory.h"
#include "base/work_pool.h"
#include "shm/archive.h"

namespace tach::analyzer {
namespace {

struct Header {
    bool is_same = false;
    bool is_stable = true;
    ContentHash hash;
};

template <class Archive>
void parts(Archive& archive, Header& header) {
    archive(header.is_same, header.is_stable, header.hash);
}

std::string reason_of(const ReadSource& source) {
    switch (source.problem) {
        case ReadProblem::kUnreadable:
            return fmt::format("cannot be read: {}", std::strerror(source.error_number));
        case ReadProblem::kNotRegular:
            return "no regular file";
        case ReadProblem::kTooLong:
            return fmt::format("{} bytes long, at most {} are read", source.size, kMostSourceBytes);
        case ReadProblem::kChanging:
            return "changes while it is read";
        case ReadProblem::kNone:
            break;
    }
    return {};
}

Facts without_facts(Position at, Text why) {
    Facts facts;
    facts.is_complete = false;
    facts.diagnostics.push_back({.at = at, .message = why});
    return facts;
}

void parse_one(const FileToParse& file, Parser& parser, std::string& bytes) {
    const ReadSource source = read_source(file.path.c_str());
    Header header{.hash = hash_of(source.bytes)};
    const std::string problem = reason_of(source);
    if (!problem.empty()) {
        header.is_stable = source.problem == ReadProblem::kTooLong || source.problem == ReadProblem::kNotRegular;
        header.hash = {};
        Facts facts = without_facts({}, problem);
        append_bytes(bytes, header);
        return append_bytes(bytes, facts);
    }
    header.is_same = header.hash == file.known;
    append_bytes(bytes, header);
    if (header.is_same) return;
    std::string_view text = source.bytes;
    Arena arena;
    const std::optional<BadEncoding> bad = check_encoding(text);
    Facts facts = bad ? without_facts(bad->at, bad->message) : extract(text, parser, arena);
    append_bytes(bytes, facts);
}

std::string why_lost(const base::WorkOutcome& outcome) {
    if (outcome.end == base::WorkEnd::kTimedOut) {
        return fmt::format("the parser did not come to an end within {} s", kParseBudgetNs / 1'000'000'000);
    }
    if (outcome.signal != 0) return fmt::format("the parser crashed on it (signal {})", outcome.signal);
    return fmt::format("the parser ended on it (exit code {})", outcome.exit_code);
}

void take_outcome(const base::WorkOutcome& outcome, const TakeParsed& take) {
    ParsedFile parsed{.number = outcome.number, .facts = {}};
    if (outcome.end != base::WorkEnd::kDone) {
        const std::string why = why_lost(outcome);
        Facts facts = without_facts({}, why);
        std::string bytes;
        append_bytes(bytes, facts);
        parsed.facts = bytes;
        return take(parsed);
    }
    Header header;
    const std::size_t size = prefix_bytes(outcome.bytes, header);
    parsed.is_same = header.is_same;
    parsed.is_stable = header.is_stable;
    parsed.hash = header.hash;
    parsed.facts = outcome.bytes.substr(size);
    take(parsed);
}

}  // namespace

base::Result<void> parse_files(const std::vector<FileToParse>& files, std::size_t workers, const TakeParsed& take,
                               const std::function<void()>& meanwhile) {
    bool is_ready = false;  // each worker
    const auto work = [&](std::uint32_t number, std::string& bytes) {
        if (!std::exchange(is_ready, true)) use_parse_memory();
        {
            Parser parser;
            parse_one(files[number], parser, bytes);
        }
        reuse_parse_memory();
    };
    return base::WorkPool::run(static_cast<std::uint32_t>(files.size()),
                               {.workers = workers, .budget_ns = kParseBudgetNs, .meanwhile = meanwhile}, work,
                               [&](const base::WorkOutcome& outcome) { take_outcome(outcome, take); });
}

}  // namespace tach::analyzer
