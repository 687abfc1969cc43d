#pragma once

// What the directories on a module search path hold, as importlib's FileFinder would see it: names are read once and
// looked at again when a directory's status has changed. Fresher than FileFinder, which knows a change only by its
// time: a directory that has just changed is read again each time.
//
// One thread. What is remembered is ordinary memory of the process, and so is rewound with it.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file_status.h"

namespace tach::zygote {

// What a directory holds of a module, bits.
constexpr std::uint8_t kHasSource = 1;  // NAME.py
constexpr std::uint8_t kHasEntry = 2;   // NAME: a package, if it is a directory
constexpr std::uint8_t kHasOther = 4;   // an extension module, a .pyc without its source

class ModuleDirectories {
  public:
    // `other_suffixes`: of all that a module can be loaded from beside ".py" (importlib.machinery.all_suffixes()).
    explicit ModuleDirectories(std::vector<std::string> other_suffixes) : other_suffixes_(std::move(other_suffixes)) {}

    enum class State : std::uint8_t {
        kListed,
        kNone,         // nothing is there
        kNoDirectory,  // something else is
        kUnreadable,
    };

    // What the directory holds of modules of that name (the last part of a dotted one); of kListed alone.
    struct Answer {
        State state = State::kNone;
        std::uint8_t holds = 0;
    };
    [[nodiscard]] Answer look(const std::string& directory, std::string_view name);

  private:
    struct Transparent {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    struct Listing {
        base::FileStatus status;
        bool is_settled = false;  // it cannot change without a change of the status
        std::unordered_map<std::string, std::uint8_t, Transparent, std::equal_to<>> holds;
    };

    [[nodiscard]] bool read(const std::string& directory, Listing& listing) const;
    void note(Listing& listing, std::string_view entry) const;

    std::vector<std::string> other_suffixes_;
    std::unordered_map<std::string, Listing> listings_;
};

}  // namespace tach::zygote
