#pragma once

// One run of a suite: owns every process of it, hands out the tests, and turns what the processes say into verdicts, a
// replay for the controller, and an exit code. Made once by main; one thread, one event loop; run() returns when no
// process of the run is left.
//
//   starting -> collecting -> running -> (second opinions) -> closing workers, bases, controller, zygote -> done
//
// A worker is Booting until its handshake, then Idle, Running, Finishing, and Ended when the kernel says so; a worker
// that broke the protocol, or that must be replaced, is killed or finished and the pool forks another. Messages of
// processes are claims: indices are checked, and what makes no sense costs that process its life, not ours.

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/command.h"
#include "base/descriptor_limit.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "supervisor/claims.h"
#include "supervisor/explain.h"
#include "supervisor/foreground.h"
#include "supervisor/home.h"
#include "supervisor/interpreter.h"
#include "supervisor/json_report.h"
#include "supervisor/launch.h"
#include "supervisor/listing.h"
#include "supervisor/memory.h"
#include "supervisor/peer.h"
#include "supervisor/printer.h"
#include "supervisor/results.h"
#include "supervisor/rewind_metrics.h"
#include "supervisor/routing.h"
#include "supervisor/schedule.h"
#include "supervisor/second_opinion.h"
#include "supervisor/settings.h"
#include "supervisor/stored_message.h"
#include "zygote/fault_server.h"

namespace tach::supervisor {

class Session {
  public:
    // `interactive`: tests may read the terminal, so they stay in its foreground process group.
    Session(Settings settings, Home home, Interpreter interpreter, std::uint64_t seed, bool interactive,
            Printer& printer);

    // The exit code. An error is tach's own failure, with what is known of it, or a mistake (usage.h).
    // `settle_rest` completes the settings while the interpreter starts; its error ends the run, before any test.
    using SettleRest = std::function<base::Result<void>(Settings& settings)>;
    [[nodiscard]] base::Result<int> run(const SettleRest& settle_rest);

    [[nodiscard]] const Results& results() const { return results_; }
    [[nodiscard]] ReportInputs report_inputs() const;
    [[nodiscard]] const Listing& listing() const { return listing_; }  // of --list and --explain
    // For --explain, after run(), once: waits for the analysis. An error if the test is not there, or the interpreter
    // has not come to it: with no text in that case, since it has said why.
    [[nodiscard]] base::Result<Explanation> explain();

  private:
    using Id = int;  // of a process; never reused

    enum class State { kBooting, kIdle, kRunning, kFinishing, kEnded };

    struct Process {
        shm::Role role = shm::Role::kWorker;
        Peer peer;
        Id parent = 0;
        std::uint32_t number = 0;  // of a worker or a base
        std::uint32_t pool = 0;    // workers: the base whose items it runs
        State state = State::kBooting;
        std::optional<Run> run;
        bool opinion = false;        // runs a pass of a second opinion
        bool shared = false;         // runs what is known to be order-dependent
        bool live = false;           // a base that became the one worker of its live fixtures
        bool replace = false;        // must not get another run
        bool finishing = false;      // was told to finalise and end
        bool retired = false;        // and said that it has
        std::uint32_t failures = 0;  // of the items that it has run
        bool doomed = false;         // broke the protocol, and is killed: not heard any more
        std::string breach;          // a test of its said what is not its to say: what that was
        bool is_found_late = false;  // and it had told the end of that test before
        Claims claims;
        std::string cause;                     // why its tests run shared from now on
        std::uint32_t charged = shm::kNoItem;  // finishing: the test that is charged with what goes wrong
        std::uint32_t lines = 0;               // that it has told the user
    };

    struct SessionFixture {
        std::uint32_t base = 0;  // the one that it is set up in
        std::string name;
        auto operator<=>(const SessionFixture&) const = default;
    };

    struct Item {
        std::uint32_t unit = 0;
        std::uint32_t base = 0;
        std::uint32_t opens_base = 0;
        std::uint32_t flags = 0;
        std::uint32_t module = 0;
        std::string file;
        std::vector<SessionFixture> session_fixtures;
        std::vector<shm::Message> messages;  // for the controller, until they are passed on
        std::int64_t started_ns = 0;         // CLOCK_MONOTONIC
        Id runner = 0;                       // the process that has started it
        bool started = false;
        bool held_done = false;  // finished but for what its layer's end may add
        bool complete = false;
        bool suspect = false;  // it is run by itself, since it may be what made a process break the protocol
        bool dropped = false;  // what is said of it does not count, until it is started again
    };

    // What a second opinion puts in place of an isolated run.
    struct Replacement {
        std::vector<shm::Message> messages;
        ItemResult result;
    };

    enum class BaseState { kUnstarted, kStarting, kReady, kLive, kGone };
    struct Base {
        BaseState state = BaseState::kUnstarted;
        Id process = 0;
        std::uint32_t opened_by = shm::kNoItem;  // the item whose session fixtures it sets up
        bool is_to_live = false;                 // it becomes live as soon as there are no copies of it
    };

    enum class Stage {
        kCollecting,
        kRunning,
        kClosingWorkers,
        kClosingBases,
        kClosingController,
        kClosingZygote,
        kSweeping
    };

    // --- session.cpp: processes and their events
    base::Result<void> make_room();
    base::Result<void> start_interpreter();
    base::Result<void> watch(Id id);
    void on_handshake(Id id);
    void on_userfault(Id id);
    void on_ended(Id id);
    void drain(Id id);
    void drain_all();
    void tick();
    void on_lifeline();
    void on_interpreter_ended(int status);
    void on_signal();
    void leave_now(int exit_code);
    void fail_run(const std::string& what);
    void doom(Id id, const std::string& why);
    Process* find(Id id);
    base::Result<Id> fork_process(Id parent, shm::Kind kind, shm::Role role, std::uint32_t item, std::uint32_t a,
                                  std::uint32_t b, std::string_view detail = {});
    void show_progress(bool force);

    // --- session_interrupt.cpp
    struct Stopped {  // a test that is to end
        Id id;
        pid_t top;
        std::uint64_t serial;  // see running_serial()
        bool is_told;
    };
    void interrupt(int signal);
    [[nodiscard]] std::vector<Stopped> running_tests(const std::function<bool(const Process&)>& concerned) const;
    [[nodiscard]] bool runs_still(const Stopped& test, shm::Phase last) const;
    void await_reaction(std::vector<Stopped> tests, shm::Phase last_killed, bool is_patient);
    void tell_where(const Stopped& test);
    void kill_stopped(const std::vector<Stopped>& tests, shm::Phase last_killed);
    void stop_tests(const std::function<bool(const Process&)>& concerned, shm::Phase last_killed);
    void interrupted_at(std::uint32_t item, shm::Message message);
    void pass_on_interruption();
    [[nodiscard]] std::vector<std::string> interruption_lines() const;

    // --- session_terminal.cpp: who may read the terminal, and what was stopped
    struct TerminalWish {
        Id id = 0;
        std::int64_t ticket = 0;   // of a kTerminal; 0: it was stopped because it read
        pid_t pid = 0;             // in the group that is to be in front
        std::uint64_t serial = 0;  // see running_serial()
        bool shares_group = false;
    };
    void terminal_wanted(Id id, const shm::Message& message);
    [[nodiscard]] static std::uint64_t running_serial(const Process& process);
    void lend_terminal();
    void put_in_front();
    void end_loan();
    void check_loan();
    void suspend(int signal);
    void look_for_stopped();
    bool found_stopped(Id id, pid_t pid);

    // --- session_messages.cpp: what processes say
    void handle(Id id, shm::Message message);
    void handle_zygote(Id id, const shm::Message& message);
    void handle_item_message(Id id, shm::Message message);
    void hear_item_message(Id id, shm::Message message);
    void add_item(const shm::Message& message);
    void collected(const shm::Message& message);
    void go_solo(const shm::Message& message);
    void root_known(const shm::Message& message);
    void base_ready(Id id, const shm::Message& message);
    void run_done(Id id, const shm::Message& message);
    void difference_found(const shm::Message& message);
    void reaped(Id id, const shm::Message& message);
    void learn_imports(const shm::Message& message);
    void late_message(Id id, shm::Message message);
    void item_done(Id id, shm::Message message);
    void item_crashed(Id id, const shm::Message& message);
    void item_exit(Id id, shm::Message message);
    void opinion_message(Id id, const shm::Message& message);
    void record_crash(std::uint32_t worker, const shm::Message& message, std::string_view why = {});
    void worker_line(Process& process, std::string_view text);

    // --- session_claims.cpp: whether what a process says of a test is its to say
    [[nodiscard]] Claim weigh_message(Process& process, const shm::Message& message);
    [[nodiscard]] bool is_done(const Process& process, std::uint32_t item) const;
    [[nodiscard]] std::optional<std::uint32_t> current_of(Process& process) const;
    [[nodiscard]] bool is_suspect(const Run& run) const;
    [[nodiscard]] bool is_in_a_test(Process& process) const;
    void break_protocol(Id id, const std::string& what, std::uint32_t item);
    void doubt_since(Process& liar, std::uint32_t spoken_of);
    void reopen(std::uint32_t item, std::string note);
    void charge_liar(const Process& liar, std::optional<int> status);
    void charge_after_end(const Process& process, const shm::Message& crashed);

    // --- session_pool.cpp: workers, bases and the order of work
    void begin_running();
    void fork_controller();
    void pump();
    void assign(Id id);
    void start_run(Id id, Run run, std::uint32_t flags);
    bool ensure_base(std::uint32_t number);
    [[nodiscard]] Id source_of(std::uint32_t base) const;
    void fork_workers();
    void take_live(std::uint32_t number);
    [[nodiscard]] std::vector<std::uint32_t> items_of_live(std::uint32_t number, bool complete_ones = false) const;
    void charge_finalisers(const Process& ended, std::optional<int> status);
    [[nodiscard]] bool has_shared_worker() const;
    bool fork_worker(std::uint32_t base, bool shared);
    void worker_ended(Id id, std::optional<int> status);
    void worker_died(Process& ended, std::optional<int> status);
    void base_died(const Process& ended, std::optional<int> status);
    void charge_death(const Process& ended, std::uint32_t item, std::optional<int> status, std::string_view why = {});
    void charge_unknown(const Process& ended, std::optional<int> status);
    void requeue_unfinished(const Run& run, bool apart);
    void show_failure(std::uint32_t index);
    void finish_process(Id id);
    void complete(std::uint32_t index);
    void account_failures();
    void cut(std::uint32_t item, bool final);
    void uncut();
    void set_limits();
    void count_failures(std::uint32_t item, std::uint32_t failures);
    void tell_failures(const Process& process) const;
    void replay();
    void tell(std::uint32_t index);
    [[nodiscard]] bool quiescent() const;
    [[nodiscard]] std::size_t live_workers() const;
    [[nodiscard]] std::uint32_t charged_item() const;
    [[nodiscard]] Schedule make_schedule() const;

    // --- session_routes.cpp: which tests are not treated as the others
    [[nodiscard]] bool wants_analysis() const;
    [[nodiscard]] base::Result<base::RunningCommand> launch_analysis() const;
    void start_analysis();
    void start_compiler();
    void stop_compiler();
    void on_analysis();
    void read_analysis();
    void await_routes();
    void await_no_longer();
    void settle_routes();
    void find_forked();
    void hold_back_order_dependents();
    [[nodiscard]] std::string guard_key(std::string_view file);
    [[nodiscard]] bool may_go_last(const Item& item) const;
    [[nodiscard]] bool goes_last(std::uint32_t index) const;
    [[nodiscard]] bool routes_are_due() const;
    [[nodiscard]] std::vector<Grouping> groupings() const;

    // --- session_gathers.cpp: tests that change what is read after them
    void gathers(Id id, const shm::Message& message);
    void drop(std::uint32_t item);
    static void pass_over(Process& process, const shm::Message& message);
    void retreat(const std::string& why);
    void end_retreat();
    void forget_results();
    [[nodiscard]] bool is_retreating() const { return !retreat_.empty() && !solo_; }
    void bring_to_life(std::uint32_t base);
    void settle_lives();
    void become_live(std::uint32_t base);
    [[nodiscard]] bool has_copies(const Base& base);
    [[nodiscard]] bool descends(const Process& process, Id ancestor) const;
    [[nodiscard]] bool is_held_back(const Process& process) const;
    [[nodiscard]] bool any_base_is_to_live() const;
    void recall_gatherers();
    void recall_gatherers_of(std::uint32_t base);
    void note_gatherer(std::uint32_t item);
    void remember_gatherers();

    // --- session_opinions.cpp
    void doubt(std::uint32_t item);
    void ask_for_modules();
    bool give_opinions();
    void opinion_ended(Id id);
    void compare_with_pass();
    void apply_opinions();
    bool replace_by_opinion(std::uint32_t item);
    void become_order_dependent(const SecondOpinion::Settled& settled);
    void note_order_dependence(std::uint32_t item, const Opinion& opinion);
    void learn(std::uint32_t item, Opinion opinion);
    bool recheck_cut();
    void know_modules(const shm::Message& message);
    void know_giving_up(const shm::Message& message);
    [[nodiscard]] bool undisturbed(std::uint32_t item) const;
    [[nodiscard]] double sequential_s() const;
    [[nodiscard]] std::int64_t pass_limit_ns() const;
    [[nodiscard]] std::string pass_text(std::int64_t now) const;
    void announce_pass(Id id);
    [[nodiscard]] double expected_s(std::uint32_t item) const;
    [[nodiscard]] bool opinions_enabled() const;

    // --- session_end.cpp
    void close();
    void close_step();
    [[nodiscard]] std::vector<std::string> summary_lines() const;
    [[nodiscard]] std::vector<std::string> lost_lines() const;
    void note_cause(const Process& process, std::uint32_t index);
    void end_controller();
    void remember();

    Settings settings_;
    LaunchPlan plan_;
    Printer& printer_;
    std::optional<base::EventLoop> loop_;
    base::UniqueFd signals_;
    std::optional<base::DescriptorRoom> room_;     // for what each process of the run needs here
    std::unique_ptr<zygote::FaultServer> faults_;  // of engine missing, from the first process on
    std::optional<Launched> launched_;             // its zygote has moved into processes_
    std::map<Id, Process> processes_;
    Id next_id_ = 1;
    Id zygote_ = 0;
    Id controller_ = 0;
    std::vector<Base> bases_;

    Foreground foreground_;
    std::deque<TerminalWish> wishes_;  // in the order of asking
    std::optional<TerminalWish> loan_;
    std::pair<Id, std::uint64_t> last_borrower_;  // and its running_serial()
    std::set<pid_t> stopped_before_;              // at the last look
    std::set<std::uint32_t> told_stopped_;        // the user has heard of these items
    unsigned ticks_ = 0;

    Stage stage_ = Stage::kCollecting;
    bool solo_ = false;
    std::string solo_reason_;
    bool interrupted_ = false;
    int signals_seen_ = 0;
    std::map<std::uint32_t, shm::Message> interruptions_;  // by item
    std::set<std::uint32_t> killed_;                       // they did not react
    std::optional<int> exit_code_;
    std::optional<base::Error> failure_;  // tach's own, or a mistake (usage.h)
    std::uint32_t restarts_ = 0;
    std::uint32_t deaths_without_progress_ = 0;
    std::size_t completed_at_restart_ = 0;

    std::vector<Item> items_;
    std::vector<std::string> nodeids_;
    std::map<std::string, std::uint32_t> modules_;
    Results results_{0, {}};
    Counts collect_counts_;
    bool announced_ = false;  // the items are known
    std::optional<Schedule> schedule_;
    std::optional<ReplayOrder> order_;
    std::size_t completed_ = 0;
    std::uint32_t failures_ = 0;  // as pytest counts them, of all complete items
    std::uint32_t maxfail_ = 0;
    std::uint32_t workers_ = 1;
    std::map<std::uint32_t, std::uint32_t> attempts_;  // by worker number: processes that had it
    std::uint32_t respawns_ = 0;
    std::optional<std::uint32_t> cut_;
    bool cut_final_ = false;
    bool hold_charged_ = true;
    std::map<std::uint32_t, Opinion> known_dependences_;  // from earlier runs
    std::map<std::uint32_t, Forked> forked_;              // from the start
    std::map<std::uint32_t, std::string> judged_;         // in this run: what the guard found, see Judgement
    std::vector<std::uint32_t> shared_items_;  // known to be order-dependent, with what they need; not handed out yet
    std::map<std::string, std::string> left_out_;         // modules that this run found not to be kept, and why
    std::map<std::uint32_t, std::string> lost_;           // by item: why it was not isolated, one text for each cause
    std::map<std::uint32_t, Gathering> gatherers_;        // tests that change what is read after them: from this run
    std::map<std::uint32_t, Gathering> known_gatherers_;  // and from earlier ones
    std::string retreat_;  // why everything is begun anew in one process; empty: it is not
    std::map<std::uint32_t, std::vector<shm::Message>> unraised_;  // by item, kUnraised
    std::uint32_t told_bytes_ = 0;                                 // of progress, by the controller
    std::map<std::uint32_t, std::string> live_reasons_;            // by item: why its layer could not be rewound

    std::optional<base::RunningCommand> analysis_;  // while it runs
    std::filesystem::path rootdir_;                 // pytest's
    std::filesystem::path kept_root_;               // has .tach: as a rule the same, see project_directories.h
    std::filesystem::path analysis_file_;
    std::int64_t analysis_started_ns_ = 0;
    bool are_sources_late_ = false;
    struct Uncompiled {
        std::string imports;  // file
        std::string image;
    };
    struct Loaded {
        std::uint32_t hits = 0;
        std::uint32_t stale = 0;
        bool is_told = false;
    };
    Loaded loaded_;                                 // modules from the bytecode image
    bool is_testing_ = false;                       // a test has been started
    std::optional<Uncompiled> uncompiled_;          // what this run had to do without
    std::optional<base::RunningCommand> compiler_;  // beside the tests
    std::string sources_unknown_;                   // why; empty: they are known, or not yet
    Suspicions suspicions_;
    std::map<std::string, std::string, std::less<>> guard_keys_;  // by file
    bool routes_settled_ = false;

    std::optional<Memory> memory_;
    ContentKeys content_keys_;
    static constexpr const char* kKeyPending = "pending";
    std::string opinion_key_;  // empty: not asked for; kKeyPending: asked for while running
    bool modules_asked_ = false;
    std::optional<SecondOpinion> opinions_;
    std::optional<SecondOpinion::Pass> pass_;
    SecondOpinion::Seen seen_;
    std::map<std::uint32_t, Item> opinion_items_;
    std::map<std::uint32_t, ItemResult> opinion_results_;
    std::set<std::uint32_t> unsettled_;
    std::map<std::uint32_t, Replacement> replacements_;
    std::int64_t pass_started_ns_ = 0;
    double pass_expected_s_ = 0;
    bool pass_announced_ = false;  // in a pipe: that tests are run again was said
    std::uint32_t order_dependent_ = 0;
    std::set<std::uint32_t> noted_;  // order-dependent, polluted or flaky: the summary shows their notes
    std::uint32_t unconfirmed_ = 0;
    std::uint32_t differences_ = 0;  // of --verify-snapshots
    bool has_ignored_ = false;       // in a session that is not isolated: told of, once
    RewindMetrics rewind_metrics_;

    Listing listing_;
    std::optional<Explained> explained_;
    std::string python_version_;
    std::string python_executable_;
    std::int64_t started_ns_ = 0;
    int verbosity_ = 0;
};

}  // namespace tach::supervisor
