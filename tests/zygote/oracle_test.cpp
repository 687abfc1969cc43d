// The oracle: names every byte, mapping and piece of kernel state that is not as it was. No engine takes part: the
// child claims to have been rewound.

#include "zygote/oracle.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/child.h"

using namespace tach;
using tests::end_of;
using tests::fork_child;
using zygote::Oracle;
using zygote::OracleNote;

namespace {

// The oracle tells one difference for each page: wide enough to have a page for itself in the middle.
using Wide = std::array<char, 3 * base::kPageSize>;

Wide planted_data{1};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): .data
Wide planted_bss;      // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): .bss

char* middle_of(Wide& wide) {
    const base::Address inside = base::address_of(wide.data()) + base::kPageSize;
    return reinterpret_cast<char*>(base::pointer_to(inside / base::kPageSize * base::kPageSize + 8));  // NOLINT
}

// As an engine does: the kernel writes there, on which processor the thread runs (rseq(2)).
void exempt_rseq(OracleNote& note) {
    const auto* offset = static_cast<const std::ptrdiff_t*>(::dlsym(RTLD_DEFAULT, "__rseq_offset"));
    if (offset == nullptr) return;
    const base::Address begin = base::address_of(__builtin_thread_pointer()) + static_cast<base::Address>(*offset);
    note.exempt_begin.store(begin, std::memory_order_relaxed);
    note.exempt_end.store(begin + 32, std::memory_order_relaxed);
}

// What the oracle says of a child that does this between its push and its rewind.
template <class Change>
std::vector<std::string> differences_after(const Change& change) {
    auto oracle = Oracle::create();
    REQUIRE(oracle);
    const pid_t child = fork_child([&] {
        exempt_rseq(oracle->note());
        Oracle::stop_here(oracle->note(), OracleNote::Event::kPushed, 1);
        change();
        Oracle::stop_here(oracle->note(), OracleNote::Event::kRewound, 1);
        return 0;
    });
    std::vector<std::string> all;
    while (true) {
        auto news = oracle->watch(child);
        REQUIRE(news);
        if (news->ended) break;
        all.insert(all.end(), news->differences.begin(), news->differences.end());
        Oracle::resume(child);
    }
    return all;
}

bool names(const std::vector<std::string>& differences, const std::string& words) {
    return std::any_of(differences.begin(), differences.end(),
                       [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

bool names_byte(const std::vector<std::string>& differences, const void* address) {
    return names(differences, fmt::format("{:x} in ", base::address_of(address)));
}

// Writes one byte into memory that may be read-only, as ptrace(2) and debuggers do.
void plant(void* place) {
    const int memory = ::open("/proc/self/mem", O_RDWR);
    const char byte = static_cast<char>(*static_cast<char*>(place) + 1);
    static_cast<void>(::pwrite(memory, &byte, 1, static_cast<off_t>(base::address_of(place))));
    ::close(memory);
}

}  // namespace

TEST_CASE("a byte in each kind of region is named") {
    auto* const heap = new Wide{};
    Wide stack{};
    const auto anonymous = [](int protection) {
        return static_cast<char*>(::mmap(nullptr, base::kPageSize, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    };
    char* const mapped = anonymous(PROT_READ | PROT_WRITE);
    char* const read_only = anonymous(PROT_READ);
    const int exe = ::open("/proc/self/exe", O_RDONLY);
    char* const file = static_cast<char*>(::mmap(nullptr, base::kPageSize, PROT_READ, MAP_PRIVATE, exe, 0));
    void* const code = reinterpret_cast<void*>(&::sethostname);  // NOLINT: the C library's text
    const std::array<void*, 8> places{middle_of(*heap),
                                      middle_of(stack),
                                      middle_of(planted_data),
                                      middle_of(planted_bss),
                                      mapped,
                                      read_only,
                                      file,
                                      code};
    const auto differences = differences_after([&] {
        for (void* const place : places) plant(place);
    });
    for (void* const place : places) CHECK(names_byte(differences, place));
    CHECK(names(differences, "[heap]"));
    CHECK(names(differences, "[stack]"));
    CHECK(names(differences, "libc"));
    ::munmap(mapped, base::kPageSize);
    ::munmap(read_only, base::kPageSize);
    ::munmap(file, base::kPageSize);
    ::close(exe);
    delete heap;
}

TEST_CASE("mappings that are left, lost or protected otherwise are named") {
    char* const mapped = static_cast<char*>(
        ::mmap(nullptr, 8 * base::kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(names(differences_after([&] { ::munmap(mapped + 4 * base::kPageSize, base::kPageSize); }), "mapping lost"));
    CHECK(names(differences_after([&] { ::mprotect(mapped, base::kPageSize, PROT_READ); }), "mapping lost"));
    CHECK(names(differences_after([&] {
                    static_cast<void>(
                        ::mmap(nullptr, 64 * base::kPageSize, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
                }),
                "mapping left"));
    ::munmap(mapped, 8 * base::kPageSize);
}

TEST_CASE("the kernel's state of the process is compared") {
    CHECK(names(differences_after([] { static_cast<void>(::open("/dev/null", O_RDONLY)); }), "now: descriptor"));
    CHECK(names(differences_after([] { ::close(0); }), "no longer: descriptor 0"));
    CHECK(names(differences_after([] { ::umask(0123); }), "now: Umask:\t0123"));
    CHECK(names(differences_after([] { static_cast<void>(::chdir("/")); }), "now: working directory: /"));
    CHECK(names(differences_after([] { ::signal(SIGUSR1, SIG_IGN); }), "now: SigIgn"));
}

TEST_CASE("nothing is said of what is as it was") {
    auto differences = differences_after([] {});
    // The child's own frames, of calls that have returned.
    std::erase_if(differences, [](const std::string& line) { return line.find("[stack]") != std::string::npos; });
    CHECK(differences == std::vector<std::string>{});
}
