#pragma once

// The stage: what is to be compiled and an image of before, to the image. Driven by main.
//
// A module is kept if its source's status is what the image says; if not, the source is read, and the code kept if the
// contents are the same; if not, it is compiled, from the very bytes that were read. All code is of one interpreter,
// and all rewritten code of one assertion rewriter: if they are others than those of the image (see identity.h),
// nothing of theirs is kept. What cannot be compiled, or warns, has an entry without code, so that it is not tried
// again until it changes: the interpreter is to say itself what is wrong.
//
// While it compiles, it writes from time to time what it has; so it does when a signal stops it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "compiler/home.h"
#include "compiler/pool.h"
#include "compiler/wanted.h"
#include "shm/bytecode_image.h"

namespace tach::compiler {

struct StageOptions {
    std::vector<Wanted> wanted;  // sorted out
    std::string interpreter;     // absolute
    std::string ini_file;        // absolute; "" if there is none
    std::string output;
    Home home;
    std::size_t jobs = 1;
    bool paranoid = false;
    bool idle = false;  // time goes by while it does not run
};

enum class State : std::uint8_t {
    kPending,   // it has not been looked at, or is being compiled
    kKept,      // it has the status of before
    kSame,      // it was read and found to be the same
    kCompiled,  // in this run, or at least tried
    kLeftOut,   // there is no such file, or no rewriter for it
};

struct Unit {
    Wanted wanted;
    State state = State::kPending;
    shm::bytecode::Signature signature;
    shm::bytecode::Hash hash;
    std::string_view code;  // in the image, or in `made`; empty: it cannot be compiled, or warns
    std::string made;
    std::string reason;         // why there is no code, if it was found in this run
    std::uint32_t line = 0;     // of the reason
    bool is_of_before = false;  // signature, hash and code are those that the image had
    bool is_written = false;    // as it is now
};

class Stage {
  public:
    enum class End : std::uint8_t {
        kDone,
        kMistake,  // the interpreter is none
        kFailed,   // the image cannot be written, or interpreters could not be started any more
        kStopped   // by a signal
    };

    explicit Stage(StageOptions options);

    // Once. What is not kDone is explained by error(), or stopped_by().
    [[nodiscard]] End run();

    [[nodiscard]] const std::string& error() const { return error_; }          // one line
    [[nodiscard]] const std::string& complaint() const { return complaint_; }  // of the image of before; or empty
    [[nodiscard]] const std::string& missing_rewriter() const { return missing_rewriter_; }  // why; or empty
    [[nodiscard]] int stopped_by() const { return signal_; }
    [[nodiscard]] const std::vector<Unit>& units() const { return units_; }  // by kind and path
    [[nodiscard]] std::vector<std::string> inputs() const;                   // files that there are

  private:
    void open_image();
    [[nodiscard]] bool is_known_interpreter();
    void choose();
    void choose(Unit& unit);
    [[nodiscard]] std::optional<Task> next_task();
    [[nodiscard]] std::optional<Task> read(std::size_t number);
    [[nodiscard]] End compile();
    [[nodiscard]] base::Result<void> start_pool();
    [[nodiscard]] base::Result<bool> ask();
    [[nodiscard]] std::size_t interpreters() const;
    void take(Outcome outcome);
    void write_in_between();
    [[nodiscard]] End write(End end);
    [[nodiscard]] base::Result<void> write();
    [[nodiscard]] bool is_written() const;
    void go_on_with_what_is_written();
    [[nodiscard]] End give_up(base::Error error, End end);

    StageOptions options_;
    std::vector<Unit> units_;
    std::optional<shm::bytecode::Image> image_;
    shm::bytecode::Keys keys_;
    std::vector<std::string> identity_files_;
    std::string missing_rewriter_;
    std::size_t next_ = 0;  // of units_
    // In this order: what serves is gone before what it is served by.
    std::optional<base::EventLoop> loop_;
    base::UniqueFd signals_;
    std::optional<Pool> pool_;
    int signal_ = 0;
    std::string error_;
    std::string complaint_;
    std::optional<base::Error> write_error_;
};

}  // namespace tach::compiler
