#pragma once

// The snapshot engine of one process: takes Snapshot's layers, and comes back to them with the registers that it had.
//
// push() returns twice or more often, like setjmp(3): first when the layer was taken, and again whenever rewind() went
// back to it. Memory is then what it was, so nothing that happened in between can be seen but for what lies in
// PrivateMemory: the Passage, which rewind() was given.
//
// Both run the work on a stack of PrivateMemory with all signals blocked. Only for a process with one thread, from the
// main thread, with the GIL held. After a fork the child must not use it; see forget().

#include <csignal>
#include <cstdint>

#include "zygote/kernel_state.h"
#include "zygote/oracle.h"
#include "zygote/snapshot.h"

namespace tach::zygote {

// What crosses a rewind.
struct Passage {
    std::uint64_t position = 0;
    std::uint32_t flags = 0;
    std::uint32_t imports = 0;  // see RewindReport
    RewindStats stats;
};

class Rewinder {
  public:
    enum class Engine { kWpAsync, kCow, kMissing };  // base::WriteProtection, PageSharing, MissingPages

    enum class Return { kPushed, kCameBack, kRefused };

    // EOPNOTSUPP, EPERM: this kernel, or this user, cannot; see the trackers' create(). With a note, the process stops
    // after each push and each rewind, for the oracle. `fault_socket`, for kMissing alone, leads to a FaultServer; it
    // must stay open up to the first push.
    [[nodiscard]] static base::Result<Rewinder*> create(Engine engine, OracleNote* note = nullptr,
                                                        int fault_socket = -1);

    // kRefused: nothing was pushed, refusal() says why.
    [[nodiscard]] Return push();

    // What is in the way of a rewind to the top layer now.
    [[nodiscard]] Refusal check();

    // Whether the same files are open as when the top layer was pushed.
    [[nodiscard]] bool has_same_descriptors() const;

    // Does not return if the layer could be restored: push() does. Otherwise the process goes on as it is, and
    // refusal() says what is in the way.
    void rewind(const Passage& passage);

    // Forgets the top layer; the present state goes on above the layer below.
    void drop();

    [[nodiscard]] const Passage& passage() const;
    [[nodiscard]] const Refusal& refusal() const;

    // How much this process has been through: rewinds, and bytes of copies. Without end either may cost more than a
    // fresh process.
    struct Age {
        std::uint64_t rewinds;
        std::size_t growth;
    };
    [[nodiscard]] Age age() const;

    struct State;

  private:
    explicit Rewinder(State* state) : state_(state) {}
    State* state_;
};

}  // namespace tach::zygote
