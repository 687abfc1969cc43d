#include "compiler/wanted.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <tuple>

namespace tach::compiler {

using shm::bytecode::Kind;

namespace {

constexpr std::string_view kImportsHead = "tach imports 1\n";
constexpr std::string_view kSuffix = ".py";
constexpr std::string_view kPackageFile = "/__init__.py";

auto key_of(const Wanted& one) {
    return std::tie(one.kind, one.path);
}

}  // namespace

bool Wanted::is_package() const {
    return path.ends_with(kPackageFile);
}

void add_modules(const shm::analysis::Analysis& analysis, std::string_view root, std::vector<Wanted>& wanted) {
    for (const shm::analysis::Module& module : analysis.modules) {
        if (module.is_text || !module.path.ends_with(kSuffix)) continue;
        const auto path = (std::filesystem::path(root) / module.path).lexically_normal();
        wanted.push_back({.kind = module.is_test || module.is_conftest ? Kind::kRewritten : Kind::kPlain,
                          .path = path.string(),
                          .name = std::string(module.name)});
    }
}

base::Result<void> add_imports(std::string_view bytes, std::vector<Wanted>& wanted) {
    if (!bytes.starts_with(kImportsHead)) return base::fail(base::protocol_error("not a list of imports"));
    bytes.remove_prefix(kImportsHead.size());
    std::vector<Wanted> found;
    while (!bytes.empty()) {
        std::array<std::string_view, 3> fields;
        for (std::string_view& field : fields) {
            const std::size_t end = bytes.find('\0');
            if (end == std::string_view::npos) return base::fail(base::protocol_error("cut off"));
            field = bytes.substr(0, end);
            bytes.remove_prefix(end + 1);
        }
        const bool is_sound = (fields[0] == "p" || fields[0] == "r") && fields[1].starts_with('/');
        if (!is_sound) return base::fail(base::protocol_error("damaged"));
        found.push_back({.kind = fields[0] == "r" ? Kind::kRewritten : Kind::kPlain,
                         .path = std::string(fields[1]),
                         .name = std::string(fields[2])});
    }
    wanted.insert(wanted.end(), std::move_iterator(found.begin()), std::move_iterator(found.end()));
    return {};
}

void sort_out(std::vector<Wanted>& wanted) {
    std::stable_sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) {
        return std::tuple(key_of(a), a.name.empty()) < std::tuple(key_of(b), b.name.empty());
    });
    const auto is_same = [](const Wanted& a, const Wanted& b) { return key_of(a) == key_of(b); };
    wanted.erase(std::unique(wanted.begin(), wanted.end(), is_same), wanted.end());
}

}  // namespace tach::compiler
