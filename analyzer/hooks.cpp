#include "analyzer/hooks.h"

#include <algorithm>
#include <array>

namespace tach::analyzer {

namespace {

struct Hook {
    Text name;
    Dynamic reason;
    bool is_everywhere;
};

// Of _pytest/hookspec.py, those that decide which tests there are and what they are called.
constexpr std::array kHooks{
    Hook{"collect_ignore", Dynamic::kHook, false},
    Hook{"collect_ignore_glob", Dynamic::kHook, false},
    Hook{"pytest_collect_directory", Dynamic::kHook, false},
    Hook{"pytest_collect_file", Dynamic::kHook, false},
    Hook{"pytest_collection", Dynamic::kHook, true},
    Hook{"pytest_collection_modifyitems", Dynamic::kHook, true},
    Hook{"pytest_generate_tests", Dynamic::kGenerated, false},
    Hook{"pytest_ignore_collect", Dynamic::kHook, false},
    Hook{"pytest_itemcollected", Dynamic::kHook, false},
    Hook{"pytest_make_collect_report", Dynamic::kHook, false},
    Hook{"pytest_make_parametrize_id", Dynamic::kGenerated, true},
    Hook{"pytest_pycollect_makeitem", Dynamic::kGenerated, false},
    Hook{"pytest_pycollect_makemodule", Dynamic::kHook, false},
};

std::string joined(Text directory, Text path) {
    std::string text(directory);
    if (!text.empty()) text += '/';
    return text.append(path);
}

}  // namespace

Text directory_of(Text path) {
    const std::size_t slash = path.rfind('/');
    return slash == Text::npos ? Text() : path.substr(0, slash);
}

Hooks::Hooks(const Project& project, ProjectNames& names, const std::vector<Index>& plugins) {
    for (const Index plugin : plugins) add(project, names, plugin, true);
    for (std::size_t i = 0; i != project.files.size(); ++i) {
        const SourceFile& file = project.files[i];
        if (file.is_conftest && !file.path.starts_with('/')) add(project, names, static_cast<Index>(i), false);
    }
}

void Hooks::add(const Project& project, ProjectNames& names, Index file, bool is_plugin) {
    const Text directory = directory_of(project.files[static_cast<std::size_t>(file)].path);
    if (!names.visible(file, visible_)) directories_[directory] |= Dynamic::kHook;  // there may be one among them
    for (const Visible& name : visible_) {
        if (!name.name.starts_with("pytest_") && !name.name.starts_with("collect_")) continue;
        const auto hook =
            std::find_if(kHooks.begin(), kHooks.end(), [&](const Hook& one) { return one.name == name.name; });
        if (hook == kHooks.end()) continue;
        if (hook->name == "pytest_collect_file") collecting_.push_back(file);
        const Facts& facts = project.files[static_cast<std::size_t>(file)].facts;
        if (hook->name == "collect_ignore" && facts.ignored_known && !is_plugin) {
            for (const Text path : facts.ignored) ignored_.push_back(joined(directory, path));
            continue;
        }
        if (hook->is_everywhere || is_plugin) {
            everywhere_ |= hook->reason;
        } else {
            directories_[directory] |= hook->reason;
        }
    }
}

Dynamic Hooks::of(Text path) const {
    Dynamic reasons = everywhere_;
    for (const std::string& ignored : ignored_) {
        const bool is_below = path.starts_with(ignored) && path.substr(ignored.size()).starts_with('/');
        if (path == ignored || is_below) reasons |= Dynamic::kHook;
    }
    if (directories_.empty()) return reasons;
    for (Text directory = directory_of(path);; directory = directory_of(directory)) {
        const auto found = directories_.find(directory);
        if (found != directories_.end()) reasons |= found->second;
        if (directory.empty()) return reasons;
    }
}

}  // namespace tach::analyzer
