#include "analyzer/parse_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "analyzer/facts_archive.h"
#include "tests/catch.h"

using namespace tach::analyzer;

namespace {

class Directory {
  public:
    Directory() {
        std::string name = std::filesystem::temp_directory_path() / "tach-parse-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return path_ / name; }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path(name), std::ios::binary) << text;
        return path(name);
    }

  private:
    std::filesystem::path path_;
};

struct Parsed {
    ParsedFile file;
    std::string bytes;
    Facts facts;
    [[nodiscard]] std::string message() const {
        return facts.diagnostics.empty() ? "" : std::string(facts.diagnostics[0].message);
    }
};

std::map<std::uint32_t, Parsed> parse(const std::vector<FileToParse>& files) {
    std::map<std::uint32_t, Parsed> all;
    REQUIRE(parse_files(files, 2, [&](const ParsedFile& file) {
        Parsed& parsed = all[file.number];
        parsed.file = file;
        parsed.bytes = file.facts;
        if (!file.is_same) CHECK(read_bytes(parsed.bytes, parsed.facts));
    }));
    return all;
}

}  // namespace

TEST_CASE("files are parsed, and told to be the same") {
    const Directory directory;
    const std::string path = directory.write("test_a.py", "def test_a(): pass\n");
    const auto first = parse({{path, {}}});
    REQUIRE(first.at(0).facts.functions.size() == 1);
    CHECK(first.at(0).file.is_stable);
    const auto second = parse({{path, first.at(0).file.hash}});
    CHECK(second.at(0).file.is_same);
}

TEST_CASE("what cannot be read costs a diagnostic") {
    const Directory directory;
    REQUIRE(::mkfifo(directory.path("pipe.py").c_str(), 0600) == 0);
    REQUIRE(::symlink("nowhere", directory.path("dangling.py").c_str()) == 0);
    const std::string huge = directory.write("huge.py", "");
    REQUIRE(::truncate(huge.c_str(), 100'000'000) == 0);
    const auto all = parse({{directory.path("pipe.py"), {}},
                            {directory.path("dangling.py"), {}},
                            {huge, {}},
                            {directory.write("latin.py", "x = 1\ny = '\xE9'\n"), {}},
                            {directory.write("declared.py", "# -*- coding: latin-1 -*-\n"), {}},
                            {directory.write("zero.py", std::string("x = 1\n\0", 7)), {}},
                            {directory.write("mark.py", "\xEF\xBB\xBFimport os\n"), {}}});
    CHECK(all.at(0).message() == "no regular file");
    CHECK(all.at(1).message() == "cannot be read: No such file or directory");
    CHECK_FALSE(all.at(1).file.is_stable);
    CHECK(all.at(2).message() == "100000000 bytes long, at most 16777216 are read");
    CHECK(all.at(3).message() == "not UTF-8");
    CHECK(all.at(3).facts.diagnostics[0].at == Position{2, 6});
    CHECK(all.at(4).message() == "encoded as latin-1, only UTF-8 is read");
    CHECK(all.at(5).message() == "a null byte");
    CHECK(all.at(6).message().empty());
    CHECK(all.at(6).facts.imports.size() == 1);
}
