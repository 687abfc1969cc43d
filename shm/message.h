#pragma once

// The messages between tach-supervisor and the Python processes it drives, in one fixed-width envelope.
//
// A message is a MessageHead followed by `strings` byte strings, each a little-endian u32 length and its bytes. What
// `item`, `a`, `b`, `t0`, `t1` and the strings mean depends on the kind and is written beside it below. `item` is
// always an index into the session's items in pytest's final collection order. Times are nanoseconds; starts are
// CLOCK_MONOTONIC, so that a test that freezes Python's clocks cannot skew them.
//
// Version: both sides are built from this file, but harness and executables can be installed apart; the reader refuses
// any other kMessageVersion with an error that says so.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tach::shm {

inline constexpr std::uint16_t kMessageVersion = 9;
inline constexpr std::uint32_t kNoItem = 0xffffffff;

// Bounds that a hostile sender cannot exceed. 1 GiB: a test may print 10 MB on each stream, and its report carries both
// several times over (sections, text for JSON); the rest is room. 4096 strings: an order of magnitude over any kind.
inline constexpr std::uint32_t kMaxMessageBytes = 1U << 30;
inline constexpr std::uint32_t kMaxMessageStrings = 4096;

enum class Kind : std::uint16_t {
    // --- supervisor -> zygote and bases -------------------------------------------------------------------------
    kForkController = 1,  // the new process's descriptors follow on the Unix socket (memfd, 2 eventfds, socket)
    kForkWorker = 2,  // item: how many workers the run has, a: number of this one, b: attempt (how many processes had
                      // this number before); [engine, by its name on the command line]; descriptors follow
    kForkBase = 3,    // item: the item whose session fixtures are set up, a: base number; descriptors follow
    kReap = 4,        // a: pid of a direct child that was seen to end; answered by kReaped
    kFinish = 5,      // item: last item in collection order (or kNoItem); finalise own fixtures, then exit
    kResume = 6,      // solo, after the results that are known: a: how many bytes of progress the user has seen
    kModules = 7,     // asks for kModuleFiles
    kLate = 8,  // answers kRoot: wide fixtures that tests asked for at run time, modules that several imported, and
                // files no test of which is wanted; [records separated by NUL: test file and names, separated by
                // newlines; pairs of module and origin, likewise, and, of modules that
                // cannot be kept, a stamp of the file; absolute paths, separated by NUL; the directory .tach]

    kGoSolo = 9,       // [why]: nothing is forked any more, run the session in this process; answered by kSolo
    kBecomeLive = 10,  // to a base of which no copies are left: its fixtures are no longer copied, kRun follows

    // --- supervisor -> worker -----------------------------------------------------------------------------------
    kRun = 16,  // item: first, a: one past the last, b: RunFlags; [empty, or the subset to run as u32 indices; those of
                // them, likewise, that must be forked, since they cannot be rewound]

    // --- supervisor -> controller: kLogStart .. kDone of one item after the other, in collection order, and then
    kEnd = 32,    // a: EndReason, b: 0; [lines] for tach's own summary section
    kCrash = 33,  // item, a: signal, b: exit status; [message, stdout, stderr, stack]

    // --- any process -> supervisor ------------------------------------------------------------------------------
    kHello = 64,    // a: pid, b: Role; from the zygote also [interpreter version, pytest version, executable]
    kOutput = 65,   // a: Stage; [text]: the terminal reporter's output; a worker's is a line for the user
    kProblem = 66,  // a: exit code it will end with; [text]: our own traceback; a worker or base is replaced
    kReaped = 67,   // a: pid, b: wait status as waitpid(2) gives it
    kBaseReady =
        68,  // a: base number (0: the zygote itself, which can be forked from now on), b: 1 if live; [why it is
             // live]

    // --- zygote -> supervisor -----------------------------------------------------------------------------------
    kItem = 80,  // item, a: unit (0: stands alone), b: ItemFlags, t0: base that it starts from, t1: base that is filled
                 // from it (0: none); [nodeid, file, session fixtures joined by newlines]
    kCollected =
        81,      // item: number of items, a: maxfail (0: none), b: verbosity, t0: deselected, t1: workers asked for
                 // in addopts (-n of xdist; 0: not asked)
    kSolo = 82,  // [why]: the session runs in this process, nothing is forked
    kModuleFiles = 83,  // [installed packages, file ...]: project files that the interpreter has loaded, conftest files
    kGivingUp = 88,     // before kModuleFiles; [items that may skip at run time or be expected to fail, as u32]
    kCollectCounts = 85,  // a: modules and the like that were skipped, b: errors, t0: deselected items
    kExplained = 87,  // --explain: item (kNoItem: there is no such test); [wide and other fixtures, why the session is
                      // solo, why the test is going to run shared; the first: records separated by NUL of name, scope,
                      // place and "wide" if it is, separated by newlines]; kModuleFiles follows, and the end
    kLoaded = 89,  // when the first workers are forked, a: modules that came from the bytecode image, b: sources that
                   // had changed
                   // since; [what is wrong with the image, imports file, image]: the last two if modules had to be done
                   // without, see the harness' loader.py
    kWitness =
        86,  // --list, at the interpreter's very end: t0: when watching began (CLOCK_REALTIME_COARSE); [rootdir, why
             // the listing must not be remembered, files read, files written, directories listed, installed
             // files, paths looked at], all but the first lists separated by NUL, see supervisor/evidence.h
    kRoot = 84,  // at the session's start; a: 1 if tests print themselves; [rootdir, cache directory or "", verbosity]

    // --- worker (or solo) -> supervisor -------------------------------------------------------------------------
    kStarted = 96,   // item, a: Mode, t0: when
    kLogStart = 97,  // item                                  these four are passed on to the controller unchanged
    kReport = 98,    // item, a: Phase, b: ReportFlags, t0: start, t1: duration; [pickle, category, message, if JSON was
    // asked for: longrepr, stdout, stderr (else they may be empty or missing), and what tells the cause
    // of a failure or a skip from others, if known]
    kWarning = 99,     // item or kNoItem; [pickle]
    kLogFinish = 100,  // item
    kAmend = 101,      // item: a teardown report of a layer, to be merged into the item's; fields as in kReport
    kDone = 102,  // item, a: Mode, b: DoneFlags, t0: duration, t1: reset; [pickled extras, note, late fixtures by line,
                  // of a rewind what it did (shm/rewind_report.h), why it was condemned]
    kCrashed = 103,  // item, a: signal (0: exited), b: exit status, t0: duration; [stdout, stderr, stack]
    kExit = 104,  // item, a: 1 KeyboardInterrupt, 2 pytest.exit, 3 internal error; [pickle; of 1 its text, place]: the
                  // session must end with this item; b: 1 to the controller, just to be shown: the user ends the run
    kRunDone = 105,  // item: one past the last item of the kRun that is finished, a: 1 if the worker must be replaced,
                     // b: 1 if the run ended early, by kExit, t0: 1 if it goes on in a fresh process
    kRetired = 106,  // nothing is left to finalise, the process exits next
    kDifference = 107,  // item that was rewound; [what]: --verify-snapshots found something that is not as it was
    kLive = 108,        // item; [why]: from this item on the tests of its process run shared
    kImported = 109,  // item; [pairs as in kLate]: modules that this item is not the first to import; a module without
                      // an origin is not worth remembering; one with origin, stamp of its file and why cannot be kept
    kCategories =
        111,  // from the controller or solo: item; [category of each of its reports, in order]: what pytest's terminal
              // was told of them, where a plugin of the suite has a say in that
    kJudged = 110,  // item, after its first kDone: [what would have been in the way of a rewind, or ""]; of a test that
                    // was forked by the supervisor's wish
    kTerminal = 115,  // item or kNoItem, a: pid of who wants to read the terminal, b: 1 asks, 0 gives it back, t0: a
                      // positive number, by which it is answered in Orders (shm/segment.h)
    kGathers = 116,   // item, a: base whose fixtures read it when they are finalised (kNoItem: read when the session
                      // ends); [reader]: the item has changed what is read elsewhere, and is to be run there instead
    kUnraised = 117,  // item; [pickle]: what Python could not raise when it found the test's garbage, and pytest would
                      // have found when the session ends; the controller gets it before kEnd
};

enum class Role : std::uint32_t { kZygote = 0, kController = 1, kBase = 2, kWorker = 3 };
enum class Stage : std::uint32_t { kHeader = 0, kProgress = 1, kSummary = 2 };
// What a process is at: a phase of a test, or wide fixtures of a layer or a base on their way up or down.
enum class Phase : std::uint32_t { kSetup = 0, kCall = 1, kTeardown = 2, kFill = 3, kPop = 4 };
enum class Mode : std::uint32_t { kSnapshot = 0, kFork = 1, kShared = 2 };
enum class EndReason : std::uint32_t { kComplete = 0, kStopped = 1, kInterrupted = 2, kAbandoned = 3 };

enum RunFlags : std::uint32_t {
    kRunShared = 1U << 0,  // one process, no rewinding, pytest's own order: a second opinion or a live layer
    kRunRerun = 1U << 1,   // a second opinion: outcomes are compared, not reported
};

enum ItemFlags : std::uint32_t {
    kItemDynamic = 1U << 0,    // may ask for fixtures at run time: never split from its module
    kItemNoRerun = 1U << 1,    // carries the no_rerun mark
    kItemOwnWorker = 1U << 2,  // session fixtures asked for at run time: all such items go to one worker
    kItemOrdered = 1U << 3,    // its marks say that what tests before it did matters to it, or it to later ones
};

enum ReportFlags : std::uint32_t {
    kReportFailed = 1U << 0,
    kReportSkipped = 1U << 1,
    kReportXfail = 1U << 2,       // has wasxfail: xfailed when skipped, xpassed when passed
    kReportByMark = 1U << 3,      // the outcome is decided by the item's marks alone
    kReportStrict = 1U << 4,      // strict xpass
    kReportSupersedes = 1U << 5,  // another attempt follows: what parts of the test were reported does not count
};

enum DoneFlags : std::uint32_t {
    kDoneKept = 1U << 0,        // a wide fixture was set up during the test: the rest of its scope runs shared
    kDoneShouldStop = 1U << 1,  // extras carry shouldstop or shouldfail
    kDoneCondemned = 1U << 3,   // the process could not be rewound after it, the note says why
    kDoneWarmed = 1U << 4,      // modules had been imported in its process that it would have imported itself
    kDoneHeld = 1U << 2,        // a layer is popped next and may add a kAmend; a second kDone without this flag follows
};

struct MessageHead {
    std::uint16_t kind;
    std::uint16_t version;
    std::uint32_t item;
    std::uint32_t a;
    std::uint32_t b;
    std::int64_t t0;
    std::int64_t t1;
    std::uint32_t strings;
    std::uint32_t bytes;  // of everything after the head
};
static_assert(std::is_trivially_copyable_v<MessageHead> && sizeof(MessageHead) == 40);
static_assert(offsetof(MessageHead, t0) == 16 && offsetof(MessageHead, strings) == 32);

// A message in memory. `strings` views the bytes of whoever made it: `body` for a received one.
struct Message {
    MessageHead head{};
    std::vector<std::string_view> strings;
    std::vector<std::byte> body;  // owned bytes of a received message; empty in one that is about to be sent

    Message() = default;
    Message(Message&&) = default;
    Message& operator=(Message&&) = default;
    Message(const Message&) = delete;  // the views would point into the other's body
    Message& operator=(const Message&) = delete;

    [[nodiscard]] Kind kind() const { return static_cast<Kind>(head.kind); }
    // The i-th string, or an empty one: a short message from a hostile sender must not be an out-of-range access.
    [[nodiscard]] std::string_view string(std::size_t i) const { return i < strings.size() ? strings[i] : ""; }
};

}  // namespace tach::shm
