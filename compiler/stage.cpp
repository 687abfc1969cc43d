#include "compiler/stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/clock.h"
#include "base/file_status.h"
#include "base/whole_file.h"
#include "compiler/identity.h"

namespace tach::compiler {

using base::fail;
using base::Result;
using shm::bytecode::Hash;
using shm::bytecode::Image;
using shm::bytecode::Kind;
using shm::bytecode::Module;
using shm::bytecode::Signature;

namespace {

// The analyzer gives a source as much.
constexpr std::int64_t kBudgetNs = 10 * base::kNsPerSecond;
// To import what a site and its hooks import, and pytest, from a cold disk. A guess.
constexpr std::int64_t kStartBudgetNs = 30 * base::kNsPerSecond;
// How much slower it may be when it only has what others leave. A guess.
constexpr std::int64_t kIdleFactor = 10;
// No source is as large; it would be in memory several times. A guess.
constexpr std::uint64_t kMostSourceBytes = std::uint64_t{1} << 27;
// Modules that are not worth starting one more interpreter: it takes as long as compiling a few.
constexpr std::size_t kFewModules = 8;
// What is lost if it is killed.
constexpr std::int64_t kWriteIntervalNs = base::kNsPerSecond;
// Of the time, at most a twentieth goes into writing in between. A guess.
constexpr std::int64_t kWriteShare = 20;

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

bool is_same(const Signature& a, const Signature& b) {
    return a.size == b.size && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns && a.inode == b.inode;
}

Module module_of(const Unit& unit) {
    return {.kind = unit.wanted.kind,
            .is_package = unit.wanted.is_package(),
            .path = unit.wanted.path,
            .name = unit.wanted.name,
            .signature = unit.signature,
            .hash = unit.hash,
            .code = unit.code};
}

// What has not been looked at yet is of use to whoever finds the source as it was then.
bool is_in_image(const Unit& unit) {
    return unit.state == State::kKept || unit.state == State::kSame || unit.state == State::kCompiled ||
           (unit.state == State::kPending && unit.is_of_before);
}

bool says_the_same(const Module& module, const Unit& unit) {
    return module.name == unit.wanted.name && module.is_package == unit.wanted.is_package() &&
           is_same(module.signature, unit.signature);
}

}  // namespace

Stage::Stage(StageOptions options) : options_(std::move(options)) {
    units_.reserve(options_.wanted.size());
    for (Wanted& wanted : options_.wanted) units_.push_back({.wanted = std::move(wanted)});
}

Stage::End Stage::run() {
    open_image();
    if (!is_known_interpreter()) {
        if (auto asked = ask(); !asked) return give_up(asked.error(), End::kMistake);
    }
    choose();
    return compile();
}

std::vector<std::string> Stage::inputs() const {
    std::vector<std::string> paths{options_.interpreter};
    if (!options_.ini_file.empty()) paths.push_back(options_.ini_file);
    for (const std::string& path : identity_files_) {
        if (base::status_at(AT_FDCWD, path.c_str()).kind == base::FileKind::kFile) paths.push_back(path);
    }
    for (const Unit& unit : units_) {
        if (unit.state != State::kLeftOut) paths.push_back(unit.wanted.path);
    }
    return paths;
}

// --- what is known --------------------------------------------------------------------------------------------------

void Stage::open_image() {
    auto image = Image::open(options_.output);
    if (image) {
        image_ = *std::move(image);
    } else if (image.error().code != ENOENT && image.error().code != ENOTDIR) {
        complaint_ = image.error().what + "; all is compiled anew";
    }
}

bool Stage::is_known_interpreter() {
    if (!image_ || image_->identity().empty()) return false;
    Identity identity{.interpreter = options_.interpreter,
                      .ini_file = options_.ini_file,
                      .files = identity_files(image_->identity())};
    const auto text = identity_text(identity, variable, base::realtime_ns());
    if (!text || *text != image_->identity()) return false;
    keys_ = {.interpreter = std::string(image_->interpreter_key()),
             .rewriter = std::string(image_->rewriter_key()),
             .identity = *text};
    identity_files_ = std::move(identity.files);
    return true;
}

// By an interpreter, which is started unless it runs. True: it is another one than was thought.
Result<bool> Stage::ask() {
    const std::int64_t since_ns = base::realtime_ns();
    if (!pool_) {
        if (auto started = start_pool(); !started) return fail(started.error());
    }
    auto hello = pool_->greet();
    if (!hello) return fail(hello.error());
    const bool is_rewriter_needed = std::any_of(units_.begin(), units_.end(), [](const Unit& unit) {
        return unit.wanted.kind == Kind::kRewritten && unit.state == State::kPending;
    });
    Rewriter rewriter{.key = keys_.rewriter, .missing = missing_rewriter_};
    if (is_rewriter_needed) {
        auto loaded = pool_->load_rewriter();
        if (!loaded) return fail(loaded.error());
        rewriter = *std::move(loaded);
    }
    const bool is_other = hello->key != keys_.interpreter || rewriter.key != keys_.rewriter;
    if (!is_other && rewriter.missing == missing_rewriter_) return false;
    keys_.interpreter = hello->key;
    keys_.rewriter = rewriter.key;
    missing_rewriter_ = rewriter.missing;
    identity_files_ = hello->files;
    const Identity identity{
        .interpreter = options_.interpreter, .ini_file = options_.ini_file, .files = identity_files_};
    // No file tells that something has been installed which makes it work.
    keys_.identity = rewriter.missing.empty() ? identity_text(identity, variable, since_ns).value_or("") : "";
    return true;
}

void Stage::choose() {
    next_ = 0;
    if (image_ && image_->interpreter_key() != keys_.interpreter) image_.reset();
    for (Unit& unit : units_) choose(unit);
}

void Stage::choose(Unit& unit) {
    unit = Unit{.wanted = std::move(unit.wanted)};
    const bool is_rewritten = unit.wanted.kind == Kind::kRewritten;
    const base::FileStatus status = base::status_at(AT_FDCWD, unit.wanted.path.c_str());
    if (status.kind != base::FileKind::kFile || (is_rewritten && !missing_rewriter_.empty())) {
        unit.state = State::kLeftOut;
        return;
    }
    if (!image_ || (is_rewritten && image_->rewriter_key() != keys_.rewriter)) return;
    const auto found = image_->find(unit.wanted.kind, unit.wanted.path);
    if (!found || (options_.paranoid && !image_->is_intact(*found))) return;
    unit.signature = found->signature;
    unit.hash = found->hash;
    unit.code = found->code;
    unit.is_of_before = true;
    unit.is_written = says_the_same(*found, unit);
    if (options_.paranoid || !found->signature.matches(status)) return;
    unit.state = State::kKept;
}

// --- compiling ------------------------------------------------------------------------------------------------------

Stage::End Stage::compile() {
    auto first = next_task();
    if (first && !pool_) {
        auto is_other = ask();
        if (!is_other) return give_up(is_other.error(), End::kMistake);
        if (*is_other) {
            choose();
            first = next_task();
        }
    }
    if (!first) return write(End::kDone);
    const auto next = [&] { return first ? std::exchange(first, std::nullopt) : next_task(); };
    loop_->after(kWriteIntervalNs, [this] { write_in_between(); });
    auto compiled = pool_->compile(interpreters(), next, [&](Outcome outcome) { take(std::move(outcome)); });
    if (write_error_) return give_up(*write_error_, End::kFailed);
    if (compiled) return write(End::kDone);
    const End end = write(End::kFailed);
    return write_error_ ? end : give_up(compiled.error(), End::kFailed);
}

// The next one that has to be compiled. None that is on its way has been read: a project need not fit into memory.
std::optional<Task> Stage::next_task() {
    while (next_ < units_.size()) {
        const std::size_t number = next_++;
        if (units_[number].state != State::kPending) continue;
        if (auto task = read(number)) return task;
    }
    return std::nullopt;
}

// None: it is known by now what becomes of it.
std::optional<Task> Stage::read(std::size_t number) {
    Unit& unit = units_[number];
    if (unit.wanted.kind == Kind::kRewritten && !missing_rewriter_.empty()) {
        unit.state = State::kLeftOut;
        return std::nullopt;
    }
    auto file = base::read_settled_file(unit.wanted.path, kMostSourceBytes);
    if (!file) {
        unit.state = State::kLeftOut;
        return std::nullopt;
    }
    const Signature before = unit.signature;
    const Hash hash = Hash::of(file->bytes);
    unit.signature = file->looked_at_ns != 0 ? Signature::of(file->status, file->looked_at_ns) : Signature{};
    if (unit.is_of_before && hash == unit.hash) {
        unit.state = State::kSame;
        unit.is_written = unit.is_written && is_same(before, unit.signature);
        return std::nullopt;
    }
    unit.hash = hash;
    unit.code = {};
    unit.is_of_before = false;
    unit.is_written = false;
    return Task{.number = number, .kind = unit.wanted.kind, .path = unit.wanted.path, .source = std::move(file->bytes)};
}

Result<void> Stage::start_pool() {
    auto loop = base::EventLoop::create();
    if (!loop) return fail(loop.error());
    auto signals = base::open_signalfd({SIGINT, SIGTERM, SIGHUP});
    if (!signals) return fail(signals.error());
    loop_ = *std::move(loop);
    signals_ = *std::move(signals);
    const std::int64_t factor = options_.idle ? kIdleFactor : 1;
    pool_.emplace(*loop_, PoolOptions{.command = {options_.interpreter, options_.home.child, options_.home.keys,
                                                  TACH_VERSION, options_.ini_file},
                                      .start_budget_ns = kStartBudgetNs * factor,
                                      .budget_ns = kBudgetNs * factor});
    return loop_->add(signals_.get(), EPOLLIN, [this](std::uint32_t) {
        const auto signal = base::read_signal(signals_.get());
        if (!signal || !*signal) return;
        signal_ = **signal;
        pool_->stop();
    });
}

std::size_t Stage::interpreters() const {
    const auto left = static_cast<std::size_t>(
        std::count_if(units_.begin(), units_.end(), [](const Unit& unit) { return unit.state == State::kPending; }));
    return std::clamp<std::size_t>((left + kFewModules - 1) / kFewModules, 1, options_.jobs);
}

void Stage::take(Outcome outcome) {
    Unit& unit = units_[outcome.number];
    if (outcome.no_rewriter) {
        unit.state = State::kLeftOut;
        missing_rewriter_ = std::move(outcome.reason);
        keys_.identity.clear();  // it was there, so it is asked again next time
        return;
    }
    unit.state = State::kCompiled;
    unit.made = std::move(outcome.code);
    unit.code = unit.made;
    unit.reason = std::move(outcome.reason);
    unit.line = outcome.line;
}

// --- writing --------------------------------------------------------------------------------------------------------

void Stage::write_in_between() {
    const std::int64_t start_ns = base::monotonic_ns();
    if (auto written = write(); !written) {
        write_error_ = written.error();
        pool_->stop();
        return;
    }
    go_on_with_what_is_written();
    const std::int64_t took_ns = base::monotonic_ns() - start_ns;
    loop_->after(std::max(kWriteIntervalNs, took_ns * kWriteShare), [this] { write_in_between(); });
}

// What is pending is left out: whoever reads the image compiles it, and the next stage.
Stage::End Stage::write(End end) {
    if (auto written = write(); !written) {
        write_error_ = written.error();
        return give_up(written.error(), End::kFailed);
    }
    return end;
}

Result<void> Stage::write() {
    if (is_written()) return {};
    std::vector<Module> modules;
    modules.reserve(units_.size());
    for (const Unit& unit : units_) {
        if (is_in_image(unit)) modules.push_back(module_of(unit));
    }
    auto written = shm::bytecode::write(options_.output, keys_, modules, image_ ? &*image_ : nullptr);
    if (!written) {
        const std::string& what = written.error().what;
        const bool is_named = what.find(options_.output) != std::string::npos;
        return fail({written.error().code, is_named ? what : fmt::format("{}: {}", options_.output, what)});
    }
    return {};
}

bool Stage::is_written() const {
    if (!image_ || image_->interpreter_key() != keys_.interpreter || image_->rewriter_key() != keys_.rewriter ||
        image_->identity() != keys_.identity) {
        return false;
    }
    const auto count = std::count_if(units_.begin(), units_.end(), is_in_image);
    return static_cast<std::size_t>(count) == image_->size() &&
           std::all_of(units_.begin(), units_.end(),
                       [](const Unit& unit) { return !is_in_image(unit) || unit.is_written; });
}

// So that it is appended to next time, and what is in it need not be kept in memory. If somebody else has written it
// meanwhile, all stays as it is.
void Stage::go_on_with_what_is_written() {
    auto image = Image::open(options_.output);
    if (!image || image->interpreter_key() != keys_.interpreter || image->rewriter_key() != keys_.rewriter) return;
    const auto is_there = [&](const Unit& unit) {
        if (!is_in_image(unit)) return true;
        const auto found = image->find(unit.wanted.kind, unit.wanted.path);
        return found && found->hash == unit.hash && found->code.size() == unit.code.size();
    };
    if (!std::all_of(units_.begin(), units_.end(), is_there)) return;
    for (Unit& unit : units_) {
        if (!is_in_image(unit)) continue;
        unit.code = image->find(unit.wanted.kind, unit.wanted.path)->code;
        unit.made = {};
        unit.is_written = true;
    }
    image_ = *std::move(image);
}

// If a signal has stopped it, that is the reason, whatever else went wrong.
Stage::End Stage::give_up(base::Error error, End end) {
    if (signal_ != 0 && !write_error_) return End::kStopped;
    error_ = std::move(error.what);
    return end;
}

}  // namespace tach::compiler
