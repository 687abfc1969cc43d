// The fuzzer's seeds, whole and cut off anywhere, and what is as deep or as long as only a program would write it.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/analyzer/extract_fuzz.h"
#include "tests/catch.h"

namespace {

using namespace tach::analyzer;

std::string repeated(std::string_view text, std::size_t times) {
    std::string result;
    while (times-- > 0) result += text;
    return result;
}

std::vector<std::filesystem::path> corpus() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(TACH_CORPUS)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the corpus, and each file of it cut off anywhere, is read to facts that come back") {
    Parser parser;
    const auto files = corpus();
    REQUIRE(files.size() >= 12);
    for (const auto& path : files) {
        INFO(path);
        const std::string source = contents(path);
        for (std::size_t size = 0; size < source.size(); ++size) {
            tach::tests::run_as_source(std::string_view(source).substr(0, size), parser);
        }
        tach::tests::run_as_anything(source, parser);
    }
}

TEST_CASE("the valid files of the corpus are read to their end") {
    Parser parser;
    for (const auto& path : corpus()) {
        if (path.filename().string().starts_with("broken")) continue;
        INFO(path);
        const std::string bytes = contents(path);
        std::string_view source = bytes;
        REQUIRE_FALSE(check_encoding(source));
        Arena arena;
        CHECK(extract(source, parser, arena).is_complete);
    }
}

TEST_CASE("what is nested deeply costs neither the stack nor more than its length") {
    constexpr std::size_t kDepth = 4000;
    Parser parser;
    const std::string sources[] = {
        "v = " + repeated("[", kDepth) + "f()" + repeated("]", kDepth) + "\n",
        "v = " + repeated("f(", kDepth) + repeated(")", kDepth) + "\n",
        "v = a" + repeated(".b()", kDepth) + "\n",
        "v = " + repeated("lambda: ", kDepth) + "f()\n",
        repeated("f(", kDepth),
        "if a: pass\n" + repeated("elif f(): pass\n", kDepth),
    };
    for (const std::string& source : sources) {
        const auto begin = std::chrono::steady_clock::now();
        tach::tests::run_as_source(source, parser);
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));  // a guard, under sanitizers, too
    }
}
