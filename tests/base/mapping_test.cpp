// Mappings.

#include "base/mapping.h"

#include <fstream>
#include <string>

#include "base/memfd.h"
#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;

namespace {

// Whether /proc/self/maps has a mapping that starts here.
bool is_mapped(const void* address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (std::stoull(line, nullptr, 16) == reinterpret_cast<std::uintptr_t>(address)) return true;
    }
    return false;
}

base::Mapping map_new(std::size_t size) {
    const auto fd = base::create_sealed_memfd("test", size);
    REQUIRE(fd);
    auto mapping = base::Mapping::of(fd->get(), size, base::Access::kReadWrite);
    REQUIRE(mapping);
    return std::move(*mapping);
}

}  // namespace

TEST_CASE("two mappings of one memfd show the same bytes, and outlive the descriptor") {
    base::Mapping first;
    base::Mapping second;
    {
        const auto fd = base::create_sealed_memfd("test", 4096);
        REQUIRE(fd);
        first = base::Mapping::of(fd->get(), 4096, base::Access::kReadWrite).value();
        second = base::Mapping::of(fd->get(), 4096, base::Access::kRead).value();
    }
    first.data()[17] = std::byte{42};
    CHECK(second.data()[17] == std::byte{42});
    CHECK(second.size() == 4096);
}

TEST_CASE("a moved mapping is unmapped once, and assignment unmaps the old one") {
    // Neighbouring mappings of different files stay separate lines in /proc/self/maps.
    base::Mapping first = map_new(4096);
    base::Mapping second = map_new(8192);
    std::byte* const one = first.data();
    std::byte* const two = second.data();
    REQUIRE(is_mapped(one));
    first = std::move(second);
    CHECK_FALSE(is_mapped(one));
    CHECK(first.data() == two);
    {
        const base::Mapping third = std::move(first);
        CHECK(third.data() == two);
        CHECK(is_mapped(two));
    }
    CHECK_FALSE(is_mapped(two));
}

TEST_CASE("what cannot be mapped is an error, not an exception") {
    const auto closed = base::Mapping::of(-1, 4096, base::Access::kRead);
    REQUIRE_FALSE(closed);
    CHECK(closed.error().code == EBADF);
    const auto fd = base::create_sealed_memfd("test", 4096);
    REQUIRE(fd);
    CHECK_FALSE(base::Mapping::of(fd->get(), 0, base::Access::kRead));
}

TEST_CASE("a wiped page keeps its bytes here and is zero in a forked child") {
    auto page = base::WipedPage::create();
    REQUIRE(page);
    page->data()[5] = std::byte{9};
    const pid_t child = tests::fork_child([&] { return std::to_integer<int>(page->data()[5]); });
    CHECK(tests::end_of(child) == 0);
    CHECK(page->data()[5] == std::byte{9});
    base::WipedPage moved = std::move(*page);
    CHECK(moved.data()[5] == std::byte{9});
    CHECK(page->data() == nullptr);
}
