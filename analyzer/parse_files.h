#pragma once

// Facts of many files at once, each as the bytes of facts_archive.h. Files are read and parsed in supervised child
// processes: one that crashes the parser or keeps it busy for good gets a diagnostic instead.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/source_text.h"
#include "base/result.h"

namespace tach::analyzer {

struct FileToParse {
    std::string path;   // to be opened
    ContentHash known;  // of what its facts are known for; zeros: none
};

struct ParsedFile {
    std::uint32_t number = 0;  // of the file in the list
    bool is_same = false;      // as known: there are no facts
    bool is_stable = true;     // false: they must not be kept, another attempt may see something else
    ContentHash hash;
    std::string_view facts;  // gone after the call
};

// Wall time for one file, 16 MB at a twentieth of the usual speed.
constexpr std::int64_t kParseBudgetNs = 60'000'000'000;

using TakeParsed = std::function<void(const ParsedFile&)>;

// Calls take() once for each file, in any order; meanwhile() once before, unless there is no file.
[[nodiscard]] base::Result<void> parse_files(const std::vector<FileToParse>& files, std::size_t workers,
                                             const TakeParsed& take, const std::function<void()>& meanwhile = {});

}  // namespace tach::analyzer
