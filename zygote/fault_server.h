#pragma once

// Puts pages into the memory of processes that miss them: the other half of engine `missing`, in another process than
// those whose pages they are.
//
// A rewound process has its memory dropped (see base/missing_pages.h). Whatever it touches is asked for here, and taken
// from the image process, which has what was pushed first. What a test moves, drops or unmaps the kernel tells as
// events, in order: from then on other pages belong there, until the process says that it was rewound. It says so, too,
// as events, by dropping pages that mean nothing else, the *bells*. A forked child misses what its parent missed; the
// kernel sends its userfaultfd along.
//
// One thread for all processes. add() may be called by any thread; the others' end is noticed. A process for which
// nothing right can be done (its image is gone) is killed, since whatever it were given would be wrong.
//
// Memory that a debugger reads in the name of a process (/proc/PID/mem, ptrace) is not served while it is missing: EIO.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/address_range.h"
#include "base/event_loop.h"
#include "base/fd_passing.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "zygote/private_memory.h"

struct uffd_msg;

namespace tach::zygote {

// What a process says by dropping the bell of that number, for a layer (the lowest is 1).
enum class Bell : std::uint32_t {
    kDropping,  // what is dropped from here on is dropped by the engine, up to the next kRewound
    kPushed,    // the layer is about to be captured; when this bell is missed, pages that are not the image's are put
                // where they belong before it is
    kRewound,   // to the layer
};
inline constexpr std::size_t kBells = 3;
inline constexpr std::size_t kMostServedLayers = 64;
inline constexpr base::AddressRange kBellRange{
    kPrivateHome.end - 0x1000000, kPrivateHome.end - 0x1000000 + kBells* kMostServedLayers* base::kPageSize};

[[nodiscard]] constexpr base::Address bell_page(Bell bell, std::size_t layer) {
    return kBellRange.begin + (layer * kBells + static_cast<std::size_t>(bell)) * base::kPageSize;
}

class FaultServer {
  public:
    // Starts the thread.
    [[nodiscard]] static base::Result<std::unique_ptr<FaultServer>> start();
    // Ends it: whoever misses a page then waits for ever.
    ~FaultServer();
    FaultServer(const FaultServer&) = delete;
    FaultServer& operator=(const FaultServer&) = delete;

    // A rewound process' packet: its userfaultfd, /proc/PID/mem and /proc/PID/pagemap of its image, and its pidfd.
    [[nodiscard]] base::Result<void> add(base::Packet packet);
    static constexpr std::size_t kPacketFds = 4;

    [[nodiscard]] std::uint64_t pages_served() const { return served_.load(std::memory_order_relaxed); }

  private:
    // What belongs somewhere is no longer what the image has there.
    struct Change {
        base::AddressRange zeros;
        base::Address moved_to = 0;  // where what was there went; 0: it is lost
        std::size_t moved_bytes = 0;
        std::size_t layer = 0;  // the lowest that it is part of
        bool unmapped = false;
        bool settled = false;  // the pages are there
    };

    struct Golden {  // of a process and those that were forked of it
        base::UniqueFd memory;
        base::UniqueFd pagemap;
        base::UniqueFd process;
    };

    struct Fault {
        base::Address page;
        pid_t thread;
    };

    struct Space {
        base::UniqueFd userfault;
        std::shared_ptr<Golden> golden;
        std::vector<Change> changes;
        std::vector<Fault> waiting;  // the kernel could not take their pages just now
        std::size_t layer = 1;
        bool own_drops = false;
        bool original = false;
        bool ended = false;
        int failed_reads = 0;
    };
    using Id = std::uint64_t;

    // Children are looked for that have ended whenever there are so many, or twice those that were left. A guess.
    static constexpr std::size_t kPruneAt = 64;

    FaultServer(base::EventLoop loop, base::UniqueFd wake) : loop_(std::move(loop)), wake_(std::move(wake)) {}

    void run();
    void take_new();
    void insert(Space space);
    void forget_ended();
    void on_messages(Id id);
    void try_again(Id id, std::int64_t delay_ns);
    void on_failed_read(Id id, Space& space, int error);
    void obey(Space& space, const uffd_msg& message);
    void take_change(Space& space, base::AddressRange lost, bool unmapped);
    void ring(Space& space, base::Address bell);
    void put_settled(Space& space);
    void put(Space& space, const Fault& fault);
    void put_now(Space& space, base::Address page);
    [[nodiscard]] int place(const Space& space, base::Address page);
    [[nodiscard]] static std::optional<base::Address> origin(const Space& space, base::Address page);
    void add_child(Space& parent, int userfault);
    static void give_up(Space& space, pid_t thread, int error);

    base::EventLoop loop_;
    base::UniqueFd wake_;
    std::mutex mutex_;
    std::vector<Space> new_;  // guarded by mutex_
    bool stop_ = false;       // guarded by mutex_
    std::map<Id, Space> spaces_;
    Id next_id_ = 0;
    std::size_t prune_at_ = kPruneAt;
    std::vector<std::byte> page_ = std::vector<std::byte>(base::kPageSize);
    std::atomic<std::uint64_t> served_{0};
    std::thread thread_;
};

}  // namespace tach::zygote
