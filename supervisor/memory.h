#pragma once

// What tach remembers from run to run, in .tach/memory.json beside the project's root: how long tests take,
// what second opinions said, what the guard found after tests, which wide fixtures are asked for late, which modules
// several tests import.
//
// Loaded once before the run and saved once after it, by the main loop. Nothing in it is needed for a right
// verdict, so no failure is an error here: a file that cannot be read or understood counts as empty, one that
// cannot be written is left as it was, and the first such problem of a run becomes one line for the user.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tach::supervisor {

// What running a test again in pytest's own order has shown.
struct Opinion {
    enum class Verdict { kConfirmed, kOrderDependent };
    Verdict verdict = Verdict::kConfirmed;
    std::vector<std::string> needs;  // order-dependent: node ids of the tests it needs before it
    std::string alone;               // order-dependent: its outcome without them
    std::string key;                 // of all that the verdict depends on; holds as long as this is the same

    bool operator==(const Opinion&) const = default;
};

// What the guard found after the tests of a file.
struct Judgements {
    std::string key;  // of all that their behaviour depends on; they hold as long as this is the same
    // By node id without the file: why its process could not be rewound, or could not have been; empty: nothing was in
    // the way.
    std::map<std::string, std::string, std::less<>> why;

    // Null: nothing is known of that test.
    [[nodiscard]] const std::string* of(std::string_view nodeid) const;
    bool operator==(const Judgements&) const = default;
};

// A test changes what is read after it.
struct Gathering {
    std::string reader;
    bool at_end = false;  // by the process that ends the session; otherwise by a session fixture's teardown

    bool operator==(const Gathering&) const = default;
};

// Those of a file.
struct Gatherings {
    std::string key;                                   // as in Judgements
    std::map<std::string, Gathering, std::less<>> of;  // by node id without the file

    bool operator==(const Gatherings&) const = default;
};

class Memory {
  public:
    explicit Memory(std::filesystem::path rootdir) : rootdir_(std::move(rootdir)) {}

    static Memory load(const std::filesystem::path& rootdir);
    // Forgets what belongs to files that no longer exist, and writes.
    void save();

    // The one line about the first problem, once.
    [[nodiscard]] std::optional<std::string> take_warning();

    [[nodiscard]] std::optional<double> duration_s(std::string_view nodeid) const;
    [[nodiscard]] bool has_durations() const { return !durations_.empty(); }
    void learn_duration(std::string_view nodeid, std::int64_t duration_ns);

    // Null if nothing is known, or what is known was learned under another key.
    [[nodiscard]] const Opinion* opinion(std::string_view nodeid, std::string_view key) const;
    [[nodiscard]] bool has_opinions() const { return !opinions_.empty(); }
    void learn_opinion(std::string_view nodeid, Opinion opinion);

    // Null: there are none.
    [[nodiscard]] const Judgements* judgements(std::string_view file) const;
    // What was learned of tests of its file under another key is forgotten.
    void learn_judgement(std::string_view nodeid, std::string_view why, std::string_view key);

    // Null if nothing is known, or what is known was learned under another key.
    [[nodiscard]] const Gathering* gathering(std::string_view nodeid, std::string_view key) const;
    [[nodiscard]] const std::map<std::string, Gatherings, std::less<>>& gatherings() const { return gatherings_; }
    // What was learned of tests of its file under another key is forgotten.
    void learn_gathering(std::string_view nodeid, Gathering gathering, std::string_view key);

    // Names of the wide fixtures that tests of this file ask for at run time.
    [[nodiscard]] const std::set<std::string>& late_fixtures(std::string_view file) const;
    [[nodiscard]] std::vector<std::string> files_with_late_fixtures() const;
    void learn_late_fixture(std::string_view file, std::string_view name);

    // Module -> the file it is loaded from.
    [[nodiscard]] const std::map<std::string, std::string, std::less<>>& imports() const { return imports_; }
    void learn_import(std::string_view module, std::string_view origin);
    void forget_import(std::string_view module);

    // Modules that cannot be kept, since importing them leaves what cannot be rewound.
    struct LeftOut {
        std::string origin;
        std::string stamp;  // of the file, as the harness compares it
        std::string why;
    };
    [[nodiscard]] const std::map<std::string, LeftOut, std::less<>>& left_out() const { return left_out_; }
    void learn_left_out(std::string_view module, LeftOut left_out);

  private:
    struct Duration {
        std::int64_t us = 0;
        bool learned_now = false;
    };
    using ByFile = std::map<std::string, std::map<std::string, Duration, std::less<>>, std::less<>>;

    void warn(std::string text);
    void parse(const std::string& text);
    [[nodiscard]] std::string dump() const;
    void forget_vanished();
    void forget_surplus();

    std::filesystem::path rootdir_;
    ByFile durations_;  // file -> rest of the node id -> duration
    std::map<std::string, Opinion, std::less<>> opinions_;
    std::map<std::string, Judgements, std::less<>> judgements_;  // by file
    std::map<std::string, Gatherings, std::less<>> gatherings_;  // by file
    std::map<std::string, std::set<std::string>, std::less<>> late_fixtures_;
    std::map<std::string, std::string, std::less<>> imports_;
    std::map<std::string, LeftOut, std::less<>> left_out_;
    std::optional<std::string> warning_;
    bool warned_ = false;
    bool changed_ = false;
};

// Identity of files by content, for Opinion::key. A file is read once; within a run it counts as unchanged as
// long as its size and modification time are.
class ContentKeys {
  public:
    // 32 hexadecimal digits: XXH3-128 over names and contents of the files, in any order, and over `extra`
    // (versions, options). A file that cannot be read has a content of its own.
    [[nodiscard]] std::string key(std::span<const std::filesystem::path> files, std::string_view extra);

  private:
    struct Known {
        std::uintmax_t size = 0;
        std::filesystem::file_time_type mtime;
        std::string digest;
    };
    [[nodiscard]] const std::string& digest(const std::filesystem::path& file);

    std::unordered_map<std::string, Known> known_;
};

}  // namespace tach::supervisor
