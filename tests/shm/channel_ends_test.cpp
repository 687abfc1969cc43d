// The two ends of a channel as things in a process: where their descriptors are and who closes them, who wakes whom,
// and what a test in the same process can do to them.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/eventfd.h"
#include "base/fd_info.h"
#include "base/mapping.h"
#include "base/unique_fd.h"
#include "shm/channel.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/owned_child.h"

using namespace tach;
using base::UniqueFd;
using shm::Channel;
using shm::Kind;
using shm::Sent;
using shm::Side;
using tests::end_of;
using tests::eventually;
using tests::fork_child;
using tests::OwnedChild;

namespace {

struct Ends {
    Channel supervisor;
    Channel process;
};

Ends make_ends() {
    auto supervisor = Channel::create();
    REQUIRE(supervisor);
    auto process = Channel::attach(supervisor->share().value(), Side::kProcess);
    REQUIRE(process);
    return {std::move(*supervisor), std::move(*process)};
}

shm::MessageHead head_of(Kind kind, std::uint32_t item = 0) {
    return {.kind = static_cast<std::uint16_t>(kind), .item = item};
}

// The segment once more, to see and to set the words that only the ends use.
base::Mapping map_raw(const Channel& channel) {
    const auto fds = channel.share();
    REQUIRE(fds);
    auto mapping = base::Mapping::of(fds->segment.get(), shm::kSegmentBytes, base::Access::kReadWrite);
    REQUIRE(mapping);
    return std::move(*mapping);
}

shm::RingControl& control_at(const base::Mapping& raw, std::size_t offset) {
    return *std::launder(reinterpret_cast<shm::RingControl*>(raw.data() + offset));
}

bool is_readable(int fd) {
    return base::wait_readable(fd, 0) == base::Waited::kReadable;
}

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return std::distance(begin(fds), end(fds));
}

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The number under which the process has the supervisor's eventfd.
int number_of_supervisors_eventfd(const Channel& supervisor) {
    const std::string id = base::fd_info_field(supervisor.wake_fd(), "eventfd-id").value();
    for (int fd = 500; fd < 1000; ++fd) {
        const auto other = base::fd_info_field(fd, "eventfd-id");
        if (other && *other == id) return fd;
    }
    FAIL("the process has no eventfd of the supervisor");
    return -1;
}

// Whether the process sleeps in a system call.
bool is_asleep(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(stat, line);
    const std::size_t name_end = line.rfind(") ");  // see proc(5)
    return name_end != std::string::npos && line.substr(name_end + 2, 1) == "S";
}

void limit_descriptors(rlim_t limit) {
    const rlimit lower{limit, limit};
    if (::setrlimit(RLIMIT_NOFILE, &lower) != 0) ::_exit(99);
}

}  // namespace

// --- descriptors ----------------------------------------------------------------------------------------------------

TEST_CASE("both ends close all their descriptors") {
    const std::ptrdiff_t before = open_descriptors();
    {
        const Ends ends = make_ends();
        CHECK(open_descriptors() == before + 6);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("what is shared is closed on exec") {
    const auto supervisor = Channel::create();
    REQUIRE(supervisor);
    const auto fds = supervisor->share();
    REQUIRE(fds);
    for (const UniqueFd* fd : {&fds->segment, &fds->wake_supervisor, &fds->wake_process}) {
        CHECK(::fcntl(fd->get(), F_GETFD) == FD_CLOEXEC);
    }
}

TEST_CASE("an attach that is refused closes what it was given") {
    const auto supervisor = Channel::create();
    REQUIRE(supervisor);
    const std::ptrdiff_t before = open_descriptors();
    auto fds = supervisor->share().value();
    fds.segment = UniqueFd(::memfd_create("other", MFD_CLOEXEC));
    const auto refused = Channel::attach(std::move(fds), Side::kProcess);
    CHECK_FALSE(refused);
    CHECK(open_descriptors() == before);
}

TEST_CASE("where descriptors may not have high numbers, the process keeps them at low ones") {
    const pid_t child = fork_child([] {
        limit_descriptors(300);
        auto supervisor = Channel::create();
        auto process = Channel::attach(supervisor->share().value(), Side::kProcess);
        if (!process) return 1;
        if (process->wake_fd() >= 300) return 2;
        if (process->send(head_of(Kind::kDone, 5), {}).value() != Sent::kSent) return 3;
        return supervisor->receive().value()->head.item == 5 ? 0 : 4;
    });
    CHECK(end_of(child) == 0);
}

TEST_CASE("a process without a free descriptor cannot attach, and hears why") {
    const pid_t child = fork_child([] {
        auto supervisor = Channel::create();
        auto fds = supervisor->share().value();
        if (::dup2(STDERR_FILENO, 500) != 500) return 1;
        limit_descriptors(501);
        const auto process = Channel::attach(std::move(fds), Side::kProcess);
        return process ? 0 : process.error().code;
    });
    CHECK(end_of(child) == EMFILE);
}

TEST_CASE("an end for a supervisor leaves the descriptors where they are") {
    auto [supervisor, process] = make_ends();
    auto fds = supervisor.share().value();
    const int number = fds.wake_supervisor.get();
    auto second = Channel::attach(std::move(fds), Side::kSupervisor);
    REQUIRE(second);
    CHECK(second->wake_fd() == number);
    REQUIRE(process.send(head_of(Kind::kDone, 6), {}).value() == Sent::kSent);
    CHECK(second->receive().value()->head.item == 6);
}

// --- shared words ---------------------------------------------------------------------------------------------------

TEST_CASE("orders are one memory on both sides, and none at first") {
    const Ends ends = make_ends();
    CHECK(ends.process.orders().limit.load() == 0);
    ends.supervisor.orders().limit.store(7);
    CHECK(ends.process.orders().limit.load() == 7);
}

// --- who is woken ---------------------------------------------------------------------------------------------------

TEST_CASE("a process that does not sleep is not woken, and finds its command by looking") {
    Ends ends = make_ends();
    REQUIRE(ends.process.receive().value() == std::nullopt);
    REQUIRE(ends.supervisor.post(head_of(Kind::kFinish), {}));
    CHECK_FALSE(is_readable(ends.process.wake_fd()));
    CHECK(ends.process.receive().value()->kind() == Kind::kFinish);
}

TEST_CASE("a process that has announced its sleep is woken by the first command, not by the second") {
    Ends ends = make_ends();
    const base::Mapping raw = map_raw(ends.supervisor);
    control_at(raw, shm::kCommandOffset).reader_waiting = 1;
    REQUIRE(ends.supervisor.post(head_of(Kind::kRun), {}));
    CHECK(is_readable(ends.process.wake_fd()));
    base::drain_eventfd(ends.process.wake_fd());
    REQUIRE(ends.supervisor.post(head_of(Kind::kFinish), {}));
    CHECK_FALSE(is_readable(ends.process.wake_fd()));
}

TEST_CASE("events reach the supervisor although a test closed its eventfd, which may be a file of the test's by now") {
    Ends ends = make_ends();
    const int number = number_of_supervisors_eventfd(ends.supervisor);
    const Pipe pipe = make_pipe();
    REQUIRE(ends.supervisor.receive().value() == std::nullopt);  // and sleeps
    REQUIRE(::dup3(pipe.write.get(), number, O_CLOEXEC) == number);
    CHECK(ends.process.send(head_of(Kind::kDone, 8), {}).value() == Sent::kSent);
    CHECK_FALSE(is_readable(pipe.read.get()));
    CHECK(ends.supervisor.receive().value()->head.item == 8);
}

// --- a full ring ----------------------------------------------------------------------------------------------------

TEST_CASE("while commands are queued, the supervisor's try_send refuses, so that nothing overtakes them") {
    Ends ends = make_ends();
    const std::string large(std::size_t{2} * shm::kRingBytes, 'l');
    const std::array<std::string_view, 1> strings{large};
    REQUIRE(ends.supervisor.post(head_of(Kind::kRun, 1), strings));
    REQUIRE(ends.supervisor.has_backlog());
    CHECK(ends.supervisor.try_send(head_of(Kind::kFinish, 2), {}).value() == Sent::kFull);
    std::optional<shm::Message> first;
    while (!first) {
        first = ends.process.receive().value();
        REQUIRE(ends.supervisor.flush_backlog());
    }
    CHECK(first->head.item == 1);
    CHECK(ends.supervisor.try_send(head_of(Kind::kFinish, 2), {}).value() == Sent::kSent);
    CHECK(ends.process.receive().value()->head.item == 2);
}

TEST_CASE("a message larger than the ring gets through although the process's eventfd is a pipe of the test's by now") {
    Ends ends = make_ends();
    const Pipe pipe = make_pipe();
    REQUIRE(::write(pipe.write.get(), "12345678", 8) == 8);
    const std::string large(std::size_t{3} * shm::kRingBytes, 'l');
    const std::array<std::string_view, 1> strings{large};
    OwnedChild process([&] {
        ends.process.adopt();
        ::dup3(pipe.read.get(), ends.process.wake_fd(), O_CLOEXEC);
        return ends.process.send(head_of(Kind::kReport), strings).value() == Sent::kSent ? 0 : 1;
    });
    std::optional<shm::Message> message;
    REQUIRE(eventually([&] {
        message = ends.supervisor.receive().value();
        return message.has_value();
    }));
    CHECK(message->string(0).size() == large.size());
    CHECK(process.end() == 0);
    CHECK(is_readable(pipe.read.get()));  // nobody took its bytes
}

TEST_CASE("a signal handler does not interrupt send") {
    static int handled = -1;  // for the handler
    Ends ends = make_ends();
    const std::string large(std::size_t{2} * shm::kRingBytes, 'l');
    const std::array<std::string_view, 1> strings{large};
    const Pipe pipe = make_pipe();
    OwnedChild process([&] {
        handled = pipe.write.get();
        struct sigaction action {};
        action.sa_handler = [](int) { [[maybe_unused]] const ssize_t count = ::write(handled, "h", 1); };
        ::sigaction(SIGUSR1, &action, nullptr);
        ends.process.adopt();
        return ends.process.send(head_of(Kind::kReport), strings).value() == Sent::kSent ? 0 : 1;
    });
    const base::Mapping raw = map_raw(ends.supervisor);
    const shm::RingControl& events = control_at(raw, shm::kEventOffset);
    REQUIRE(eventually([&] { return events.writer_waiting.load() == 1 && is_asleep(process.pid()); }));
    REQUIRE(::kill(process.pid(), SIGUSR1) == 0);
    REQUIRE(base::wait_readable(pipe.read.get(), tests::kGuardMs) == base::Waited::kReadable);
    REQUIRE(eventually([&] { return is_asleep(process.pid()); }));
    std::optional<shm::Message> message;
    REQUIRE(eventually([&] {
        message = ends.supervisor.receive().value();
        return message.has_value();
    }));
    CHECK(message->string(0).size() == large.size());
    CHECK(process.end() == 0);
}

// --- turns ----------------------------------------------------------------------------------------------------------

TEST_CASE("a child that adopts the channel does not wait for the room that its parent wanted") {
    Ends ends = make_ends();
    std::uint32_t count = 0;
    while (ends.process.try_send(head_of(Kind::kDone), {}).value() == Sent::kSent) ++count;
    for (; count > 0; --count) REQUIRE(ends.supervisor.receive().value());
    const pid_t child = fork_child([&] {
        ends.process.adopt();
        return ends.process.wait(0) ? 1 : 0;  // there is no command
    });
    CHECK(end_of(child) == 0);
    CHECK(ends.process.wait(0));  // for the parent there is room now
}
