// Descriptors: UniqueFd, memfds, eventfds, pidfds.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/eventfd.h"
#include "base/memfd.h"
#include "base/pidfd.h"
#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using tests::end_of;
using tests::fork_child;

namespace {

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

base::UniqueFd open_null() {
    return base::UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

}  // namespace

TEST_CASE("a descriptor is closed by its owner's end, and errno survives it") {
    int number = -1;
    {
        const base::UniqueFd fd = open_null();
        number = fd.get();
        REQUIRE(is_open(number));
        errno = EXDEV;
    }
    CHECK(errno == EXDEV);
    CHECK_FALSE(is_open(number));
}

TEST_CASE("moving a descriptor moves the duty to close it, and assignment closes the old one") {
    base::UniqueFd first = open_null();
    base::UniqueFd second = open_null();
    const int one = first.get();
    const int two = second.get();
    first = std::move(second);
    CHECK_FALSE(is_open(one));
    CHECK(first.get() == two);
    CHECK(is_open(two));
    const base::UniqueFd third = std::move(first);
    CHECK(third.get() == two);
}

TEST_CASE("a released descriptor stays open") {
    base::UniqueFd fd = open_null();
    const int number = fd.release();
    CHECK_FALSE(fd.valid());
    CHECK(is_open(number));
    ::close(number);
}

TEST_CASE("a duplicate is close-on-exec and honours the lowest number") {
    const base::UniqueFd fd = open_null();
    const auto copy = fd.duplicate(300);
    REQUIRE(copy);
    CHECK(copy->get() >= 300);
    CHECK((::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("an error names its subject and the reason") {
    const auto copy = base::UniqueFd().duplicate();
    REQUIRE_FALSE(copy);
    CHECK(copy.error().code == EBADF);
    CHECK(copy.error().what == "duplicate descriptor -1: Bad file descriptor");
}

TEST_CASE("a sealed memfd keeps its size for ever") {
    const auto fd = base::create_sealed_memfd("test", 8192);
    REQUIRE(fd);
    CHECK(base::check_sealed_memfd(fd->get(), 8192));
    CHECK(::ftruncate(fd->get(), 0) == -1);
    CHECK(::ftruncate(fd->get(), 16384) == -1);
    CHECK(::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
    CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a memfd of another size, an unsealed one and another kind of file are refused") {
    const auto sealed = base::create_sealed_memfd("test", 8192);
    REQUIRE(sealed);
    CHECK_FALSE(base::check_sealed_memfd(sealed->get(), 4096));
    const base::UniqueFd open(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::ftruncate(open.get(), 4096) == 0);
    const auto unsealed = base::check_sealed_memfd(open.get(), 4096);
    REQUIRE_FALSE(unsealed);
    CHECK(unsealed.error().code == EPROTO);
    CHECK_FALSE(base::check_sealed_memfd(open_null().get(), 0));
    CHECK_FALSE(base::check_sealed_memfd(-1, 0));
}

TEST_CASE("an eventfd is readable from its signal to its drain") {
    const auto fd = base::create_eventfd();
    REQUIRE(fd);
    CHECK(base::wait_readable(fd->get(), 0) == base::Waited::kTimeout);
    base::signal_eventfd(fd->get());
    base::signal_eventfd(fd->get());
    CHECK(base::wait_readable(fd->get(), -1) == base::Waited::kReadable);
    base::drain_eventfd(fd->get());
    CHECK(base::wait_readable(fd->get(), 0) == base::Waited::kTimeout);
    base::drain_eventfd(fd->get());  // does not block
}

TEST_CASE("an eventfd at its maximum takes another signal without blocking") {
    const auto fd = base::create_eventfd();
    REQUIRE(fd);
    const std::uint64_t most = 0xfffffffffffffffe;
    REQUIRE(::write(fd->get(), &most, sizeof(most)) == sizeof(most));
    base::signal_eventfd(fd->get());
    CHECK(base::wait_readable(fd->get(), 0) == base::Waited::kReadable);
}

TEST_CASE("waiting on a closed descriptor says that it is lost") {
    CHECK(base::wait_readable(tests::lowest_free_fd(), 1000) == base::Waited::kLost);
}

TEST_CASE("only an eventfd passes for one") {
    const auto fd = base::create_eventfd();
    REQUIRE(fd);
    CHECK(base::check_eventfd(fd->get()));
    CHECK(base::looks_like_eventfd(fd->get()));
    CHECK_FALSE(base::check_eventfd(open_null().get()));
    CHECK_FALSE(base::looks_like_eventfd(open_null().get()));
    CHECK_FALSE(base::check_eventfd(-1));
    CHECK_FALSE(base::looks_like_eventfd(-1));
    const auto pidfd = base::open_pidfd(::getpid());
    REQUIRE(pidfd);
    CHECK_FALSE(base::check_eventfd(pidfd->get()));
}

TEST_CASE("a pidfd tells its process, kills it, and is readable when it has ended") {
    const pid_t child = fork_child([] {
        ::pause();
        return 0;
    });
    const auto pidfd = base::open_pidfd(child);
    REQUIRE(pidfd);
    CHECK(base::pidfd_pid(pidfd->get()).value() == child);
    CHECK(base::wait_readable(pidfd->get(), 0) == base::Waited::kTimeout);
    CHECK(base::send_signal(pidfd->get(), SIGUSR1));
    CHECK(base::wait_readable(pidfd->get(), 5000) == base::Waited::kReadable);
    CHECK(end_of(child) == -SIGUSR1);
    const auto late = base::send_signal(pidfd->get(), SIGUSR1);
    REQUIRE_FALSE(late);
    CHECK(late.error().code == ESRCH);
    CHECK(base::pidfd_pid(pidfd->get()).value() == -1);
    const auto gone = base::open_pidfd(child);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == ESRCH);
}

TEST_CASE("another kind of descriptor does not pass for a pidfd") {
    CHECK_FALSE(base::pidfd_pid(open_null().get()));
    CHECK_FALSE(base::pidfd_pid(-1));
}

TEST_CASE("the clock runs and a sleep takes its time") {
    const std::int64_t start = base::monotonic_ns();
    base::sleep_ns(2 * base::kNsPerMs);
    CHECK(base::monotonic_ns() - start >= 2 * base::kNsPerMs);
}
