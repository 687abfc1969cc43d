#include "shm/bytecode_image.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/catch.h"
#include "tests/child.h"
#include "tests/temp_dir.h"

using namespace tach::shm::bytecode;
namespace base = tach::base;

namespace {

const Keys kKeys{.interpreter = "3.11\noptimize 0", .rewriter = "pytest 8", .identity = "file 1,2 /usr/bin/python\n"};

// A module and what its views are of.
struct Sample {
    std::string path;
    std::string name;
    std::string code;
    Kind kind = Kind::kPlain;

    [[nodiscard]] Module module() const {
        return {.kind = kind,
                .is_package = path.ends_with("__init__.py"),
                .path = path,
                .name = name,
                .signature = {.size = path.size(), .mtime_ns = 5, .ctime_ns = 7, .inode = 9},
                .hash = Hash::of(code),
                .code = code};
    }
};

std::vector<Sample> samples(std::size_t count, std::size_t size = 100) {
    std::vector<Sample> made;
    for (std::size_t i = 0; i < count; ++i) {
        made.push_back({.path = "/project/m" + std::to_string(i) + ".py",
                        .name = "m" + std::to_string(i),
                        .code = std::string(size + i, static_cast<char>('a' + i % 26)),
                        .kind = i % 3 == 0 ? Kind::kRewritten : Kind::kPlain});
    }
    return made;
}

std::vector<Module> modules_of(const std::vector<Sample>& samples) {
    std::vector<Module> modules;
    for (const Sample& sample : samples) modules.push_back(sample.module());
    return modules;
}

bool has(const Image& image, const Sample& sample) {
    const auto found = image.find(sample.kind, sample.path);
    const Module wanted = sample.module();
    return found && image.is_intact(*found) && found->code == sample.code && found->name == sample.name &&
           found->hash == wanted.hash && found->is_package == wanted.is_package &&
           found->signature.inode == wanted.signature.inode;
}

std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<long>(bytes.size()));
}

// The samples, with the code of `image` where that has it: what a writer does that has found them to be the same.
std::vector<Module> kept_modules(const Image& image, const std::vector<Sample>& samples) {
    std::vector<Module> modules;
    for (const Sample& sample : samples) {
        Module module = sample.module();
        const auto found = image.find(sample.kind, sample.path);
        if (found && found->hash == module.hash) module.code = found->code;
        modules.push_back(module);
    }
    return modules;
}

Written write_samples(const std::string& path, const std::vector<Sample>& samples) {
    const auto base = Image::open(path);
    if (!base) {
        return write(path, kKeys, modules_of(samples), nullptr).value();
    }
    return write(path, kKeys, kept_modules(*base, samples), &*base).value();
}

// That a damaged file is refused, or gives what was written and nothing else.
void check_damaged(const std::string& path, const std::vector<Sample>& old_samples,
                   const std::vector<Sample>& new_samples) {
    const auto image = Image::open(path);
    if (!image) return;
    for (std::size_t i = 0; i < new_samples.size(); ++i) {
        const auto found = image->find(new_samples[i].kind, new_samples[i].path);
        if (!found || !image->is_intact(*found)) continue;
        const bool is_known = found->code == new_samples[i].code || found->code == old_samples[i].code;
        if (!is_known) FAIL("code that nobody has written");
    }
}

}  // namespace

TEST_CASE("an image gives what was written") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "new/image";
    std::vector<Sample> all = samples(100);
    all.push_back({.path = "/project/pkg/__init__.py", .name = "pkg", .code = "", .kind = Kind::kPlain});
    all.push_back({.path = all[1].path, .name = "", .code = "rewritten, too", .kind = Kind::kRewritten});
    CHECK(write_samples(path, all) == Written::kAnew);
    const auto image = Image::open(path);
    REQUIRE(image);
    CHECK(image->interpreter_key() == kKeys.interpreter);
    CHECK(image->rewriter_key() == kKeys.rewriter);
    CHECK(image->identity() == kKeys.identity);
    CHECK(image->size() == all.size());
    for (const Sample& sample : all) CHECK(has(*image, sample));
    CHECK_FALSE(image->find(Kind::kPlain, "/project/other.py"));
    CHECK_FALSE(image->find(Kind::kPlain, all[0].path));  // it is there as a rewritten one
    for (std::size_t i = 0; i < image->size(); ++i) {
        const Module module = image->module(i);
        const auto address = reinterpret_cast<std::uintptr_t>(module.code.data());  // NOLINT
        if (!module.code.empty()) CHECK(address % 64 == 0);
    }
}

TEST_CASE("an image without modules is one") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    CHECK(write_samples(path, {}) == Written::kAnew);
    const auto image = Image::open(path);
    REQUIRE(image);
    CHECK(image->size() == 0);
    CHECK_FALSE(image->find(Kind::kPlain, "/a.py"));
}

TEST_CASE("a change is appended, and who has opened the image before sees none") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(50);
    write_samples(path, before);
    const std::string bytes = contents_of(path);
    const auto reader = Image::open(path);
    REQUIRE(reader);
    std::vector<Sample> after = before;
    after[7].code = "another";
    after.erase(after.begin() + 20);
    after.push_back({.path = "/project/new.py", .name = "new", .code = "new", .kind = Kind::kPlain});
    CHECK(write_samples(path, after) == Written::kAppended);
    const std::string longer = contents_of(path);
    CHECK(longer.substr(192, bytes.size() - 192) == bytes.substr(192));  // all but head and slots
    CHECK(longer.size() - bytes.size() < bytes.size());
    for (const Sample& sample : before) CHECK(has(*reader, sample));
    CHECK_FALSE(reader->find(Kind::kPlain, "/project/new.py"));
    const auto image = Image::open(path);
    REQUIRE(image);
    CHECK(image->size() == after.size());
    for (const Sample& sample : after) CHECK(has(*image, sample));
    CHECK_FALSE(image->find(before[20].kind, before[20].path));
}

TEST_CASE("once it is mostly dead an image is written anew, and who has the old one open keeps it") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    std::vector<Sample> all = samples(4, 300'000);
    write_samples(path, all);
    const auto reader = Image::open(path);
    REQUIRE(reader);
    const std::vector<Sample> first = all;
    bool was_anew = false;
    for (int round = 0; round < 10; ++round) {
        for (Sample& sample : all) sample.code[0] = static_cast<char>('0' + round);
        was_anew = write_samples(path, all) == Written::kAnew || was_anew;
        const auto image = Image::open(path);
        REQUIRE(image);
        for (const Sample& sample : all) CHECK(has(*image, sample));
        CHECK(contents_of(path).size() < 4'000'000);
    }
    CHECK(was_anew);
    for (const Sample& sample : first) CHECK(has(*reader, sample));
}

TEST_CASE("what somebody else has put in the place of the base is not appended to") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> all = samples(10);
    write_samples(path, all);
    const auto base = Image::open(path);
    REQUIRE(base);
    std::filesystem::remove(path);
    write_samples(path, samples(3));
    CHECK(write(path, kKeys, kept_modules(*base, all), &*base).value() == Written::kAnew);
    const auto image = Image::open(path);
    REQUIRE(image);
    for (const Sample& sample : all) CHECK(has(*image, sample));
}

TEST_CASE("two writers with the same base lose nothing of the later one") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    std::vector<Sample> all = samples(10);
    write_samples(path, all);
    const auto one = Image::open(path);
    const auto other = Image::open(path);
    REQUIRE((one && other));
    std::vector<Sample> changed = all;
    changed[1].code = "by one";
    CHECK(write(path, kKeys, kept_modules(*one, changed), &*one).value() == Written::kAppended);
    all[2].code = "by the other";
    CHECK(write(path, kKeys, kept_modules(*other, all), &*other).value() == Written::kAppended);
    const auto image = Image::open(path);
    REQUIRE(image);
    for (const Sample& sample : all) CHECK(has(*image, sample));
}

TEST_CASE("with a damaged slot the other one counts") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(10);
    write_samples(path, before);
    std::vector<Sample> after = before;
    after[4].code = "another";
    write_samples(path, after);
    const std::string bytes = contents_of(path);
    for (std::size_t slot = 0; slot < 2; ++slot) {
        std::string damaged = bytes;
        damaged[64 + slot * 64 + 9] ^= 1;
        put(path, damaged);
        const auto image = Image::open(path);
        REQUIRE(image);
        for (const Sample& sample : slot == 0 ? after : before) CHECK(has(*image, sample));
        // It can be written again.
        CHECK(write_samples(path, after) == Written::kAppended);
        const auto mended = Image::open(path);
        REQUIRE(mended);
        for (const Sample& sample : after) CHECK(has(*mended, sample));
    }
}

TEST_CASE("a file that was cut off anywhere gives nothing that was not written") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(10);
    write_samples(path, before);
    std::vector<Sample> after = before;
    for (std::size_t i = 0; i < 5; ++i) after[i].code += "!";
    write_samples(path, after);
    const std::string bytes = contents_of(path);
    for (std::size_t size = 0; size < bytes.size(); size += 64) {
        INFO(size);
        put(path, bytes.substr(0, size));
        check_damaged(path, before, after);
        if (size < 192) CHECK(Image::open(path).error().code == EPROTO);
    }
}

TEST_CASE("code that was damaged is not taken for whole by whoever writes the image again") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    std::vector<Sample> all = samples(5, 1000);
    write_samples(path, all);
    std::string bytes = contents_of(path);
    bytes[bytes.find(all[3].code) + 10] ^= 1;
    put(path, bytes);
    all[0].code = "another";
    SECTION("by appending") {
        CHECK(write_samples(path, all) == Written::kAppended);
    }
    SECTION("anew") {
        all[1].code = std::string(3'000'000, 'x');
        write_samples(path, all);
        all[1].code = "small";
        CHECK(write_samples(path, all) == Written::kAnew);
    }
    const auto image = Image::open(path);
    REQUIRE(image);
    CHECK_FALSE(image->is_intact(*image->find(all[3].kind, all[3].path)));
    CHECK(has(*image, all[0]));
    CHECK(has(*image, all[4]));
}

TEST_CASE("who has mapped a file that is then cut off is told so before it is read") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> all = samples(10, 10'000);
    write_samples(path, all);
    const auto image = Image::open(path);
    REQUIRE(image);
    const auto found = image->find(all[9].kind, all[9].path);
    REQUIRE(found);
    REQUIRE(::truncate(path.c_str(), 5000) == 0);
    CHECK_FALSE(image->is_intact(*found));
}

TEST_CASE("bytes that flip give nothing that was not written") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(6);
    write_samples(path, before);
    std::vector<Sample> after = before;
    after[2].code += "!";
    write_samples(path, after);
    const std::string bytes = contents_of(path);
    std::mt19937 random(1);  // NOLINT: always the same
    for (int round = 0; round < 3000; ++round) {
        std::string damaged = bytes;
        const std::size_t flips = 1 + random() % 3;
        for (std::size_t i = 0; i < flips; ++i) {
            // Every other time where everything is decided: in head and slots.
            const std::size_t at = random() % (random() % 2 == 0 ? 192 : damaged.size());
            damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << random() % 8));
        }
        put(path, damaged);
        check_damaged(path, before, after);
    }
}

TEST_CASE("something else is refused, and said what is wrong with it") {
    const tach::test::TempDir directory;
    const auto error_of = [&](const std::string& bytes) {
        const std::string path = directory.file("image", bytes).string();
        const auto image = Image::open(path);
        REQUIRE_FALSE(image);
        CHECK(image.error().code == EPROTO);
        CHECK(image.error().what.starts_with(path + ": "));
        return image.error().what.substr(path.size() + 2);
    };
    CHECK(error_of("") == "cut off");
    CHECK(error_of(std::string(1000, 'x')) == "not a bytecode image");
    const std::string path = directory.path() / "real";
    write_samples(path, samples(1));
    std::string bytes = contents_of(path);
    bytes[16] = 99;
    CHECK(error_of(bytes) == "a bytecode image of another version");
    bytes[16] = 1;
    bytes.replace(64, 128, 128, '\0');
    CHECK(error_of(bytes) == "damaged");
    CHECK(Image::open(directory.path() / "none").error().code == ENOENT);
    CHECK(Image::open(directory.path()).error().code == EPROTO);
}

TEST_CASE("a writer that dies before its slot is written has written nothing") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(10);
    write_samples(path, before);
    const std::string old_bytes = contents_of(path);
    std::vector<Sample> after = before;
    after[3].code = "another";
    write_samples(path, after);
    std::string bytes = contents_of(path);
    bytes.replace(64, 128, old_bytes.substr(64, 128));  // as it was before the last of its writes
    put(path, bytes);
    const auto image = Image::open(path);
    REQUIRE(image);
    for (const Sample& sample : before) CHECK(has(*image, sample));
    CHECK(write_samples(path, after) == Written::kAppended);
    const auto next = Image::open(path);
    REQUIRE(next);
    for (const Sample& sample : after) CHECK(has(*next, sample));
}

TEST_CASE("without room the image is what it was") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    const std::vector<Sample> before = samples(10);
    write_samples(path, before);
    const std::string bytes = contents_of(path);
    std::vector<Sample> after = before;
    after[3].code = std::string(100'000, 'x');
    // A limit is of a process, so that it is one of its own which writes.
    const pid_t child = tach::tests::fork_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{bytes.size() + 5000, bytes.size() + 5000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto base = Image::open(path);
        if (!base) return 1;
        const auto written = write(path, kKeys, kept_modules(*base, after), &*base);
        return !written && written.error().code == EFBIG ? 0 : 2;
    });
    CHECK(tach::tests::end_of(child) == 0);
    CHECK(contents_of(path) == bytes);
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) CHECK(entry.path() == path);
}

TEST_CASE("a signature is of a file that can be trusted not to change unseen") {
    const tach::test::TempDir directory;
    const std::string path = directory.file("file", "text").string();
    const base::FileStatus status = base::status_at(AT_FDCWD, path.c_str());
    const std::int64_t second = base::kNsPerSecond;
    const Signature later = Signature::of(status, status.ctime_ns + second);
    CHECK_FALSE(later.is_empty());
    CHECK(later.matches(status));
    // A change in the same step of the clock could have the same times.
    CHECK(Signature::of(status, status.ctime_ns).is_empty());
    CHECK(Signature::of(status, status.ctime_ns + second / 100).is_empty());
    CHECK(Signature::of(status, status.ctime_ns - second).is_empty());
    CHECK_FALSE(Signature{}.matches(status));
    for (const int member : {0, 1, 2, 3}) {
        base::FileStatus other = status;
        if (member == 0) ++other.size;
        if (member == 1) ++other.mtime_ns;
        if (member == 2) ++other.ctime_ns;
        if (member == 3) ++other.inode;
        CHECK_FALSE(later.matches(other));
    }
    base::FileStatus directory_status = status;
    directory_status.kind = base::FileKind::kDirectory;
    CHECK_FALSE(later.matches(directory_status));
}

TEST_CASE("a descriptor is moved up where it is out of the way") {
    const tach::test::TempDir directory;
    const std::string path = directory.path() / "image";
    write_samples(path, samples(1));
    const int free_before = tach::tests::lowest_free_fd();
    {
        const auto image = Image::open(path, 200);
        REQUIRE(image);
        CHECK(image->fd() >= 200);
        CHECK(tach::tests::lowest_free_fd() == free_before);
    }
    CHECK(::fcntl(200, F_GETFD) == -1);
}
