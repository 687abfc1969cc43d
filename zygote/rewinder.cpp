#include "zygote/rewinder.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/rseq.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <new>
#include <optional>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "base/fd_passing.h"
#include "base/missing_pages.h"
#include "base/page_sharing.h"
#include "base/pidfd.h"
#include "base/write_protection.h"
#include "zygote/descriptors.h"
#include "zygote/fault_server.h"
#include "zygote/image_process.h"

namespace tach::zygote {

// The engine's own stack. The deepest calls hold a few pages of locals. A guess.
constexpr std::size_t kStackBytes = std::size_t{1} << 18;

struct Rewinder::State {
    using Tracker = std::variant<base::WriteProtection, base::PageSharing, base::MissingPages>;

    struct Files {  // of /proc/self
        base::UniqueFd maps;
        base::UniqueFd smaps;
        base::UniqueFd statm;
        base::UniqueFd stat;
        base::UniqueFd memory;  // mem
    };

    State(PrivateMemory& private_memory, Tracker pages, Files opened, KernelState::Probes kernel_probes)
        : memory(private_memory),
          tracker(std::move(pages)),
          files(std::move(opened)),
          probes(std::move(kernel_probes)),
          snapshot(private_memory, as_tracker(tracker),
                   {.maps = files.maps.get(),
                    .smaps = files.smaps.get(),
                    .statm = files.statm.get(),
                    .stat = files.stat.get(),
                    .memory = files.memory.get()}),
          layers(&private_memory) {}

    static const base::WriteTracker& as_tracker(const Tracker& tracker) {
        return std::visit([](const auto& any) -> const base::WriteTracker& { return any; }, tracker);
    }

    struct Layer {
        explicit Layer(const KernelState::Probes& probes, std::pmr::memory_resource* memory) : kernel(probes, memory) {}
        ucontext_t context{};
        KernelState kernel;
        int error_number = 0;  // errno, which lies in memory that is restored before the last system call
    };

    PrivateMemory& memory;
    Tracker tracker;
    Files files;
    KernelState::Probes probes;
    std::optional<ImageProcess> image;
    Snapshot snapshot;
    std::pmr::deque<Layer> layers;  // a context points into itself: it must not move
    std::byte* stack = nullptr;
    ucontext_t caller{};  // of rewind()
    Passage passage;
    Refusal refusal;
    OracleNote* note = nullptr;
    int fault_socket = -1;
    std::uint64_t rewinds = 0;
    bool came_back = false;
    bool failed = false;  // in push
};

namespace {

using State = Rewinder::State;

// For makecontext(3), whose entry point takes only ints.
State* entering = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

base::Result<base::UniqueFd> open_high(const char* path) {
    base::UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return base::fail(base::errno_error(path));
    auto high = fd.duplicate(lowest_own_descriptor());
    return high ? *std::move(high) : std::move(fd);
}

base::Result<State::Files> open_files() {
    auto maps = open_high("/proc/self/maps");
    if (!maps) return base::fail(maps.error());
    auto smaps = open_high("/proc/self/smaps");
    if (!smaps) return base::fail(smaps.error());
    auto statm = open_high("/proc/self/statm");
    if (!statm) return base::fail(statm.error());
    auto stat = open_high("/proc/self/stat");
    if (!stat) return base::fail(stat.error());
    auto memory = open_high("/proc/self/mem");
    if (!memory) return base::fail(memory.error());
    return State::Files{*std::move(maps), *std::move(smaps), *std::move(statm), *std::move(stat), *std::move(memory)};
}

template <class Kind>
base::Result<State::Tracker> create_tracker() {
    auto tracker = Kind::create(lowest_own_descriptor());
    if (!tracker) return base::fail(tracker.error());
    return State::Tracker(*std::move(tracker));
}

base::Result<State::Tracker> create_tracker(Rewinder::Engine engine) {
    switch (engine) {
        case Rewinder::Engine::kCow:
            return create_tracker<base::PageSharing>();
        case Rewinder::Engine::kMissing:
            return create_tracker<base::MissingPages>();
        case Rewinder::Engine::kWpAsync:
            break;
    }
    return create_tracker<base::WriteProtection>();
}

base::Result<void> hang_bells(const base::MissingPages& missing) {
    void* const wanted = base::pointer_to(kBellRange.begin);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    if (::mmap(wanted, kBellRange.size(), PROT_READ, flags, -1, 0) != wanted) {
        return base::fail(base::errno_error("memory for bells"));
    }
    ::madvise(wanted, kBellRange.size(), MADV_DONTFORK);
    return missing.serve(kBellRange);
}

// The area in which the kernel tells the running processor (rseq(2)), registered by glibc since 2.35.
base::AddressRange rseq_area() {
    const auto* offset = static_cast<const std::ptrdiff_t*>(::dlsym(RTLD_DEFAULT, "__rseq_offset"));
    const auto* size = static_cast<const unsigned*>(::dlsym(RTLD_DEFAULT, "__rseq_size"));
    if (offset == nullptr || size == nullptr || *size == 0) return {};
    const auto begin = base::address_of(__builtin_thread_pointer()) + static_cast<base::Address>(*offset);
    return {begin, begin + sizeof(struct rseq)};
}

[[noreturn]] void fall_apart(const char* why) {
    // Python's memory is neither what it was nor what it is: nothing may run any more.
    static constexpr std::string_view kIntro = "tach: a worker could not be rewound and is replaced: ";
    static_cast<void>(::write(STDERR_FILENO, kIntro.data(), kIntro.size()));
    static_cast<void>(::write(STDERR_FILENO, why, std::char_traits<char>::length(why)));
    static_cast<void>(::write(STDERR_FILENO, "\n", 1));
    ::_exit(70);  // EX_SOFTWARE of sysexits.h
}

void show_oracle(const State& state, OracleNote::Event event) {
    if (state.note == nullptr) return;
    Oracle::stop_here(*state.note, event, static_cast<std::uint32_t>(state.layers.size()));
}

const base::MissingPages* missing_of(const State& state) {
    return std::get_if<base::MissingPages>(&state.tracker);
}

// Before the guard looks, which must know its descriptors.
Refusal take_image(State& state) {
    auto image = ImageProcess::freeze(missing_of(state) == nullptr);
    if (image) {
        state.image = *std::move(image);
        state.snapshot.use_image(&*state.image);
    } else if (!State::as_tracker(state.tracker).forgets()) {
        return {"the image of its memory cannot be made", 0, image.error().code};
    }
    return {};
}

// The last thing before the process goes on: from here on it needs the server.
void drop_golden(State& state) {
    const base::MissingPages& missing = *missing_of(state);
    const auto pidfd = base::open_pidfd(::getpid());
    if (!pidfd) return fall_apart("its pidfd cannot be opened");
    const std::byte packet{1};
    const std::array fds{missing.userfault(), state.image->memory(), state.image->pagemap(), pidfd->get()};
    if (!base::send_packet(state.fault_socket, {&packet, 1}, fds)) fall_apart("nobody serves its page faults");
    if (const Refusal refusal = state.snapshot.drop_golden()) fall_apart(refusal.why);
}

void push_on_own_stack() {
    State& state = *entering;
    State::Layer& layer = state.layers.back();
    try {
        state.refusal = state.layers.size() == 1 ? take_image(state) : Refusal{};
        if (!state.refusal) state.refusal = layer.kernel.record();
        if (!state.refusal) state.refusal = state.snapshot.push();
    } catch (const std::bad_alloc&) {
        state.refusal = {"no memory for the image", 0, ENOMEM};
    }
    state.failed = static_cast<bool>(state.refusal);
    layer.error_number = errno;
    if (!state.failed) show_oracle(state, OracleNote::Event::kPushed);
    if (!state.failed && state.layers.size() == 1 && missing_of(state) != nullptr) drop_golden(state);
    ::setcontext(&layer.context);
    fall_apart("setcontext");
}

void look(State& state) {
    state.refusal = state.layers.back().kernel.check();
    if (!state.refusal) state.refusal = state.snapshot.check();
}

void check_on_own_stack() {
    look(*entering);
    ::setcontext(&entering->caller);
    fall_apart("setcontext");
}

void rewind_on_own_stack() {
    State& state = *entering;
    State::Layer& layer = state.layers.back();
    const std::int64_t started = base::monotonic_ns();
    look(state);
    if (state.refusal) {
        ::setcontext(&state.caller);
        fall_apart("setcontext");
    }
    if (const Refusal refusal = layer.kernel.restore()) fall_apart(refusal.why);
    state.passage.stats = {.guard_ns = base::monotonic_ns() - started, .imports = state.passage.imports};
    ++state.rewinds;
    if (const Refusal refusal = state.snapshot.rewind(state.passage.stats)) fall_apart(refusal.why);
    state.came_back = true;
    if (errno != layer.error_number) errno = layer.error_number;
    show_oracle(state, OracleNote::Event::kRewound);
    ::setcontext(&layer.context);
    fall_apart("setcontext");
}

void enter(State& state, ucontext_t& from, void (*what)()) {
    ucontext_t own{};
    ::getcontext(&own);
    own.uc_stack.ss_sp = state.stack;
    own.uc_stack.ss_size = kStackBytes;
    own.uc_link = nullptr;
    ::makecontext(&own, what, 0);
    entering = &state;
    ::swapcontext(&from, &own);
}

// Blocks all signals as long as it lives; on the stack that is rewound, so that coming back restores the mask of then.
class SignalBlock {
  public:
    SignalBlock() {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_BLOCK, &all, &mask_);
    }
    ~SignalBlock() { ::sigprocmask(SIG_SETMASK, &mask_, nullptr); }
    SignalBlock(const SignalBlock&) = delete;
    SignalBlock& operator=(const SignalBlock&) = delete;

  private:
    sigset_t mask_{};
};

}  // namespace

base::Result<Rewinder*> Rewinder::create(Engine engine, OracleNote* note, int fault_socket) {
    auto tracker = create_tracker(engine);
    if (!tracker) return base::fail(tracker.error());
    auto files = open_files();
    if (!files) return base::fail(files.error());
    auto probes = KernelState::Probes::open();
    if (!probes) return base::fail(probes.error());
    auto memory = PrivateMemory::create();
    if (!memory) return base::fail(memory.error());
    auto* state = new ((*memory)->allocate(sizeof(State), alignof(State)))
        State(**memory, *std::move(tracker), *std::move(files), *std::move(probes));
    state->stack = (*memory)->take_array<std::byte>(kStackBytes);
    const base::AddressRange area = rseq_area();
    if (!area.empty()) state->snapshot.exempt(area);
    state->fault_socket = fault_socket;
    if (const base::MissingPages* missing = missing_of(*state)) {
        state->snapshot.use_missing(missing);
        if (auto hung = hang_bells(*missing); !hung) return base::fail(hung.error());
    }
    state->note = note;
    if (note != nullptr) {
        note->misses_pages.store(missing_of(*state) != nullptr, std::memory_order_relaxed);
        note->exempt_begin.store(area.begin, std::memory_order_relaxed);
        note->exempt_end.store(area.end, std::memory_order_relaxed);
    }
    return new ((*memory)->allocate(sizeof(Rewinder), alignof(Rewinder))) Rewinder(state);
}

Rewinder::Return Rewinder::push() {
    State& state = *state_;
    const SignalBlock block;
    state.layers.emplace_back(state.probes, &state.memory);
    state.came_back = false;
    enter(state, state.layers.back().context, push_on_own_stack);
    // Here once for the push, and again for each rewind.
    if (std::exchange(state.came_back, false)) return Return::kCameBack;
    if (!state.failed) return Return::kPushed;
    state.layers.pop_back();
    return Return::kRefused;
}

Refusal Rewinder::check() {
    const SignalBlock block;
    enter(*state_, state_->caller, check_on_own_stack);
    return state_->refusal;
}

bool Rewinder::has_same_descriptors() const {
    return state_->layers.back().kernel.has_same_descriptors();
}

void Rewinder::rewind(const Passage& passage) {
    const SignalBlock block;
    state_->passage = passage;
    enter(*state_, state_->caller, rewind_on_own_stack);
}

void Rewinder::drop() {
    state_->snapshot.drop();
    state_->layers.pop_back();
}

const Passage& Rewinder::passage() const {
    return state_->passage;
}

const Refusal& Rewinder::refusal() const {
    return state_->refusal;
}

Rewinder::Age Rewinder::age() const {
    return {state_->rewinds, state_->snapshot.growth()};
}

}  // namespace tach::zygote
