// Messages that own their bytes: as made, as copied, as moved, and as sent on.

#include "supervisor/stored_message.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/channel.h"
#include "tests/catch.h"

using namespace tach;
using supervisor::copy_of;
using supervisor::stored_message;

namespace {

using Strings = std::vector<std::string_view>;

const shm::MessageHead kHead{
    .kind = static_cast<std::uint16_t>(shm::Kind::kReport), .item = 3, .a = 1, .b = 2, .t0 = -5, .t1 = 1 << 30};

// Whether every string lies in the message's own bytes.
bool owns_its_strings(const shm::Message& message) {
    const char* begin = reinterpret_cast<const char*>(message.body.data());
    const char* end = begin + message.body.size();
    for (const std::string_view string : message.strings) {
        if (string.data() < begin || string.data() + string.size() > end) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("a stored message has the fields it was given") {
    const shm::Message message = stored_message(kHead, {"pickle"});
    CHECK(message.kind() == shm::Kind::kReport);
    CHECK(message.head.item == 3);
    CHECK(message.head.a == 1);
    CHECK(message.head.b == 2);
    CHECK(message.head.t0 == -5);
    CHECK(message.head.t1 == 1 << 30);
}

TEST_CASE("a stored message outlives the strings it was made from") {
    std::string source = "before";
    const shm::Message message = stored_message(kHead, {source, "second"});
    source = "after!";
    CHECK(message.strings == Strings{"before", "second"});
    CHECK(owns_its_strings(message));
}

TEST_CASE("strings that are empty or hold a NUL are stored as they are, each in its place") {
    const std::string_view nul("a\0b", 3);
    const shm::Message message = stored_message(kHead, {"", nul, "", "end", ""});
    CHECK(message.strings == Strings{"", nul, "", "end", ""});
}

TEST_CASE("a message without strings can be stored") {
    CHECK(stored_message(kHead, {}).strings.empty());
    CHECK(copy_of(stored_message(kHead, {})).strings.empty());
}

TEST_CASE("a stored message that is moved keeps its strings, short ones too") {
    shm::Message message = stored_message(kHead, {"s", "a longer string than fits where small ones may be kept"});
    const shm::Message moved = std::move(message);
    CHECK(moved.strings == Strings{"s", "a longer string than fits where small ones may be kept"});
    CHECK(owns_its_strings(moved));
}

TEST_CASE("a copy outlives the message it was made from") {
    std::optional<shm::Message> original = stored_message(kHead, {"first", "second"});
    const shm::Message copy = copy_of(*original);
    original->body.assign(original->body.size(), std::byte{'x'});
    original.reset();
    CHECK(copy.strings == Strings{"first", "second"});
    CHECK(copy.head.item == 3);
    CHECK(owns_its_strings(copy));
}

TEST_CASE("a copy of a received message is sent on as the message that it was") {
    auto first = shm::Channel::create();
    auto second = shm::Channel::create();
    REQUIRE((first && second));
    auto sender = shm::Channel::attach(first->share().value(), shm::Side::kProcess);
    auto receiver = shm::Channel::attach(second->share().value(), shm::Side::kProcess);
    REQUIRE((sender && receiver));
    const Strings strings{"pickle", "", "failed"};
    REQUIRE(sender->send(kHead, strings).value() == shm::Sent::kSent);
    const shm::Message copy = copy_of(*first->receive().value());
    REQUIRE(second->post(copy.head, copy.strings));
    const std::optional<shm::Message> arrived = receiver->receive().value();
    REQUIRE(arrived);
    CHECK(arrived->strings == strings);
    CHECK(arrived->head.kind == kHead.kind);
    CHECK(arrived->head.item == 3);
    CHECK(arrived->head.t1 == 1 << 30);
}
