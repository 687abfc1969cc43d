#pragma once

// The interpreters that compile, for as long as a stage runs: children of ours that are given one source after the
// other. Driven by stage.cpp.
//
// An interpreter that crashes, exits, says nonsense or takes too long costs the module that it was at, and another one
// takes its place. One that cannot be started at all is an error. Modules are given out in order and come back in any.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "compiler/frames.h"
#include "shm/bytecode_image.h"

namespace tach::compiler {

struct PoolOptions {
    std::vector<std::string> command;  // EXE child.py ...
    std::int64_t start_budget_ns = 0;  // from an interpreter's start to its hello, and for getting the rewriter ready
    std::int64_t budget_ns = 0;        // wall time for one module
};

// What an interpreter says of itself.
struct Hello {
    std::string key;
    std::vector<std::string> files;  // by which it can be known again
};

struct Rewriter {
    std::string key;
    std::string missing;  // why there is none; empty if there is one
};

struct Task {
    std::size_t number = 0;
    shm::bytecode::Kind kind = shm::bytecode::Kind::kPlain;
    std::string path;
    std::string source;
};

struct Outcome {
    std::size_t number = 0;
    std::string code;    // marshalled; empty: it has none
    std::string reason;  // of that
    std::uint32_t line = 0;
    bool no_rewriter = false;  // that is the reason
};

class Pool {
  public:
    using Next = std::function<std::optional<Task>()>;
    using Take = std::function<void(Outcome)>;

    // The loop is run by the calls below, and may serve others meanwhile.
    Pool(base::EventLoop& loop, PoolOptions options);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // Starts an interpreter if there is none. EPROTO: it did not answer as one.
    [[nodiscard]] base::Result<Hello> greet();
    // After greet().
    [[nodiscard]] base::Result<Rewriter> load_rewriter();
    // After greet(), with at most that many interpreters. Calls take() once for each task that next() gives, until
    // that gives none.
    [[nodiscard]] base::Result<void> compile(std::size_t at_most, const Next& next, const Take& take);
    // From a callback of the loop: the call that is under way ends soon, with code EINTR; what interpreters are at is
    // lost.
    void stop() { is_stopped_ = true; }

  private:
    struct Child;

    [[nodiscard]] base::Result<void> start();
    [[nodiscard]] base::Result<void> wait_for(const std::function<bool()>& condition);
    [[nodiscard]] Child* idle_child() const;
    [[nodiscard]] std::size_t living() const;
    [[nodiscard]] bool is_busy() const;
    [[nodiscard]] base::Result<void> feed(std::size_t at_most);
    void give(Child& child, Task task);
    void ask(Child& child, Ask what, std::string_view path, std::string_view source, std::int64_t budget_ns);
    void flush(Child& child);
    void receive(Child& child);
    void take_answer(Child& child, const Answer& answer);
    void take_hello(Child& child, std::string_view content);
    void take_rewriter(Child& child, const Answer& answer);
    void deliver(Child& child, Outcome outcome);
    void lose(Child& child, bool is_late, std::string_view nonsense);

    base::EventLoop* loop_;
    PoolOptions options_;
    std::vector<std::unique_ptr<Child>> children_;
    std::optional<Hello> hello_;
    std::optional<Rewriter> rewriter_;
    std::optional<base::Error> start_failure_;  // of the last one that was started, if it never said hello
    std::uint64_t last_number_ = 0;
    int failed_starts_ = 0;  // one after the other
    // Of the call of compile() that is under way.
    const Next* next_ = nullptr;
    const Take* take_ = nullptr;
    bool is_exhausted_ = true;
    bool is_stopped_ = false;
};

}  // namespace tach::compiler
