#pragma once

// What an analysis keeps for the next one, beside its output: the walk with the signatures of all files and
// directories, and the facts of each file with the hash of its contents. Good for one build of tach-analyzer on one
// machine; a cache that is damaged, or of another build, is as good as none.
//
//     "tach analysis cache\n"
//     size and XXH3 (64 bits) of the head, XXH3 of the rest: three little-endian words of 64 bits
//     the head, see archive.h
//     facts of all files, one after the other

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/renew.h"
#include "analyzer/source_text.h"
#include "analyzer/walk.h"
#include "base/result.h"

namespace tach::analyzer {

struct CachedFile {
    ContentHash hash;
    bool is_stable = false;   // false: to be read again
    std::uint64_t begin = 0;  // of its facts
    std::uint64_t size = 0;
};

struct CacheHead {
    std::string program;  // what made the facts: another one may make others
    std::string inputs;   // what else the output is made from: settings, options, rules
    Signature output;     // as it was left
    Walk walk;
    std::vector<CachedFile> files;  // of walk.files
    Portions portions;              // of the output
};

class Cache {
  public:
    // Empty if there is none that can be used.
    [[nodiscard]] static Cache load(const std::string& path);
    // Replaces the file as a whole. `facts` is what `head.files` point into.
    [[nodiscard]] static base::Result<void> store(const std::string& path, CacheHead& head, std::string_view facts);

    CacheHead head;

    // Looks at all of it when first asked; empty for a file whose facts are damaged.
    [[nodiscard]] std::string_view facts_of(const CachedFile& file);

  private:
    enum class Check : std::uint8_t { kNotYet, kGood, kBad };

    std::string bytes_;
    std::size_t facts_begin_ = 0;
    std::uint64_t facts_hash_ = 0;
    Check check_ = Check::kNotYet;
};

}  // namespace tach::analyzer
