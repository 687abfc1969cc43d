#include "zygote/image_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <new>
#include <string_view>

#include "zygote/descriptors.h"
#include "zygote/private_memory.h"

namespace tach::zygote {

using base::Address;
using base::kPageSize;

namespace {

// At the end of PrivateMemory's home, whose pieces grow from its begin: the stack that the frozen process sleeps on,
// and a page that has no other use than to be shared with every copy that is forked of us.
constexpr std::size_t kStackBytes = std::size_t{16} << 10;
constexpr base::AddressRange kStack{kPrivateHome.end - kStackBytes, kPrivateHome.end};
constexpr Address kCanary = kStack.begin - kPageSize;

struct Orders {
    pid_t original;
    int ready;  // a byte is written there
};

// The frozen process: sleeps until the original has ended. It must not keep files open that a test waits to be closed.
int sleep_frozen(void* argument) {
    const Orders orders = *static_cast<Orders*>(argument);
    const auto original = static_cast<int>(::syscall(SYS_pidfd_open, orders.original, 0));
    if (original < 0) ::_exit(1);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::prctl(PR_SET_NAME, "tach-image", 0, 0, 0);
    ::prctl(PR_SET_PTRACER, orders.original, 0, 0, 0);  // EINVAL without Yama, where nobody asks
    static_cast<void>(::write(orders.ready, "", 1));
    if (original > 0) ::syscall(SYS_close_range, 0U, static_cast<unsigned>(original) - 1, 0U);
    ::syscall(SYS_close_range, static_cast<unsigned>(original) + 1, ~0U, 0U);
    pollfd ended{.fd = original, .events = POLLIN, .revents = 0};
    while (::poll(&ended, 1, -1) < 0) continue;
    ::_exit(0);
}

bool map_stack_and_canary() {
    void* const wanted = base::pointer_to(kCanary);
    void* const got = ::mmap(wanted, kStack.end - kCanary, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return got == wanted || (got == MAP_FAILED && errno == EEXIST);  // a parent's, before the fork
}

// /proc/PID/NAME
base::Result<base::UniqueFd> open_of(pid_t pid, std::string_view name) {
    std::array<char, 48> path{};
    constexpr std::string_view kBefore = "/proc/";
    char* at = std::copy(kBefore.begin(), kBefore.end(), path.data());
    at = std::to_chars(at, path.data() + path.size(), pid).ptr;
    *at++ = '/';
    std::copy(name.begin(), name.end(), at);
    base::UniqueFd fd(::open(path.data(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return base::fail(base::errno_error("/proc of the image"));
    return fd.duplicate(lowest_own_descriptor());
}

}  // namespace

base::Result<ImageProcess> ImageProcess::freeze(bool with_sharing) {
    std::optional<base::PageSharing> sharing;
    if (with_sharing) {
        auto created = base::PageSharing::create(lowest_own_descriptor());
        if (!created) return base::fail(created.error());
        sharing = *std::move(created);
    }
    if (!map_stack_and_canary()) return base::fail(base::errno_error("memory for the image's stack"));
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::fail(base::errno_error("pipe"));
    const base::UniqueFd reading(ends[0]);
    base::UniqueFd writing(ends[1]);
    // Below the stack, since the caller's own may be memory that is not copied.
    auto* const orders = new (base::pointer_to(kStack.begin)) Orders{::getpid(), writing.get()};
    const int image = ::clone(sleep_frozen, base::pointer_to(kStack.end), CLONE_PARENT | SIGCHLD, orders);
    if (image < 0) return base::fail(base::errno_error("fork the image"));
    *base::pointer_to(kCanary) = std::byte{1};  // ours alone from here on
    writing.reset();
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) return base::fail(base::errno_error("the image's process", ECHILD));
    auto memory = open_of(image, "mem");
    auto pagemap = open_of(image, "pagemap");
    if (!memory || !pagemap) {
        ::kill(image, SIGKILL);
        return base::fail(memory ? pagemap.error() : memory.error());
    }
    return ImageProcess(*std::move(memory), *std::move(pagemap), std::move(sharing));
}

bool ImageProcess::fetch(Address page, std::byte* into) const {
    return ::pread(memory_.get(), into, kPageSize, static_cast<off_t>(page)) == static_cast<ssize_t>(kPageSize);
}

bool ImageProcess::is_alive() const {
    char byte = 0;
    return ::pread(memory_.get(), &byte, 1, static_cast<off_t>(kCanary)) == 1 && (!sharing_ || sharing_->is_open());
}

bool ImageProcess::has_rival() const {
    // A page that is swapped out tells nothing and counts as shared: reading it brings it back.
    static_cast<void>(*static_cast<const volatile std::byte*>(base::pointer_to(kCanary)));
    const auto shared = sharing_->is_shared(kCanary);
    return !shared || *shared;
}

}  // namespace tach::zygote
