#pragma once

// What --list showed, remembered: as long as nothing has changed that collection depends on, the ids are shown again
// without starting an interpreter. Driven by main, before and after the Session, for --list alone.
//
// Two keys, one within the other. The *situation* names the file, .tach/list/<hash>: the command line, the directory,
// the environment, the interpreter, the terminal, the machine, tach itself. The *evidence* (evidence.h) is in the file:
// all that pytest was seen to read, to list and to look for while it collected. A listing holds while all evidence
// does.
//
// Promises: what is shown again is byte for byte what was shown then, and only a listing that ended well is kept (exit
// code 0). A file that is damaged, or somebody else's, is as good as none. No failure here is an error of the run.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/message.h"
#include "supervisor/evidence.h"
#include "supervisor/home.h"
#include "supervisor/interpreter.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

// What a session has shown, in the parts in which pytest's reporter wrote it.
struct Listing {
    struct Text {
        shm::Stage stage = shm::Stage::kSummary;
        std::string text;

        bool operator==(const Text&) const = default;
    };

    std::vector<Text> texts;
    std::optional<Witness> witness;  // an interpreter that was killed gives none
};

class ListingMemory {
  public:
    ListingMemory(const Settings& settings, const Interpreter& interpreter, const Home& home,
                  std::filesystem::path cwd);

    // What is to be shown again, if it is known and all evidence holds.
    [[nodiscard]] std::optional<std::vector<Listing::Text>> recall() const;

    // Nothing if the listing will be recalled from now on, else an error that says why not.
    [[nodiscard]] base::Result<void> keep(const Listing& listing) const;

  private:
    [[nodiscard]] std::vector<std::filesystem::path> roots() const;

    std::filesystem::path cwd_;
    std::vector<std::string> words_;  // of the command line: where the rootdir may be
    std::filesystem::path name_;      // of the file, below .tach
};

// The file's contents, with a checksum; and back, or nothing if they are damaged.
struct KeptListing {
    std::vector<Listing::Text> texts;
    std::vector<Evidence> evidence;
};
[[nodiscard]] std::string pack(const KeptListing& kept);
[[nodiscard]] std::optional<KeptListing> unpack(std::string_view file);

// Of an environment, what may matter to a run: one "NAME=value" a line, sorted, without what differs from shell to
// shell.
[[nodiscard]] std::string lasting_environment(const char* const* environment);

}  // namespace tach::supervisor
