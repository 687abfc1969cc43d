#include "base/missing_pages.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/pagemap_entries.h"

namespace tach::base {
namespace {

// Where the build machine's kernel headers may be older than the kernel: UFFD_FEATURE_EXACT_ADDRESS of
// include/uapi/linux/userfaultfd.h. Not for what it does, but because who has it (Linux 5.18) counts the changes of a
// memory map that happen at the same time (mmap_changing, Linux 5.15).
constexpr std::uint64_t kFeatureExactAddress = 1U << 11;

std::uint64_t categories_of(std::uint64_t entry) {
    if ((entry & kEntrySwapped) != 0) return kPageWatched | kPageSwapped | kPageWritten;
    if ((entry & kEntryPresent) == 0) return kPageWatched;
    return kPageWatched | kPagePresent | kPageWritten | ((entry & kEntryOfFile) != 0 ? std::uint64_t{kPageOfFile} : 0);
}

}  // namespace

Result<MissingPages> MissingPages::create(int lowest_fd) {
    UniqueFd userfault(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    if (!userfault.valid()) return fail(errno_error("userfaultfd"));
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
                   UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_THREAD_ID | kFeatureExactAddress;
    if (::ioctl(userfault.get(), UFFDIO_API, &api) != 0) {
        return fail(errno_error("userfaultfd: events (Linux 5.18)", errno == EINVAL ? EOPNOTSUPP : errno));
    }
    auto high = userfault.duplicate(lowest_fd);
    if (!high) return fail(high.error());
    UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap.valid()) return fail(errno_error("/proc/self/pagemap"));
    auto high_pagemap = pagemap.duplicate(lowest_fd);
    if (!high_pagemap) return fail(high_pagemap.error());
    return MissingPages(*std::move(high), *std::move(high_pagemap));
}

bool MissingPages::is_open() const {
    return ::fcntl(userfault_.get(), F_GETFD) >= 0 && ::fcntl(pagemap_.get(), F_GETFD) >= 0;
}

Result<ScanProgress> MissingPages::scan(AddressRange range, const ScanQuery& query, std::span<PageRun> out) const {
    RunWriter writer(query, out);
    const auto reached = add_entries(pagemap_.get(), range, writer, categories_of);
    if (!reached) return fail(reached.error());
    return ScanProgress{writer.count(), *reached};
}

Result<void> MissingPages::serve(AddressRange range) const {
    uffdio_register arguments{};
    arguments.range = {.start = range.begin, .len = range.size()};
    arguments.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (::ioctl(userfault_.get(), UFFDIO_REGISTER, &arguments) != 0) return fail(errno_error("UFFDIO_REGISTER"));
    return {};
}

Result<void> MissingPages::ignore(AddressRange range) const {
    uffdio_range arguments{.start = range.begin, .len = range.size()};
    if (::ioctl(userfault_.get(), UFFDIO_UNREGISTER, &arguments) != 0) return fail(errno_error("UFFDIO_UNREGISTER"));
    return {};
}

}  // namespace tach::base
