#include "shm/producer_mark.h"

#include <utility>

namespace tach::shm {

namespace {

constexpr std::byte kMarked{1};

}  // namespace

base::Result<ProducerMark> ProducerMark::create() {
    auto page = base::WipedPage::create();
    if (!page) return base::fail(std::move(page.error()));
    ProducerMark mark(std::move(*page));
    mark.adopt();
    return mark;
}

bool ProducerMark::is_producer() const {
    return *page_.data() == kMarked;
}

void ProducerMark::adopt() {
    *page_.data() = kMarked;
}

}  // namespace tach::shm
