#include "base/pagemap_entries.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tach::base {

Result<std::size_t> read_entries(int pagemap, AddressRange range, std::span<std::uint64_t> entries) {
    const std::size_t wanted = std::min(entries.size(), range.pages());
    const auto offset = static_cast<off_t>(range.begin / kPageSize * sizeof(std::uint64_t));
    const ssize_t got = ::pread(pagemap, entries.data(), wanted * sizeof(std::uint64_t), offset);
    if (got <= 0) return fail(errno_error("/proc/self/pagemap", got == 0 ? EIO : errno));
    return static_cast<std::size_t>(got) / sizeof(std::uint64_t);
}

bool RunWriter::add(AddressRange range, std::uint64_t categories) {
    if (!query_.matches(categories)) return true;
    const std::uint64_t told = categories & query_.reported;
    if (count_ > 0 && out_[count_ - 1].end == range.begin && out_[count_ - 1].categories == told) {
        out_[count_ - 1].end = range.end;
        return true;
    }
    if (count_ == out_.size()) return false;
    out_[count_++] = {range.begin, range.end, told};
    return true;
}

}  // namespace tach::base
