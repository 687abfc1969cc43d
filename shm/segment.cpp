#include "shm/segment.h"

#include <new>
#include <utility>

#include "base/memfd.h"

namespace tach::shm {

namespace {

base::Result<void> check_header(const SegmentHeader& header) {
    if (header.magic != kSegmentMagic) return base::fail(base::protocol_error("segment: not one of tach's"));
    if (header.version != kSegmentVersion) {
        return base::fail(base::protocol_error("segment: version " + std::to_string(header.version) +
                                               " where this tach speaks " + std::to_string(kSegmentVersion)));
    }
    if (header.segment_bytes != kSegmentBytes || header.ring_bytes != kRingBytes ||
        header.command_offset != kCommandOffset || header.event_offset != kEventOffset) {
        return base::fail(base::protocol_error("segment: unexpected geometry"));
    }
    return {};
}

}  // namespace

base::Result<Segment> Segment::create() {
    auto fd = base::create_sealed_memfd("tach-channel", kSegmentBytes);
    if (!fd) return base::fail(std::move(fd.error()));
    auto mapping = base::Mapping::of(fd->get(), kSegmentBytes, base::Access::kReadWrite);
    if (!mapping) return base::fail(std::move(mapping.error()));
    auto* header = new (mapping->data()) SegmentHeader{
        .version = kSegmentVersion,
        .magic = kSegmentMagic,
        .segment_bytes = kSegmentBytes,
        .ring_bytes = kRingBytes,
        .command_offset = kCommandOffset,
        .event_offset = kEventOffset,
        .record = {},
        .verdict = {},
    };
    header->record.item.store(kNoItem, std::memory_order_relaxed);
    new (mapping->data() + kCommandOffset) RingControl{};
    new (mapping->data() + kEventOffset) RingControl{};
    return Segment(std::move(*fd), std::move(*mapping));
}

base::Result<Segment> Segment::attach(base::UniqueFd fd) {
    auto checked = base::check_sealed_memfd(fd.get(), kSegmentBytes);
    if (!checked) return base::fail(std::move(checked.error()));
    auto mapping = base::Mapping::of(fd.get(), kSegmentBytes, base::Access::kReadWrite);
    if (!mapping) return base::fail(std::move(mapping.error()));
    Segment segment(std::move(fd), std::move(*mapping));
    checked = check_header(segment.header());
    if (!checked) return base::fail(std::move(checked.error()));
    return segment;
}

SegmentHeader& Segment::header() const {
    return *std::launder(reinterpret_cast<SegmentHeader*>(mapping_.data()));
}

RingMemory Segment::ring_at(std::uint32_t offset) const {
    auto* control = std::launder(reinterpret_cast<RingControl*>(mapping_.data() + offset));
    return {control, mapping_.bytes().subspan(offset + kSegmentPage, kRingBytes)};
}

}  // namespace tach::shm
