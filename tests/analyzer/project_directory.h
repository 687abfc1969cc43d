#pragma once

// A directory with the files of a small project, removed at the end of a test.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

namespace tach::analyzer::testing {

class ProjectDirectory {
  public:
    struct File {
        std::string_view path;
        std::string_view text;
    };

    // NOLINTNEXTLINE(google-explicit-constructor): a list of files is what a project is
    ProjectDirectory(std::initializer_list<File> files) {
        std::string pattern = std::filesystem::temp_directory_path() / "tach-analyzer-XXXXXX";
        path_ = std::filesystem::canonical(::mkdtemp(pattern.data()));
        for (const File& file : files) write(file.path, file.text);
    }
    ~ProjectDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ProjectDirectory(const ProjectDirectory&) = delete;
    ProjectDirectory& operator=(const ProjectDirectory&) = delete;

    [[nodiscard]] std::string path() const { return path_; }
    [[nodiscard]] std::string path(std::string_view below) const { return path_ / below; }

    void write(std::string_view path, std::string_view text = {}) const {
        std::filesystem::create_directories((path_ / path).parent_path());
        std::ofstream(path_ / path) << text;
    }

    void link(std::string_view path, std::string_view target) const {
        std::filesystem::create_directories((path_ / path).parent_path());
        std::filesystem::create_symlink(target, path_ / path);
    }

    void remove(std::string_view path) const { std::filesystem::remove_all(path_ / path); }

  private:
    std::filesystem::path path_;
};

}  // namespace tach::analyzer::testing
