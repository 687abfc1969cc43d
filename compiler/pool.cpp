#include "compiler/pool.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/companion.h"

namespace tach::compiler {

using base::fail;
using base::Result;
using shm::bytecode::Kind;

namespace {

constexpr int kMostFailedStarts = 3;  // a guess: whatever it is, it will not pass
constexpr std::size_t kReadBytes = std::size_t{1} << 18;

// An interpreter says last what is wrong with it.
std::string last_line(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    const std::size_t start = text.rfind('\n');
    return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

std::string end_text(int status) {
    if (status > 128) return fmt::format("the interpreter was ended by signal {}", status - 128);
    return fmt::format("the interpreter ended with exit code {}", status);
}

}  // namespace

struct Pool::Child {
    enum class State : std::uint8_t { kStarting, kIdle, kPreparing, kCompiling, kDead };

    explicit Child(base::Companion started) : process(std::move(started)) {}

    base::Companion process;
    State state = State::kStarting;
    std::string out;
    std::size_t sent = 0;  // of out
    std::string in;
    std::uint64_t number = 0;  // of the last request
    base::EventLoop::TimerId timer;
    std::int64_t budget_ns = 0;
    bool has_rewriter = false;
    std::optional<Task> task;  // that it is at, or that waits for its rewriter
};

Pool::Pool(base::EventLoop& loop, PoolOptions options) : loop_(&loop), options_(std::move(options)) {}

Pool::~Pool() {
    for (const auto& child : children_) {
        if (child->state == Child::State::kDead) continue;
        loop_->remove(child->process.socket());
        loop_->cancel(child->timer);
    }
}

// --- what the stage calls -------------------------------------------------------------------------------------------

Result<Hello> Pool::greet() {
    if (living() == 0) {
        if (auto started = start(); !started) return fail(started.error());
    }
    if (auto waited = wait_for([&] { return hello_ || living() == 0; }); !waited) return fail(waited.error());
    if (!hello_) return fail(*start_failure_);
    return *hello_;
}

Result<Rewriter> Pool::load_rewriter() {
    if (rewriter_) return *rewriter_;
    Child* const child = idle_child();
    if (child == nullptr) return fail(base::protocol_error("there is no interpreter"));
    child->state = Child::State::kPreparing;
    ask(*child, Ask::kRewriter, {}, {}, options_.start_budget_ns);
    if (auto waited = wait_for([&] { return rewriter_.has_value(); }); !waited) return fail(waited.error());
    return *rewriter_;
}

Result<void> Pool::compile(std::size_t at_most, const Next& next, const Take& take) {
    next_ = &next;
    take_ = &take;
    is_exhausted_ = false;
    Result<void> result;
    while (result && !(is_exhausted_ && !is_busy())) {
        result = feed(at_most);
        if (result && is_busy()) result = wait_for([&] { return idle_child() != nullptr || living() < at_most; });
    }
    next_ = nullptr;
    take_ = nullptr;
    return result;
}

// --- giving work ----------------------------------------------------------------------------------------------------

// To those that have nothing to do, and starts others while there may be more of them.
Result<void> Pool::feed(std::size_t at_most) {
    children_.erase(std::remove_if(children_.begin(), children_.end(),
                                   [](const auto& child) { return child->state == Child::State::kDead; }),
                    children_.end());
    while (!is_exhausted_) {
        Child* const child = idle_child();
        if (child == nullptr) break;
        auto task = (*next_)();
        is_exhausted_ = !task;
        if (task) give(*child, *std::move(task));
    }
    while (!is_exhausted_ && living() < at_most && failed_starts_ < kMostFailedStarts) {
        if (auto started = start(); !started && living() == 0) return started;
    }
    if (!is_exhausted_ && living() == 0) return fail(*start_failure_);
    return {};
}

void Pool::give(Child& child, Task task) {
    const bool needs_rewriter = task.kind == Kind::kRewritten && !child.has_rewriter;
    child.state = needs_rewriter ? Child::State::kPreparing : Child::State::kCompiling;
    if (needs_rewriter) {
        child.task = std::move(task);
        ask(child, Ask::kRewriter, {}, {}, options_.start_budget_ns);
        return;
    }
    const std::string source = std::exchange(task.source, {});
    child.task = std::move(task);
    ask(child, child.task->kind == Kind::kRewritten ? Ask::kRewritten : Ask::kPlain, child.task->path, source,
        options_.budget_ns);
}

Result<void> Pool::start() {
    start_failure_.reset();
    auto process = base::Companion::start(options_.command);
    if (!process) {
        ++failed_starts_;
        start_failure_ = process.error();
        return fail(process.error());
    }
    children_.push_back(std::make_unique<Child>(*std::move(process)));
    Child* const child = children_.back().get();
    child->budget_ns = options_.start_budget_ns;
    child->timer = loop_->after(options_.start_budget_ns, [this, child] { lose(*child, true, {}); });
    return loop_->add(child->process.socket(), EPOLLIN, [this, child](std::uint32_t events) {
        if ((events & EPOLLOUT) != 0) flush(*child);
        if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive(*child);
    });
}

Result<void> Pool::wait_for(const std::function<bool()>& condition) {
    do {
        if (is_stopped_) return fail(base::Error{EINTR, "stopped"});
        if (auto done = loop_->run_once(-1); !done) return done;
    } while (!condition());
    if (is_stopped_) return fail(base::Error{EINTR, "stopped"});
    return {};
}

Pool::Child* Pool::idle_child() const {
    const auto found = std::find_if(children_.begin(), children_.end(),
                                    [](const auto& child) { return child->state == Child::State::kIdle; });
    return found == children_.end() ? nullptr : found->get();
}

std::size_t Pool::living() const {
    return static_cast<std::size_t>(std::count_if(
        children_.begin(), children_.end(), [](const auto& child) { return child->state != Child::State::kDead; }));
}

bool Pool::is_busy() const {
    return std::any_of(children_.begin(), children_.end(), [&](const auto& child) {
        return child->state != Child::State::kDead && child->state != Child::State::kIdle &&
               !(is_exhausted_ && child->state == Child::State::kStarting);  // it comes too late
    });
}

// --- talking --------------------------------------------------------------------------------------------------------

void Pool::ask(Child& child, Ask what, std::string_view path, std::string_view source, std::int64_t budget_ns) {
    child.number = ++last_number_;
    child.out = request(what, child.number, path, source);
    child.sent = 0;
    child.budget_ns = budget_ns;
    child.timer = loop_->after(budget_ns, [this, at = &child] { lose(*at, true, {}); });
    flush(child);
}

// What does not go now goes when the loop says that it can. That the other side is gone is seen when reading.
void Pool::flush(Child& child) {
    while (child.sent < child.out.size()) {
        const ssize_t count = ::send(child.process.socket(), child.out.data() + child.sent,
                                     child.out.size() - child.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) break;
        child.sent += static_cast<std::size_t>(count);
    }
    const bool is_waiting = child.sent < child.out.size() && errno == EAGAIN;
    static_cast<void>(loop_->change(child.process.socket(), is_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN));
    if (child.sent == child.out.size()) child.out = {};
}

void Pool::receive(Child& child) {
    if (child.state == Child::State::kDead) return;
    static std::array<char, kReadBytes> buffer;  // one thread
    const ssize_t got = ::recv(child.process.socket(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        lose(child, false, {});
        return;
    }
    child.in.append(buffer.data(), static_cast<std::size_t>(got));
    bool is_nonsense = false;
    const auto answer = first_answer(child.in, is_nonsense);
    if (!answer && !is_nonsense) return;
    // One question, one answer: nothing may come after it.
    if (is_nonsense || answer->size != child.in.size() || answer->number != child.number) {
        lose(child, false, "the interpreter said what is no answer");
        return;
    }
    take_answer(child, *answer);
    child.in.clear();
}

void Pool::take_answer(Child& child, const Answer& answer) {
    using State = Child::State;
    const bool is_code = answer.kind == AnswerKind::kCode && !answer.content.empty();
    if (child.state == State::kStarting && answer.kind == AnswerKind::kHello) {
        take_hello(child, answer.content);
    } else if (child.state == State::kPreparing &&
               (answer.kind == AnswerKind::kRewriterReady || answer.kind == AnswerKind::kNoRewriter)) {
        take_rewriter(child, answer);
    } else if (child.state == State::kCompiling && (is_code || answer.kind == AnswerKind::kRefused)) {
        deliver(child, {.code = is_code ? std::string(answer.content) : std::string(),
                        .reason = is_code ? std::string() : std::string(answer.content),
                        .line = answer.line});
    } else {
        lose(child, false, "the interpreter said what is no answer");
    }
}

void Pool::take_hello(Child& child, std::string_view content) {
    loop_->cancel(child.timer);
    child.state = Child::State::kIdle;
    failed_starts_ = 0;
    Hello hello;
    for (std::size_t end = 0; (end = content.find('\0')) != std::string_view::npos; content.remove_prefix(end + 1)) {
        if (hello.key.empty()) {
            hello.key = content.substr(0, end);
        } else {
            hello.files.emplace_back(content.substr(0, end));
        }
    }
    if (!hello_) hello_ = std::move(hello);
}

void Pool::take_rewriter(Child& child, const Answer& answer) {
    loop_->cancel(child.timer);
    child.state = Child::State::kIdle;
    const bool is_there = answer.kind == AnswerKind::kRewriterReady;
    if (!rewriter_) {
        rewriter_ = is_there ? Rewriter{.key = std::string(answer.content), .missing = {}}
                             : Rewriter{.key = {}, .missing = std::string(answer.content)};
    }
    child.has_rewriter = is_there && rewriter_->key == answer.content;
    if (!child.task) return;
    if (child.has_rewriter) {
        give(child, *std::exchange(child.task, std::nullopt));
    } else {
        deliver(child, {.reason = is_there ? "pytest is another one than before" : std::string(answer.content),
                        .no_rewriter = true});
    }
}

void Pool::deliver(Child& child, Outcome outcome) {
    if (child.state != Child::State::kDead) {
        loop_->cancel(child.timer);
        child.state = Child::State::kIdle;
    }
    outcome.number = std::exchange(child.task, std::nullopt)->number;
    (*take_)(std::move(outcome));
}

// It has ended, or is to. feed() starts another one if there is more to do.
void Pool::lose(Child& child, bool is_late, std::string_view nonsense) {
    const Child::State state = std::exchange(child.state, Child::State::kDead);
    loop_->remove(child.process.socket());
    loop_->cancel(child.timer);
    const std::string said = last_line(child.process.said());
    const int status = child.process.end();
    std::string why = !nonsense.empty() ? std::string(nonsense) : end_text(status);
    if (is_late) why = fmt::format("no answer within {} s", child.budget_ns / base::kNsPerSecond);
    if (state == Child::State::kStarting) {
        ++failed_starts_;
        start_failure_ = base::protocol_error(
            fmt::format("{}: is no Python that can be used: {}", options_.command.front(), said.empty() ? why : said));
    } else if (state == Child::State::kPreparing) {
        if (!rewriter_) rewriter_ = Rewriter{.key = {}, .missing = why};
        if (child.task) deliver(child, {.reason = why, .no_rewriter = true});
    } else if (child.task) {
        deliver(child, {.reason = why});
    }
}

}  // namespace tach::compiler
