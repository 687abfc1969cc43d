#pragma once

// --explain: how a test is going to run, and why, without running any. From what the interpreter told after collection,
// from the sources, from what earlier runs have remembered, and from the settings. Pure; made once by the Session.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "shm/message.h"
#include "supervisor/routing.h"
#include "supervisor/settings.h"

namespace tach::supervisor {

// kExplained of shm/message.h.
struct Explained {
    struct Fixture {
        std::string name;
        std::string scope;
        std::string place;
        bool is_wide = false;  // wider than a function, and not known to leave nothing
    };
    std::uint32_t item = shm::kNoItem;
    std::vector<Fixture> fixtures;
    std::string why_solo;    // the whole session runs in one process; empty: it does not
    std::string why_shared;  // this test runs un-rewound, with others; empty: not known

    [[nodiscard]] static Explained parse(const shm::Message& message);
};

class Explanation {
  public:
    struct Inputs {
        const Settings& settings;
        const Explained& told;
        std::string nodeid;
        bool is_last = false;                                       // Session::goes_last()
        std::string sources_unknown{};                              // why the sources were not looked at
        std::optional<Suspicion> suspicion{};                       // what they say
        std::optional<Forked> forked{};                             // what follows, by forked_tests()
        std::vector<std::pair<std::string, Opinion>> dependents{};  // with which it runs together
    };
    explicit Explanation(const Inputs& inputs);

    // The node id, and below it a line for each finding.
    [[nodiscard]] std::string text() const;
    // One object: nodeid, mode, condition, path, engine: strings; last: boolean; because: strings; fixtures: objects of
    // name, scope and place.
    [[nodiscard]] std::string json() const;

  private:
    void decide(const Inputs& inputs);
    void add_sources(const Inputs& inputs);
    void share(std::string why);

    std::string nodeid_;
    std::string mode_;
    bool is_last_ = false;   // handed out after the others
    std::string condition_;  // what makes it run otherwise after all; empty: nothing
    std::string path_;
    std::string engine_;
    std::vector<std::string> because_;
    std::vector<Explained::Fixture> fixtures_;
};

// A user's mistake (usage.h): names the nearest of those that there are.
[[nodiscard]] tl::unexpected<base::Error> no_such_test(std::string_view nodeid, std::span<const std::string> nodeids);

}  // namespace tach::supervisor
