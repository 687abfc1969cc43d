#include "zygote/fault_server.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include "base/eventfd.h"
#include "base/pidfd.h"

namespace tach::zygote {

using base::Address;
using base::AddressRange;
using base::kPageSize;

namespace {

// Where the build machine's kernel headers may be older than the kernel: include/uapi/linux/userfaultfd.h, Linux 6.6.
struct PoisonArguments {
    uffdio_range range;
    std::uint64_t mode;
    std::int64_t updated;
};
// UFFDIO_POISON
constexpr unsigned long kPoison = _IOWR(UFFDIO, 0x08, PoisonArguments);  // NOLINT(google-runtime-int): ioctl(2)'s type

// How long the kernel is given to finish what it had told of, before a page is tried again.
constexpr int kRetryMs = 1;

// 0 or an error number.
int copy_to(int userfault, Address page, const std::byte* contents) {
    uffdio_copy arguments{};
    arguments.dst = page;
    arguments.src = base::address_of(contents);
    arguments.len = kPageSize;
    return ::ioctl(userfault, UFFDIO_COPY, &arguments) == 0 ? 0 : errno;
}

int zeros_to(int userfault, Address page) {
    uffdio_zeropage arguments{};
    arguments.range = {.start = page, .len = kPageSize};
    return ::ioctl(userfault, UFFDIO_ZEROPAGE, &arguments) == 0 ? 0 : errno;
}

void wake(int userfault, Address page) {
    uffdio_range range{.start = page, .len = kPageSize};
    static_cast<void>(::ioctl(userfault, UFFDIO_WAKE, &range));
}

// Asks for what cannot be done there: whoever is alive says that there is no such memory.
bool is_alive(int userfault) {
    return zeros_to(userfault, bell_page(Bell::kDropping, 0)) != ESRCH;
}

void say(std::string_view why) {
    std::string line = "tach: engine missing: ";
    line.append(why).append("\n");
    static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace

// --- other threads
// ----------------------------------------------------------------------------------------------------

base::Result<std::unique_ptr<FaultServer>> FaultServer::start() {
    auto wake = base::create_eventfd();
    if (!wake) return base::fail(wake.error());
    std::unique_ptr<FaultServer> server(new FaultServer(*std::move(wake)));
    server->thread_ = std::thread([raw = server.get()] { raw->run(); });
    return server;
}

FaultServer::~FaultServer() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    base::signal_eventfd(wake_.get());
    thread_.join();
}

base::Result<void> FaultServer::add(base::Packet packet) {
    if (packet.fds.size() != kPacketFds) return base::fail(base::protocol_error("a userfaultfd did not come alone"));
    if (auto pid = base::pidfd_pid(packet.fds[2].get()); !pid) return base::fail(pid.error());
    uffdio_range none{};
    if (::ioctl(packet.fds[0].get(), UFFDIO_WAKE, &none) == 0 || errno == ENOTTY) {
        return base::fail(base::protocol_error("what was sent for a userfaultfd is none"));
    }
    auto golden = std::make_shared<Golden>(Golden{std::move(packet.fds[1]), std::move(packet.fds[2])});
    Space space{.userfault = std::move(packet.fds[0]), .golden = std::move(golden), .original = true};
    {
        const std::lock_guard lock(mutex_);
        new_.push_back(std::move(space));
    }
    base::signal_eventfd(wake_.get());
    return {};
}

// --- the thread
// -------------------------------------------------------------------------------------------------------

void FaultServer::run() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::vector<pollfd> waits;
    while (true) {
        waits.assign(1, pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0});
        bool retry = false;
        for (const Space& space : spaces_) {
            waits.push_back({.fd = space.userfault.get(), .events = POLLIN, .revents = 0});
            waits.push_back({.fd = space.original ? space.golden->process.get() : -1, .events = POLLIN, .revents = 0});
            retry = retry || !space.waiting.empty();
        }
        if (::poll(waits.data(), waits.size(), retry ? kRetryMs : -1) < 0 && errno != EINTR) return;
        const std::size_t known = spaces_.size();  // the first so many are those that were asked about
        std::size_t at = 1;
        std::size_t number = 0;
        for (auto space = spaces_.begin(); number < known; ++space, ++number, at += 2) {
            if (waits[at].revents != 0 || !space->waiting.empty()) read_messages(*space);
            if (waits[at + 1].revents != 0) space->ended = true;
        }
        spaces_.remove_if([](const Space& space) { return space.ended; });
        if (waits[0].revents != 0 && !take_new()) return;
    }
}

// False: it is to end.
bool FaultServer::take_new() {
    base::drain_eventfd(wake_.get());
    const std::lock_guard lock(mutex_);
    for (Space& space : new_) spaces_.push_back(std::move(space));
    new_.clear();
    return !stop_;
}

void FaultServer::read_messages(Space& space) {
    while (!space.ended) {
        for (const Address page : std::exchange(space.waiting, {})) put(space, page);
        uffd_msg message{};
        const ssize_t got = ::read(space.userfault.get(), &message, sizeof message);
        if (got != static_cast<ssize_t>(sizeof message)) {
            if (got < 0 && errno == EINTR) continue;
            space.ended = space.ended || got == 0 || errno != EAGAIN;
            return;
        }
        obey(space, message);
    }
}

void FaultServer::obey(Space& space, const uffd_msg& message) {
    switch (message.event) {
        case UFFD_EVENT_PAGEFAULT:
            return put(space, message.arg.pagefault.address / kPageSize * kPageSize);
        case UFFD_EVENT_FORK:
            return add_child(space, static_cast<int>(message.arg.fork.ufd));
        case UFFD_EVENT_REMAP: {
            const auto& moved = message.arg.remap;
            space.changes.push_back({.zeros = {moved.from, moved.from + moved.len},
                                     .moved_to = moved.to,
                                     .layer = space.layer + 1,
                                     .unmapped = true});
            return;
        }
        case UFFD_EVENT_REMOVE:
        case UFFD_EVENT_UNMAP: {
            const AddressRange range{message.arg.remove.start, message.arg.remove.end};
            if (kBellRange.contains(range.begin)) return ring(space, range.begin);
            if (space.own_drops) return;
            const bool unmapped = message.event == UFFD_EVENT_UNMAP;
            space.changes.push_back({.zeros = range, .moved_to = 0, .layer = space.layer + 1, .unmapped = unmapped});
            return;
        }
        default:
            return;
    }
}

void FaultServer::ring(Space& space, Address bell) {
    const std::size_t number = (bell - kBellRange.begin) / kPageSize;
    space.layer = number / kBells;
    switch (static_cast<Bell>(number % kBells)) {
        case Bell::kDropping:
            space.own_drops = true;
            return;
        case Bell::kPushed:
            put_settled(space);
            return;
        case Bell::kRewound:
            space.own_drops = false;
            std::erase_if(space.changes, [&](const Change& change) { return change.layer > space.layer; });
            return;
    }
}

// The layer that is about to be captured has these changes in it. Pages whose contents they decide are put there, so
// that what is missing afterwards is the image's; but what is unmapped now may be mapped, and missed, later.
void FaultServer::put_settled(Space& space) {
    for (Change& change : space.changes) {
        if (change.layer < space.layer) continue;
        change.layer = space.layer;
        const std::size_t size = change.zeros.size();
        for (std::size_t at = 0; at < size && !space.ended; at += kPageSize) {
            static_cast<void>(place(space, change.zeros.begin + at, false));
            if (change.moved_to != 0) static_cast<void>(place(space, change.moved_to + at, false));
        }
    }
    std::erase_if(space.changes, [&](const Change& change) { return change.layer == space.layer && !change.unmapped; });
}

void FaultServer::put(Space& space, Address page) {
    switch (const int error = place(space, page, true)) {
        case 0:
            served_.fetch_add(1, std::memory_order_relaxed);
            return;
        case EAGAIN:  // the kernel is about to change this memory, and tells of it
            space.waiting.push_back(page);
            return;
        case EEXIST:  // another thread was faster
        case ENOENT:  // it is not there any more, and whoever touches it again will see that
            wake(space.userfault.get(), page);
            return;
        case ESRCH:
            space.ended = true;
            return;
        default:
            give_up(space, page, std::strerror(error));  // NOLINT(concurrency-mt-unsafe): glibc's is since 2.32
    }
}

// 0 or an error number. Unless it is `missed`, a page is put there only if the image has one in this place.
int FaultServer::place(Space& space, Address page, bool missed) {
    const int userfault = space.userfault.get();
    const auto has = [&](Address at) {
        return ::pread(space.golden->memory.get(), page_.data(), kPageSize, static_cast<off_t>(at));
    };
    if (const auto from = origin(space, page)) {
        const ssize_t got = has(*from);
        if (got == static_cast<ssize_t>(kPageSize)) return copy_to(userfault, page, page_.data());
        if (got == 0) return EIDRM;  // the image's process has ended
    }
    return missed || has(page) > 0 ? zeros_to(userfault, page) : 0;
}

// Where the image has what belongs there; nowhere for zeros.
std::optional<Address> FaultServer::origin(const Space& space, Address page) {
    if (kBellRange.contains(page)) return std::nullopt;
    for (const Change& change : std::views::reverse(space.changes)) {
        const Address moved_to = change.moved_to;
        if (moved_to != 0 && page >= moved_to && page < moved_to + change.zeros.size()) {
            page = page - moved_to + change.zeros.begin;
        } else if (change.zeros.contains(page)) {
            return std::nullopt;
        }
    }
    return page;
}

void FaultServer::add_child(Space& parent, int userfault) {
    spaces_.push_back(Space{.userfault = base::UniqueFd(userfault),
                            .golden = parent.golden,
                            .changes = parent.changes,
                            .layer = parent.layer});
    ::fcntl(userfault, F_SETFD, FD_CLOEXEC);
    ::fcntl(userfault, F_SETFL, O_NONBLOCK);
    if (spaces_.size() < prune_at_) return;
    // Nobody tells of a child's end.
    for (Space& space : spaces_) space.ended = space.ended || !is_alive(space.userfault.get());
    const auto ended = [](const Space& space) { return space.ended; };
    prune_at_ =
        kPruneAt + 2 * static_cast<std::size_t>(std::count_if(spaces_.begin(), spaces_.end(), std::not_fn(ended)));
}

// Nothing right can be put there: the process that misses it must not go on.
void FaultServer::give_up(Space& space, Address page, const char* why) {
    say(why);
    if (space.original) {
        static_cast<void>(base::send_signal(space.golden->process.get(), SIGKILL));
    } else {
        PoisonArguments arguments{.range = {.start = page, .len = kPageSize}, .mode = 0, .updated = 0};
        static_cast<void>(::ioctl(space.userfault.get(), kPoison, &arguments));
    }
    space.ended = true;
}

}  // namespace tach::zygote
