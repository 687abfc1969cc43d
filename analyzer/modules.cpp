#include "analyzer/modules.h"

#include <algorithm>
#include <filesystem>
#include <string>

namespace tach::analyzer {
namespace {

constexpr Text kInit = "__init__.py";

bool is_init(Text path) {
    return path.ends_with(kInit) && (path.size() == kInit.size() || path[path.size() - kInit.size() - 1] == '/');
}

bool is_python(Text path) {
    return path.ends_with(".py");
}

// What the last part of a name is looked for as: "a/b" for a/b.py and for a/b/__init__.py.
Text stem_of(Text path) {
    if (is_init(path)) return parent_directory(path);
    return path.substr(0, path.size() - 3);
}

Text parent_of(Text directory) {
    const std::size_t slash = directory.rfind('/');
    return slash == Text::npos ? Text() : directory.substr(0, slash);
}

Text last_part(Text path) {
    return path.substr(path.rfind('/') + 1);
}

// A directory of the ini file as the project's paths are: relative to the root, absolute outside of it.
std::string searched(const std::string& root, const std::string& entry) {
    const std::filesystem::path from(root);
    const std::filesystem::path whole = (from / entry).lexically_normal();
    std::string path = whole.lexically_relative(from).generic_string();
    if (path == ".." || path.starts_with("../")) path = whole.generic_string();
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path == "." ? std::string() : path;
}

// How many leading directories two paths share.
int shared_directories(Text left, Text right) {
    int shared = 0;
    const std::size_t end = std::min(left.size(), right.size());
    for (std::size_t at = 0; at < end && left[at] == right[at]; ++at) shared += left[at] == '/' ? 1 : 0;
    return shared;
}

}  // namespace

Text parent_directory(Text path) {
    return parent_of(path);
}

Modules::Modules(const Project& project) : project_(project) {
    const std::size_t count = project.files.size();
    files_.reserve(count);
    stems_.reserve(count);
    by_name_.reserve(count * 2);
    names_.resize(count);
    found_.resize(count);
    for (std::size_t at = 0; at < count; ++at) {
        const SourceFile& file = project.files[at];
        files_.add(file.path, static_cast<Index>(at));
        if (!file.is_text && is_python(file.path)) stems_.add(stem_of(file.path), static_cast<Index>(at));
    }
    if (init_of("") >= 0) root_package_ = last_part(project.settings.root);
    find_search_directories();
    for (std::size_t at = 0; at < count; ++at) {
        if (!project.files[at].is_text && is_python(project.files[at].path)) add_names(static_cast<Index>(at));
    }
}

void Modules::add_search_directory(Text directory, bool strong) {
    const Index known = directories_.find(directory);
    if (known < 0 || (strong && known == 0)) directories_.add(directory, strong ? 1 : 0);
}

void Modules::find_search_directories() {
    const Settings& settings = project_.settings;
    add_search_directory("", true);
    if (init_of("src") < 0) add_search_directory("src", true);
    for (const std::string& entry : settings.pythonpath) {
        add_search_directory(arena_.keep(searched(settings.root, entry)), true);
    }
    const bool inserts = settings.import_mode != ImportMode::kImportlib;
    Text last_directory = "\n";  // of no file
    for (const SourceFile& file : project_.files) {
        const bool is_loaded_by_path = file.is_test || file.is_conftest;
        const Text directory = parent_directory(file.path);
        // Sorted by path: files of one directory mostly follow each other.
        if (file.is_text || (directory == last_directory && !is_loaded_by_path)) continue;
        if (last_part(directory) == "src" && init_of(directory) < 0) add_search_directory(directory, false);
        if (is_loaded_by_path && inserts) {
            add_search_directory(package_root(file.path), true);
        } else if (init_of(directory) >= 0) {
            add_search_directory(package_root(file.path), false);
        }
        last_directory = is_loaded_by_path ? Text("\n") : directory;
    }
}

// The first directory upwards without an __init__.py.
Text Modules::package_root(Text path) const {
    Text directory = parent_directory(path);
    while (!directory.empty() && init_of(directory) >= 0) directory = parent_of(directory);
    return directory;
}

void Modules::add_names(Index file) {
    const Text stem = stem_of(project_.files[file].path);
    std::string with_dots(stem);
    std::replace(with_dots.begin(), with_dots.end(), '/', '.');
    const Text dotted = arena_.keep(with_dots);
    const auto add = [&](Text name, bool strong) {
        by_name_.add(name, static_cast<Index>(places_.size()));
        places_.push_back({file, strong});
    };
    // From the innermost directory outwards. No statement can import what lies in a directory with a dot in its name.
    std::size_t end = stem.size();
    while (end > 0) {
        const std::size_t slash = stem.rfind('/', end - 1);
        if (slash == 0) break;  // an absolute path: what is left is no directory of the project
        const std::size_t part = slash == Text::npos ? 0 : slash + 1;
        if (stem.substr(part, end - part).find('.') != Text::npos) break;
        end = part == 0 ? 0 : slash;
        if (const Index strong = directories_.find(stem.substr(0, end)); strong >= 0) {
            add(dotted.substr(part), strong != 0);
        }
    }
    names_[file] = chosen_name(file, dotted);
    if (root_package_.empty() || stem.starts_with('/')) return;
    // The root is itself a package, and pytest puts the directory around it into sys.path.
    const Text outer = dotted.empty() ? root_package_ : arena_.join({root_package_, ".", dotted});
    add(outer, true);
    const bool reaches_root = package_root(project_.files[file].path).empty();
    if (reaches_root && project_.settings.import_mode != ImportMode::kImportlib) names_[file] = outer;
}

Text Modules::chosen_name(Index file, Text dotted) {
    const SourceFile& source = project_.files[file];
    const Settings& settings = project_.settings;
    const bool is_loaded_by_path = source.is_test || source.is_conftest;
    if (is_loaded_by_path && settings.import_mode == ImportMode::kImportlib) return importlib_name(source.path);
    Text root = package_root(source.path);
    // Outwards to what is in sys.path anyway: namespace packages, which pytest itself sees only if it is told to.
    if (!is_loaded_by_path || settings.consider_namespace_packages) {
        Text outer = root;
        while (!outer.empty() && directories_.find(outer) != 1) outer = parent_of(outer);
        const bool is_in_package = init_of(parent_directory(source.path)) >= 0;
        if (!outer.empty() || (!is_loaded_by_path && !is_in_package)) root = outer;
    }
    if (dotted.size() <= root.size()) return dotted.substr(dotted.rfind('.') + 1);  // an __init__.py of no package
    return dotted.substr(root.empty() ? 0 : root.size() + 1);
}

// _pytest/pathlib.py, module_name_from_path: dots of directories are no dots of names.
Text Modules::importlib_name(Text path) {
    std::string name(stem_of(path));
    std::replace(name.begin(), name.end(), '.', '_');
    std::replace(name.begin(), name.end(), '/', '.');
    return arena_.keep(name);
}

Index Modules::module_at(Text stem) const {
    Index found = -1;
    stems_.for_each(stem, [&](Index file) {
        if (found < 0 || is_init(project_.files[file].path)) found = file;  // a package hides a module
    });
    return found;
}

Index Modules::init_of(Text directory) const {
    if (directory.empty()) return file_at(kInit);
    const Index file = module_at(directory);
    return file >= 0 && is_init(project_.files[file].path) ? file : -1;
}

Index Modules::package(Index file) const {
    const Text path = project_.files[file].path;
    const Text directory = parent_directory(path);
    if (!is_init(path)) return noted(init_of(directory));
    return directory.empty() ? -1 : noted(init_of(parent_of(directory)));
}

Index Modules::file_at(Text path) const {
    return files_.find(path);
}

std::vector<Index> Modules::candidates(Text dotted, Index importer) const {
    std::vector<Index> nearest;
    const Text from = importer >= 0 ? Text(project_.files[importer].path) : Text();
    bool best_is_strong = false;
    int best_shared = -1;
    by_name_.for_each(dotted, [&](Index place) {
        const auto [file, strong] = places_[place];
        const int shared = shared_directories(project_.files[file].path, from);
        if (strong < best_is_strong || (strong == best_is_strong && shared < best_shared)) return;
        if (strong != best_is_strong || shared != best_shared) nearest.clear();
        best_is_strong = strong;
        best_shared = shared;
        nearest.push_back(file);
    });
    std::sort(nearest.begin(), nearest.end());
    nearest.erase(std::unique(nearest.begin(), nearest.end()), nearest.end());
    // Of a package and a module at the same place, Python takes the package.
    std::erase_if(nearest, [&](Index file) { return module_at(stem_of(project_.files[file].path)) != file; });
    for (const Index file : nearest) noted(file);
    return nearest;
}

Index Modules::find(Text dotted, Index importer) const {
    const std::vector<Index> all = candidates(dotted, importer);
    return all.size() == 1 ? all.front() : -1;
}

Index Modules::find_from(Index file, Text canonical) const {
    const Prefix prefix = find_prefix(file, canonical);
    return prefix.size == canonical.size() ? prefix.file : -1;
}

Modules::Prefix Modules::find_prefix(Index file, Text canonical) const {
    const std::size_t dots = std::min(canonical.find_first_not_of('.'), canonical.size());
    if (dots == 0) {
        for (Text name = canonical; !name.empty(); name = name.substr(0, std::min(name.rfind('.'), name.size()))) {
            if (const Index found = find(name, file); found >= 0) return {found, name.size()};
            if (name.find('.') == Text::npos) break;
        }
        return {};
    }
    Text directory = parent_directory(project_.files[file].path);
    for (std::size_t level = 1; level < dots; ++level) {
        if (directory.empty()) return {};
        directory = parent_of(directory);
    }
    std::string path(directory);
    const std::size_t base = path.empty() ? 0 : path.size() + 1;
    if (base != 0) path += '/';
    path += canonical.substr(dots);
    std::replace(path.begin() + static_cast<std::ptrdiff_t>(base), path.end(), '.', '/');
    while (path.size() > base) {
        const Text stem(path);
        if (const Index found = noted(module_at(stem)); found >= 0) return {found, dots + stem.size() - base};
        const std::size_t slash = path.rfind('/');
        path.resize(slash == std::string::npos || slash < base ? base : slash);
    }
    const Index package = noted(init_of(directory));
    return package >= 0 ? Prefix{package, dots} : Prefix{};
}

}  // namespace tach::analyzer
