#pragma once

// Which modules are compiled, and as what: by an analysis, and by lists of what runs have imported. Driven by
// stage.cpp.
//
// A list of imports is "tach imports 1\n" and records of three fields, each ended by a NUL: kind ("p": as the
// interpreter compiles it, "r": by pytest's assertion rewriter), absolute path of the source, dotted name of the module
// ("" if unknown).

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shm/analysis_file.h"
#include "shm/bytecode_image.h"

namespace tach::compiler {

struct Wanted {
    shm::bytecode::Kind kind = shm::bytecode::Kind::kPlain;
    std::string path;  // absolute
    std::string name;
    [[nodiscard]] bool is_package() const;
};

// `root`: absolute.
void add_modules(const shm::analysis::Analysis& analysis, std::string_view root, std::vector<Wanted>& wanted);

// EPROTO: it is no such list, or damaged; `what` names nothing. Nothing is added then.
[[nodiscard]] base::Result<void> add_imports(std::string_view bytes, std::vector<Wanted>& wanted);

// By kind and path, each of these once: of several names the first that is not empty.
void sort_out(std::vector<Wanted>& wanted);

}  // namespace tach::compiler
