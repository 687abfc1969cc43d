#pragma once

// Which tests a conftest.py or a plugin of the project may add, drop or rename when pytest collects: by the hooks and
// variables that it defines, whatever they do. A hook that pytest calls for one file or directory counts below the
// conftest.py; one that it calls with all tests counts for all of them.

#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/dynamic.h"
#include "analyzer/project_names.h"

namespace tach::analyzer {

class Hooks {
  public:
    Hooks(const Project& project, ProjectNames& names, const std::vector<Index>& plugins);

    [[nodiscard]] Dynamic of(Text path) const;
    // Directories whose conftest.py may make tests of any file.
    [[nodiscard]] const std::vector<Index>& collecting() const { return collecting_; }

  private:
    void add(const Project& project, ProjectNames& names, Index file, bool is_plugin);

    std::unordered_map<Text, Dynamic> directories_;  // by path, without those further out
    std::vector<std::string> ignored_;               // paths that collect_ignore may have
    Dynamic everywhere_ = Dynamic::kNothing;
    std::vector<Index> collecting_;
    std::vector<Visible> visible_;
};

// Text before the last '/', or nothing.
[[nodiscard]] Text directory_of(Text path);

}  // namespace tach::analyzer
