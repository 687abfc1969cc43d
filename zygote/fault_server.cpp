#include "zygote/fault_server.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/eventfd.h"
#include "base/pagemap_entries.h"
#include "base/pidfd.h"

namespace tach::zygote {

using base::Address;
using base::AddressRange;
using base::kPageSize;

namespace {

// How long the kernel is given to finish what it had told of, before a page is tried again.
constexpr std::int64_t kRetryNs = base::kNsPerMs;
// Reading of a fork makes a descriptor. If there are none, others may be closed soon; a second in all. A guess.
constexpr std::int64_t kRetryReadNs = 10 * base::kNsPerMs;
constexpr int kMostFailedReads = 100;
// Then it is another one's turn. A guess.
constexpr int kMessagesAtOnce = 64;

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

// Of an entry of the image's pagemap: anonymous memory that somebody has written to.
bool is_contents(std::uint64_t entry) {
    return (entry & (base::kEntryPresent | base::kEntrySwapped)) != 0 && (entry & base::kEntryOfFile) == 0;
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
    // A descriptor for each process that a test forks.
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    auto loop = base::EventLoop::create();
    if (!loop) return base::fail(loop.error());
    auto wake = base::create_eventfd();
    if (!wake) return base::fail(wake.error());
    std::unique_ptr<FaultServer> server(new FaultServer(*std::move(loop), *std::move(wake)));
    FaultServer& self = *server;
    if (auto added = self.loop_.add(self.wake_.get(), EPOLLIN, [&](std::uint32_t) { self.take_new(); }); !added) {
        return base::fail(added.error());
    }
    self.thread_ = std::thread([&self] { self.run(); });
    return server;
}

FaultServer::~FaultServer() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    base::signal_eventfd(wake_.get());
    thread_.join();
}

base::Result<void> FaultServer::add(base::Packet packet) {
    if (packet.fds.size() != kPacketFds) return base::fail(base::protocol_error("a userfaultfd did not come alone"));
    if (auto pid = base::pidfd_pid(packet.fds[3].get()); !pid) return base::fail(pid.error());
    uffdio_range none{};
    if (::ioctl(packet.fds[0].get(), UFFDIO_WAKE, &none) == 0 || errno == ENOTTY) {
        return base::fail(base::protocol_error("what was sent for a userfaultfd is none"));
    }
    auto golden =
        std::make_shared<Golden>(Golden{std::move(packet.fds[1]), std::move(packet.fds[2]), std::move(packet.fds[3])});
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
    auto ran = loop_.run();
    if (ran) return;
    say(ran.error().what);
    for (auto& [id, space] : spaces_) give_up(space, 0, 0);
}

void FaultServer::take_new() {
    base::drain_eventfd(wake_.get());
    std::vector<Space> fresh;
    {
        const std::lock_guard lock(mutex_);
        fresh = std::exchange(new_, {});
        if (stop_) loop_.stop();
    }
    for (Space& space : fresh) insert(std::move(space));
}

void FaultServer::insert(Space space) {
    const Id id = next_id_++;
    const int userfault = space.userfault.get();
    const int process = space.original ? space.golden->process.get() : -1;
    spaces_.emplace(id, std::move(space));
    auto added = loop_.add(userfault, EPOLLIN, [this, id](std::uint32_t) { on_messages(id); });
    if (added && process >= 0) {
        added = loop_.add(process, EPOLLIN, [this, id](std::uint32_t) {
            spaces_.at(id).ended = true;
            forget_ended();
        });
    }
    if (!added) give_up(spaces_.at(id), 0, added.error().code);
}

void FaultServer::forget_ended() {
    for (auto place = spaces_.begin(); place != spaces_.end();) {
        const Space& space = place->second;
        if (!space.ended) {
            ++place;
            continue;
        }
        loop_.remove(space.userfault.get());
        if (space.original) loop_.remove(space.golden->process.get());
        place = spaces_.erase(place);
    }
}

void FaultServer::on_messages(Id id) {
    const auto found = spaces_.find(id);
    if (found == spaces_.end()) return;
    Space& space = found->second;
    for (int count = 0; count < kMessagesAtOnce && !space.ended; ++count) {
        for (const Fault& fault : std::exchange(space.waiting, {})) put(space, fault);
        uffd_msg message{};
        const ssize_t got = ::read(space.userfault.get(), &message, sizeof message);
        if (got == static_cast<ssize_t>(sizeof message)) {
            space.failed_reads = 0;
            obey(space, message);
        } else if (got >= 0 || errno != EINTR) {
            if (got < 0 && errno != EAGAIN) on_failed_read(id, space, errno);
            break;
        }
    }
    if (!space.waiting.empty()) try_again(id, kRetryNs);
    forget_ended();
}

void FaultServer::try_again(Id id, std::int64_t delay_ns) {
    loop_.after(delay_ns, [this, id] { on_messages(id); });
}

// There is no descriptor for the child that was forked: its parent waits until it is told of.
void FaultServer::on_failed_read(Id id, Space& space, int error) {
    for (auto& [other, child] : spaces_) child.ended = child.ended || !is_alive(child.userfault.get());
    if (space.ended) return;
    if (space.original && ++space.failed_reads > kMostFailedReads) return give_up(space, 0, error);
    static_cast<void>(loop_.change(space.userfault.get(), 0));
    loop_.after(kRetryReadNs, [this, id] {
        const auto found = spaces_.find(id);
        if (found != spaces_.end()) static_cast<void>(loop_.change(found->second.userfault.get(), EPOLLIN));
    });
}

void FaultServer::obey(Space& space, const uffd_msg& message) {
    switch (message.event) {
        case UFFD_EVENT_PAGEFAULT: {
            const auto& fault = message.arg.pagefault;
            const Address page = fault.address / kPageSize * kPageSize;
            if (page == bell_page(Bell::kPushed, space.layer)) put_settled(space);
            return put(space, {page, static_cast<pid_t>(fault.feat.ptid)});
        }
        case UFFD_EVENT_FORK:
            return add_child(space, static_cast<int>(message.arg.fork.ufd));
        case UFFD_EVENT_REMAP: {
            const auto& moved = message.arg.remap;
            space.changes.push_back({.zeros = {moved.from, moved.from + moved.len},
                                     .moved_to = moved.to,
                                     .moved_bytes = moved.len,
                                     .layer = space.layer + 1,
                                     .unmapped = true});
            return;
        }
        case UFFD_EVENT_REMOVE:
        case UFFD_EVENT_UNMAP: {
            const AddressRange range{message.arg.remove.start, message.arg.remove.end};
            if (kBellRange.contains(range.begin)) return ring(space, range.begin);
            if (!space.own_drops) take_change(space, range, message.event == UFFD_EVENT_UNMAP);
            return;
        }
        default:
            return;
    }
}

void FaultServer::take_change(Space& space, AddressRange lost, bool unmapped) {
    // What shrinks while it is moved is told with the length that it had, and then what was cut off.
    if (unmapped && !space.changes.empty()) {
        Change& last = space.changes.back();
        const bool is_tail = last.moved_to != 0 && lost.end == last.zeros.end && lost.begin > last.zeros.begin;
        if (is_tail) last.moved_bytes = std::min(last.moved_bytes, lost.begin - last.zeros.begin);
    }
    space.changes.push_back({.zeros = lost, .moved_to = 0, .layer = space.layer + 1, .unmapped = unmapped});
}

void FaultServer::ring(Space& space, Address bell) {
    const std::size_t number = (bell - kBellRange.begin) / kPageSize;
    space.layer = number / kBells;
    switch (static_cast<Bell>(number % kBells)) {
        case Bell::kDropping:
            space.own_drops = true;
            return;
        case Bell::kPushed:
            return;  // the kernel takes no pages before the process has gone on
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
        if (change.layer < space.layer || change.settled) continue;
        change.layer = space.layer;
        change.settled = true;
        std::array<std::uint64_t, 512> entries{};
        AddressRange rest = change.zeros;
        while (!rest.empty() && !space.ended) {
            const auto got = base::read_entries(space.golden->pagemap.get(), rest, entries);
            if (!got) return give_up(space, 0, EIDRM);
            for (std::size_t i = 0; i < *got && !space.ended; ++i, rest.begin += kPageSize) {
                if (!is_contents(entries.at(i))) continue;
                put_now(space, rest.begin);
                const std::size_t at = rest.begin - change.zeros.begin;
                if (at < change.moved_bytes) put_now(space, change.moved_to + at);
            }
        }
    }
    std::erase_if(space.changes, [&](const Change& change) { return change.layer == space.layer && !change.unmapped; });
}

// Nobody misses it yet. ENOENT: it is not mapped, or not served.
void FaultServer::put_now(Space& space, Address page) {
    const int error = place(space, page);
    if (error == ESRCH) space.ended = true;
    if (error != 0 && error != EEXIST && error != ENOENT && error != ESRCH) give_up(space, 0, error);
}

void FaultServer::put(Space& space, const Fault& fault) {
    if (space.ended) return;
    switch (const int error = place(space, fault.page)) {
        case 0:
            served_.fetch_add(1, std::memory_order_relaxed);
            return;
        case EAGAIN:  // the kernel is about to change this memory, and tells of it
            space.waiting.push_back(fault);
            return;
        case EEXIST:  // another thread was faster
        case ENOENT:  // it is not there any more, and whoever touches it again will see that
            wake(space.userfault.get(), fault.page);
            return;
        case ESRCH:
            space.ended = true;
            return;
        default:
            give_up(space, fault.thread, error);
    }
}

// 0 or an error number.
int FaultServer::place(const Space& space, Address page) {
    const int userfault = space.userfault.get();
    const auto from = origin(space, page);
    if (!from) return zeros_to(userfault, page);
    std::uint64_t entry = 0;
    const Golden& golden = *space.golden;
    if (!base::read_entries(golden.pagemap.get(), {*from, *from + kPageSize}, {&entry, 1})) return EIDRM;
    if (!is_contents(entry)) return zeros_to(userfault, page);
    const ssize_t got = ::pread(golden.memory.get(), page_.data(), kPageSize, static_cast<off_t>(*from));
    return got == static_cast<ssize_t>(kPageSize) ? copy_to(userfault, page, page_.data()) : EIDRM;
}

// Where the image has what belongs there; nowhere for zeros.
std::optional<Address> FaultServer::origin(const Space& space, Address page) {
    if (kBellRange.contains(page)) return std::nullopt;
    for (std::size_t later = space.changes.size(); later > 0; --later) {
        const Change& change = space.changes[later - 1];
        const Address moved_to = change.moved_to;
        if (moved_to != 0 && page >= moved_to && page < moved_to + change.moved_bytes) {
            page = page - moved_to + change.zeros.begin;
        } else if (change.zeros.contains(page)) {
            return std::nullopt;
        }
    }
    return page;
}

void FaultServer::add_child(Space& parent, int userfault) {
    ::fcntl(userfault, F_SETFD, FD_CLOEXEC);
    ::fcntl(userfault, F_SETFL, O_NONBLOCK);
    insert(Space{.userfault = base::UniqueFd(userfault),
                 .golden = parent.golden,
                 .changes = parent.changes,
                 .layer = parent.layer});
    if (spaces_.size() < prune_at_) return;
    // Nobody tells of a child's end.
    std::size_t left = 0;
    for (auto& [id, space] : spaces_) {
        space.ended = space.ended || !is_alive(space.userfault.get());
        left += space.ended ? 0 : 1;
    }
    prune_at_ = kPruneAt + 2 * left;
}

// Nothing right can be put there: who misses it must not go on. It is the original where no thread is known.
void FaultServer::give_up(Space& space, pid_t thread, int error) {
    if (error != 0) say(error == EIDRM ? "the image of a process is gone" : base::errno_error("a page", error).what);
    if (space.original || thread <= 1) {
        static_cast<void>(base::send_signal(space.golden->process.get(), SIGKILL));
    } else {
        ::kill(thread, SIGKILL);
    }
    space.ended = space.original;  // closing a child's would give it zeros if it still runs
}

}  // namespace tach::zygote
