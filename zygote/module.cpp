// `_tach`, the native half of the harness, inside the user's interpreter. Built against the limited API, so that one
// binary serves CPython 3.10 and later. One process has one channel; after a fork the child attaches its own, or adopts
// its parent's while the parent waits. Called from the main thread only, with the GIL held except while it sleeps.
//
// Python's view of it is harness/_tach.pyi.

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/descriptor_limit.h"
#include "base/fd_passing.h"
#include "base/pidfd.h"
#include "base/unique_fd.h"
#include "shm/channel.h"
#include "shm/stack_signal.h"
#include "zygote/descriptors.h"
#include "zygote/guard.h"
#include "zygote/import_functions.h"
#include "zygote/recursion_room.h"
#include "zygote/rewinder.h"
#include "zygote/seen_functions.h"
#include "zygote/snapshot_functions.h"
#include "zygote/watch_functions.h"

namespace {

using tach::base::Error;
using tach::base::UniqueFd;
using tach::shm::Channel;
using tach::shm::ChannelFds;
using tach::shm::MessageHead;
using tach::shm::Wake;

struct Line {
    Channel channel;
    UniqueFd socket;
};

std::optional<Line> line;         // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): one channel a process
tach::zygote::Guard guard_state;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

PyObject* raise(const Error& error) {
    PyErr_SetString(PyExc_OSError, ("tach: " + error.what).c_str());
    return nullptr;
}

}  // namespace

int tach::zygote::supervisor_socket() {
    return line ? line->socket.get() : -1;
}

namespace {

bool attached() {
    if (!line) PyErr_SetString(PyExc_RuntimeError, "tach: this process has no channel");
    return line.has_value();
}

// A tuple of bytes as views; false with an exception set.
bool views_of(PyObject* tuple, std::vector<std::string_view>& views) {
    const Py_ssize_t size = PyTuple_Size(tuple);
    if (size < 0) return false;
    for (Py_ssize_t i = 0; i < size; ++i) {
        char* data = nullptr;
        Py_ssize_t length = 0;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &data, &length) != 0) return false;
        views.emplace_back(data, static_cast<std::size_t>(length));
    }
    return true;
}

PyObject* attach(PyObject*, PyObject* args) {
    int segment = -1;
    int wake_supervisor = -1;
    int wake_process = -1;
    int socket = -1;
    if (PyArg_ParseTuple(args, "iiii", &segment, &wake_supervisor, &wake_process, &socket) == 0) return nullptr;
    line.reset();
    ChannelFds fds{UniqueFd(segment), UniqueFd(wake_supervisor), UniqueFd(wake_process)};
    UniqueFd owned(socket);
    auto high = owned.duplicate(tach::zygote::lowest_harness_descriptor());
    // The hard limit of open files is lower. A low number serves as well until a test closes it.
    if (!high && high.error().code == EINVAL) high = std::move(owned);
    if (!high) return raise(high.error());
    auto channel = Channel::attach(std::move(fds), tach::shm::Side::kProcess);
    if (!channel) return raise(channel.error());
    line.emplace(Line{*std::move(channel), *std::move(high)});
    Py_RETURN_NONE;
}

PyObject* send_message(const MessageHead& head, const std::vector<std::string_view>& strings, Wake wake = Wake::kNow) {
    tl::expected<tach::shm::Sent, Error> sent = tach::shm::Sent::kSent;
    Py_BEGIN_ALLOW_THREADS sent = line->channel.send(head, strings, wake);
    Py_END_ALLOW_THREADS if (!sent) return raise(sent.error());
    return PyBool_FromLong(*sent == tach::shm::Sent::kSent ? 1 : 0);
}

PyObject* send(PyObject*, PyObject* args) {
    unsigned int kind = 0;
    unsigned int item = 0;
    unsigned int a = 0;
    unsigned int b = 0;
    long long t0 = 0;  // NOLINT(google-runtime-int): PyArg_ParseTuple's "L"
    long long t1 = 0;  // NOLINT(google-runtime-int)
    PyObject* tuple = nullptr;
    int with_next = 0;
    if (PyArg_ParseTuple(args, "IIIILLO|p", &kind, &item, &a, &b, &t0, &t1, &tuple, &with_next) == 0 || !attached()) {
        return nullptr;
    }
    std::vector<std::string_view> strings;
    if (!views_of(tuple, strings)) return nullptr;
    MessageHead head{};
    head.kind = static_cast<std::uint16_t>(kind);
    head.item = item;
    head.a = a;
    head.b = b;
    head.t0 = t0;
    head.t1 = t1;
    return send_message(head, strings, with_next != 0 ? Wake::kWithNext : Wake::kNow);
}

// The handshake: a pidfd of this process over the socket, so that the supervisor sees its end, then kHello.
PyObject* hello(PyObject*, PyObject* args) {
    unsigned int role = 0;
    PyObject* tuple = nullptr;
    if (PyArg_ParseTuple(args, "IO", &role, &tuple) == 0 || !attached()) return nullptr;
    std::vector<std::string_view> strings;
    if (!views_of(tuple, strings)) return nullptr;
    auto pidfd = tach::base::open_pidfd(::getpid());
    if (!pidfd) return raise(pidfd.error());
    const std::byte greeting{1};
    const int fd = pidfd->get();
    if (auto sent = tach::base::send_packet(line->socket.get(), {&greeting, 1}, {&fd, 1}); !sent) {
        return raise(sent.error());
    }
    MessageHead head{};
    head.kind = static_cast<std::uint16_t>(tach::shm::Kind::kHello);
    head.item = tach::shm::kNoItem;
    head.a = static_cast<std::uint32_t>(::getpid());
    head.b = role;
    return send_message(head, strings);
}

PyObject* to_python(const tach::shm::Message& message) {
    PyObject* strings = PyTuple_New(static_cast<Py_ssize_t>(message.strings.size()));
    if (strings == nullptr) return nullptr;
    for (std::size_t i = 0; i < message.strings.size(); ++i) {
        const std::string_view view = message.strings[i];
        PyObject* bytes = PyBytes_FromStringAndSize(view.data(), static_cast<Py_ssize_t>(view.size()));
        if (bytes == nullptr || PyTuple_SetItem(strings, static_cast<Py_ssize_t>(i), bytes) != 0) {
            Py_DECREF(strings);
            return nullptr;
        }
    }
    const MessageHead& head = message.head;
    return Py_BuildValue("(IIIILLN)", static_cast<unsigned>(head.kind), head.item, head.a, head.b,
                         static_cast<long long>(head.t0),  // NOLINT(google-runtime-int)
                         static_cast<long long>(head.t1),  // NOLINT(google-runtime-int)
                         strings);
}

// The next message, or None after `timeout_ms` (or a signal, whose Python handler has then run).
PyObject* receive(PyObject*, PyObject* args) {
    int timeout_ms = -1;
    if (PyArg_ParseTuple(args, "i", &timeout_ms) == 0 || !attached()) return nullptr;
    auto message = line->channel.receive();
    if (message && !*message) {
        Py_BEGIN_ALLOW_THREADS static_cast<void>(line->channel.wait(timeout_ms));
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() != 0) return nullptr;
        message = line->channel.receive();
    }
    if (!message) return raise(message.error());
    if (!*message) Py_RETURN_NONE;
    return to_python(**message);
}

// The descriptors of the next process that this one forks, in attach()'s order.
PyObject* receive_fds(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    tl::expected<tach::base::Packet, Error> packet;
    const tach::base::DescriptorRoom room(tach::zygote::kEnoughDescriptors);
    Py_BEGIN_ALLOW_THREADS packet = tach::base::receive_packet(line->socket.get(), 4);
    Py_END_ALLOW_THREADS if (!packet) return raise(packet.error());
    if (packet->fds.size() != 4) return raise(tach::base::protocol_error("the supervisor sent no descriptors"));
    return Py_BuildValue("(iiii)", packet->fds[0].release(), packet->fds[1].release(), packet->fds[2].release(),
                         packet->fds[3].release());
}

PyObject* adopt(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.adopt();
    Py_RETURN_NONE;
}

PyObject* is_producer(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    return PyBool_FromLong(line->channel.is_producer() ? 1 : 0);
}

// SIGKILL for this process when its parent ends. The parent may have ended before the call: then it is too late to
// hear.
PyObject* die_with_parent(PyObject*, PyObject* args) {
    int parent = 0;
    if (PyArg_ParseTuple(args, "i", &parent) == 0) return nullptr;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::raise(SIGKILL);
    Py_RETURN_NONE;
}

PyObject* begin(PyObject*, PyObject* args) {
    unsigned int item = 0;
    unsigned int mode = 0;
    if (PyArg_ParseTuple(args, "II", &item, &mode) == 0 || !attached()) return nullptr;
    tach::shm::RunRecord& record = line->channel.record();
    record.phase.store(0, std::memory_order_relaxed);
    record.mode.store(mode, std::memory_order_relaxed);
    record.started_ns.store(tach::base::monotonic_ns(), std::memory_order_relaxed);
    record.top_pid.store(::getpid(), std::memory_order_relaxed);
    record.serial.fetch_add(1, std::memory_order_relaxed);
    tach::zygote::tell_oracle(item);
    line->channel.verdict().begun.store(item + 1, std::memory_order_relaxed);
    record.item.store(item, std::memory_order_release);  // with the supervisor's acquire: the rest belongs to this item
    Py_RETURN_NONE;
}

PyObject* end(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.verdict().ended_ns.store(tach::base::monotonic_ns(), std::memory_order_relaxed);
    line->channel.record().item.store(tach::shm::kNoItem, std::memory_order_release);
    Py_RETURN_NONE;
}

PyObject* mark_end(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.verdict().ended_ns.store(tach::base::monotonic_ns(), std::memory_order_relaxed);
    Py_RETURN_NONE;
}

PyObject* set_phase(PyObject*, PyObject* args) {
    unsigned int phase = 0;
    if (PyArg_ParseTuple(args, "I", &phase) == 0 || !attached()) return nullptr;
    line->channel.record().phase.store(phase, std::memory_order_relaxed);
    Py_RETURN_NONE;
}

PyObject* current_item(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    return PyLong_FromUnsignedLong(line->channel.record().item.load(std::memory_order_acquire));
}

PyObject* last_item(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    const std::uint32_t begun = line->channel.verdict().begun.load(std::memory_order_relaxed);
    return PyLong_FromUnsignedLong(begun == 0 ? tach::shm::kNoItem : begun - 1);
}

PyObject* began_ns(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    return PyLong_FromLongLong(line->channel.record().started_ns.load(std::memory_order_relaxed));
}

PyObject* ended_ns(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    return PyLong_FromLongLong(line->channel.verdict().ended_ns.load(std::memory_order_relaxed));
}

PyObject* keep(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.verdict().kept_pid.store(::getpid(), std::memory_order_relaxed);
    Py_RETURN_NONE;
}

PyObject* keep_all(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.verdict().kept_pid.store(tach::shm::kAllKept, std::memory_order_relaxed);
    Py_RETURN_NONE;
}

PyObject* kept_by(PyObject*, PyObject* args) {
    int pid = 0;
    if (PyArg_ParseTuple(args, "i", &pid) == 0 || !attached()) return nullptr;
    const int kept = line->channel.verdict().kept_pid.load(std::memory_order_relaxed);
    return PyBool_FromLong(kept == pid || kept == tach::shm::kAllKept ? 1 : 0);
}

PyObject* leave_verdict(PyObject*, PyObject* args) {
    int interrupted = 0;
    if (PyArg_ParseTuple(args, "p", &interrupted) == 0 || !attached()) return nullptr;
    tach::shm::Verdict& verdict = line->channel.verdict();
    verdict.interrupted.store(interrupted != 0 ? 1 : 0, std::memory_order_relaxed);
    verdict.done_pid.store(::getpid(), std::memory_order_relaxed);
    Py_RETURN_NONE;
}

// (whether `pid` ended on purpose, whether it asks for the session's end). The parent has waited for it, which orders
// all it wrote before this.
PyObject* take_verdict(PyObject*, PyObject* args) {
    int pid = 0;
    if (PyArg_ParseTuple(args, "i", &pid) == 0 || !attached()) return nullptr;
    tach::shm::Verdict& verdict = line->channel.verdict();
    const bool done = verdict.done_pid.load(std::memory_order_relaxed) == pid;
    const bool interrupted = done && verdict.interrupted.load(std::memory_order_relaxed) != 0;
    return Py_BuildValue("(OO)", done ? Py_True : Py_False, interrupted ? Py_True : Py_False);
}

PyObject* may_run(PyObject*, PyObject* args) {
    unsigned int item = 0;
    if (PyArg_ParseTuple(args, "I", &item) == 0 || !attached()) return nullptr;
    const std::uint32_t limit = line->channel.orders().limit.load(std::memory_order_relaxed);
    return PyBool_FromLong(limit == 0 || item + 1 < limit ? 1 : 0);
}

PyObject* count_failure(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    line->channel.record().failures.fetch_add(1, std::memory_order_relaxed);
    Py_RETURN_NONE;
}

PyObject* failures(PyObject*, PyObject*) {
    if (!attached()) return nullptr;
    const std::uint32_t own = line->channel.record().failures.load(std::memory_order_relaxed);
    return PyLong_FromUnsignedLong(own + line->channel.orders().failures.load(std::memory_order_relaxed));
}

// Sleeps until the supervisor has answered a kTerminal with this ticket; whether it lends the terminal. Not by a
// message: a rewind would forget what was received, but not that it was.
PyObject* await_terminal(PyObject*, PyObject* args) {
    long long ticket = 0;  // NOLINT(google-runtime-int): PyArg_ParseTuple's "L"
    if (PyArg_ParseTuple(args, "L", &ticket) == 0 || !attached()) return nullptr;
    constexpr std::int64_t kStepNs = 5 * tach::base::kNsPerMs;  // nobody types so fast
    while (true) {
        const std::int64_t answered = line->channel.orders().terminal.load(std::memory_order_relaxed);
        if (answered == ticket || answered == -ticket) return PyBool_FromLong(answered == ticket ? 1 : 0);
        Py_BEGIN_ALLOW_THREADS tach::base::sleep_ns(kStepNs);
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() != 0) return nullptr;
    }
}

PyObject* monotonic_ns(PyObject*, PyObject*) {
    return PyLong_FromLongLong(tach::base::monotonic_ns());
}

// Moves a descriptor to a high number; the old one is closed.
PyObject* raise_descriptor(PyObject*, PyObject* args) {
    int fd = -1;
    if (PyArg_ParseTuple(args, "i", &fd) == 0) return nullptr;
    UniqueFd low(fd);
    auto high = low.duplicate(tach::zygote::lowest_harness_descriptor());
    if (!high && high.error().code == EINVAL) high = std::move(low);
    if (!high) return raise(high.error());
    return PyLong_FromLong(high->release());
}

// Moves a descriptor to where the guard does not look, whatever the limit of open files; the old one is closed.
PyObject* hide_descriptor(PyObject*, PyObject* args) {
    int fd = -1;
    if (PyArg_ParseTuple(args, "i", &fd) == 0) return nullptr;
    const UniqueFd low(fd);
    auto high = low.duplicate(tach::zygote::lowest_own_descriptor());
    if (!high) return raise(high.error());
    return PyLong_FromLong(high->release());
}

PyObject* guard_mark(PyObject*, PyObject*) {
    guard_state.mark();
    Py_RETURN_NONE;
}

PyObject* guard_findings(PyObject*, PyObject*) {
    PyObject* list = PyList_New(0);
    if (list == nullptr) return nullptr;
    for (const tach::zygote::Finding& finding : guard_state.findings()) {
        // A file's name need not be UTF-8. "N" takes the reference, a null one is an error of the whole.
        PyObject* detail = PyUnicode_DecodeFSDefault(finding.detail.c_str());
        PyObject* pair = Py_BuildValue("(sN)", finding.kind.c_str(), detail);
        const bool added = pair != nullptr && PyList_Append(list, pair) == 0;
        Py_XDECREF(pair);
        if (!added) {
            Py_DECREF(list);
            return nullptr;
        }
    }
    return list;
}

PyObject* offsets_save(PyObject*, PyObject*) {
    guard_state.save_offsets();
    Py_RETURN_NONE;
}

PyObject* offsets_restore(PyObject*, PyObject*) {
    guard_state.restore_offsets();
    Py_RETURN_NONE;
}

PyObject* writable_files(PyObject*, PyObject*) {
    const auto files = tach::zygote::Guard::writable_files();
    PyObject* result = PyTuple_New(static_cast<Py_ssize_t>(files.size()));
    for (std::size_t i = 0; result != nullptr && i < files.size(); ++i) {
        const auto device = static_cast<unsigned long long>(files[i].device);
        const auto inode = static_cast<unsigned long long>(files[i].inode);
        PyObject* entry = Py_BuildValue("(iKK)", files[i].fd, device, inode);
        if (entry == nullptr)
            Py_CLEAR(result);
        else
            PyTuple_SetItem(result, static_cast<Py_ssize_t>(i), entry);
    }
    return result;
}

PyObject* unshare_read_only_files(PyObject*, PyObject*) {
    tach::zygote::Guard::unshare_read_only_files();
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"attach", attach, METH_VARARGS, nullptr},
    {"send", send, METH_VARARGS, nullptr},
    {"hello", hello, METH_VARARGS, nullptr},
    {"receive", receive, METH_VARARGS, nullptr},
    {"receive_fds", receive_fds, METH_NOARGS, nullptr},
    {"adopt", adopt, METH_NOARGS, nullptr},
    {"is_producer", is_producer, METH_NOARGS, nullptr},
    {"die_with_parent", die_with_parent, METH_VARARGS, nullptr},
    {"begin", begin, METH_VARARGS, nullptr},
    {"end", end, METH_NOARGS, nullptr},
    {"mark_end", mark_end, METH_NOARGS, nullptr},
    {"set_phase", set_phase, METH_VARARGS, nullptr},
    {"current_item", current_item, METH_NOARGS, nullptr},
    {"last_item", last_item, METH_NOARGS, nullptr},
    {"began_ns", began_ns, METH_NOARGS, nullptr},
    {"ended_ns", ended_ns, METH_NOARGS, nullptr},
    {"keep", keep, METH_NOARGS, nullptr},
    {"keep_all", keep_all, METH_NOARGS, nullptr},
    {"kept_by", kept_by, METH_VARARGS, nullptr},
    {"leave_verdict", leave_verdict, METH_VARARGS, nullptr},
    {"take_verdict", take_verdict, METH_VARARGS, nullptr},
    {"may_run", may_run, METH_VARARGS, nullptr},
    {"count_failure", count_failure, METH_NOARGS, nullptr},
    {"failures", failures, METH_NOARGS, nullptr},
    {"await_terminal", await_terminal, METH_VARARGS, nullptr},
    {"monotonic_ns", monotonic_ns, METH_NOARGS, nullptr},
    {"raise_descriptor", raise_descriptor, METH_VARARGS, nullptr},
    {"hide_descriptor", hide_descriptor, METH_VARARGS, nullptr},
    {"guard_mark", guard_mark, METH_NOARGS, nullptr},
    {"guard_findings", guard_findings, METH_NOARGS, nullptr},
    {"offsets_save", offsets_save, METH_NOARGS, nullptr},
    {"offsets_restore", offsets_restore, METH_NOARGS, nullptr},
    {"writable_files", writable_files, METH_NOARGS, nullptr},
    {"unshare_read_only_files", unshare_read_only_files, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

struct Constant {
    const char* name;
    std::uint32_t value;
};

using tach::shm::Kind;
using tach::shm::Mode;
using tach::shm::Phase;
using tach::shm::Role;
using tach::shm::Stage;

template <class Enum>
constexpr Constant constant(const char* name, Enum value) {
    return {name, static_cast<std::uint32_t>(value)};
}

constexpr Constant kConstants[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays)
    {"NO_ITEM", tach::shm::kNoItem},
    {"STACK_SIGNAL", static_cast<std::uint32_t>(tach::shm::kStackSignal)},
    {"NO_BASE", tach::shm::kNoItem},
    constant("KIND_FORK_CONTROLLER", Kind::kForkController),
    constant("KIND_FORK_WORKER", Kind::kForkWorker),
    constant("KIND_FORK_BASE", Kind::kForkBase),
    constant("KIND_REAP", Kind::kReap),
    constant("KIND_FINISH", Kind::kFinish),
    constant("KIND_RESUME", Kind::kResume),
    constant("KIND_MODULES", Kind::kModules),
    constant("KIND_LATE", Kind::kLate),
    constant("KIND_GO_SOLO", Kind::kGoSolo),
    constant("KIND_BECOME_LIVE", Kind::kBecomeLive),
    constant("KIND_RUN", Kind::kRun),
    constant("KIND_END", Kind::kEnd),
    constant("KIND_CRASH", Kind::kCrash),
    constant("KIND_OUTPUT", Kind::kOutput),
    constant("KIND_PROBLEM", Kind::kProblem),
    constant("KIND_REAPED", Kind::kReaped),
    constant("KIND_BASE_READY", Kind::kBaseReady),
    constant("KIND_ITEM", Kind::kItem),
    constant("KIND_COLLECTED", Kind::kCollected),
    constant("KIND_SOLO", Kind::kSolo),
    constant("KIND_MODULE_FILES", Kind::kModuleFiles),
    constant("KIND_GIVING_UP", Kind::kGivingUp),
    constant("KIND_COLLECT_COUNTS", Kind::kCollectCounts),
    constant("KIND_ROOT", Kind::kRoot),
    constant("KIND_LOADED", Kind::kLoaded),
    constant("KIND_WITNESS", Kind::kWitness),
    constant("KIND_STARTED", Kind::kStarted),
    constant("KIND_LOG_START", Kind::kLogStart),
    constant("KIND_REPORT", Kind::kReport),
    constant("KIND_WARNING", Kind::kWarning),
    constant("KIND_LOG_FINISH", Kind::kLogFinish),
    constant("KIND_AMEND", Kind::kAmend),
    constant("KIND_DONE", Kind::kDone),
    constant("KIND_CRASHED", Kind::kCrashed),
    constant("KIND_EXIT", Kind::kExit),
    constant("KIND_RUN_DONE", Kind::kRunDone),
    constant("KIND_RETIRED", Kind::kRetired),
    constant("KIND_DIFFERENCE", Kind::kDifference),
    constant("KIND_EXPLAINED", Kind::kExplained),
    constant("KIND_JUDGED", Kind::kJudged),
    constant("KIND_CATEGORIES", Kind::kCategories),
    constant("KIND_LIVE", Kind::kLive),
    constant("KIND_TERMINAL", Kind::kTerminal),
    constant("KIND_GATHERS", Kind::kGathers),
    constant("KIND_UNRAISED", Kind::kUnraised),
    constant("KIND_IMPORTED", Kind::kImported),
    constant("ROLE_ZYGOTE", Role::kZygote),
    constant("ROLE_CONTROLLER", Role::kController),
    constant("ROLE_BASE", Role::kBase),
    constant("ROLE_WORKER", Role::kWorker),
    constant("STAGE_HEADER", Stage::kHeader),
    constant("STAGE_PROGRESS", Stage::kProgress),
    constant("STAGE_SUMMARY", Stage::kSummary),
    constant("PHASE_SETUP", Phase::kSetup),
    constant("PHASE_CALL", Phase::kCall),
    constant("PHASE_TEARDOWN", Phase::kTeardown),
    constant("PHASE_FILL", Phase::kFill),
    constant("PHASE_POP", Phase::kPop),
    constant("MODE_SNAPSHOT", Mode::kSnapshot),
    constant("MODE_FORK", Mode::kFork),
    constant("MODE_SHARED", Mode::kShared),
    constant("END_COMPLETE", tach::shm::EndReason::kComplete),
    constant("END_INTERRUPTED", tach::shm::EndReason::kInterrupted),
    constant("END_ABANDONED", tach::shm::EndReason::kAbandoned),
    constant("SNAPSHOT_PUSHED", tach::zygote::Rewinder::Return::kPushed),
    constant("SNAPSHOT_CAME_BACK", tach::zygote::Rewinder::Return::kCameBack),
    {"RUN_SHARED", tach::shm::kRunShared},
    {"RUN_RERUN", tach::shm::kRunRerun},
    {"ITEM_DYNAMIC", tach::shm::kItemDynamic},
    {"ITEM_NO_RERUN", tach::shm::kItemNoRerun},
    {"ITEM_OWN_WORKER", tach::shm::kItemOwnWorker},
    {"ITEM_ORDERED", tach::shm::kItemOrdered},
    {"REPORT_FAILED", tach::shm::kReportFailed},
    {"REPORT_SKIPPED", tach::shm::kReportSkipped},
    {"REPORT_XFAIL", tach::shm::kReportXfail},
    {"REPORT_BY_MARK", tach::shm::kReportByMark},
    {"REPORT_STRICT", tach::shm::kReportStrict},
    {"REPORT_SUPERSEDES", tach::shm::kReportSupersedes},
    {"DONE_KEPT", tach::shm::kDoneKept},
    {"DONE_SHOULD_STOP", tach::shm::kDoneShouldStop},
    {"DONE_CONDEMNED", tach::shm::kDoneCondemned},
    {"DONE_HELD", tach::shm::kDoneHeld},
    {"DONE_WARMED", tach::shm::kDoneWarmed},
};

PyModuleDef definition{PyModuleDef_HEAD_INIT, "_tach", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__tach() {  // NOLINT(readability-identifier-naming): CPython looks for this name
    PyObject* module = PyModule_Create(&definition);
    if (module == nullptr) return nullptr;
    if (PyModule_AddStringConstant(module, "VERSION", TACH_VERSION) != 0 ||
        PyModule_AddFunctions(module, tach::zygote::import_functions()) != 0 ||
        PyModule_AddFunctions(module, tach::zygote::snapshot_functions()) != 0 ||
        PyModule_AddFunctions(module, tach::zygote::recursion_functions()) != 0 ||
        PyModule_AddFunctions(module, tach::zygote::seen_functions()) != 0 ||
        PyModule_AddFunctions(module, tach::zygote::watch_functions()) != 0) {
        Py_DECREF(module);
        return nullptr;
    }
    tach::zygote::Guard::mark_standard_streams();  // nothing is captured yet
    for (const Constant& entry : kConstants) {
        PyObject* value = PyLong_FromUnsignedLong(entry.value);
        const bool added = value != nullptr && PyObject_SetAttrString(module, entry.name, value) == 0;
        Py_XDECREF(value);
        if (!added) {
            Py_DECREF(module);
            return nullptr;
        }
    }
    return module;
}
