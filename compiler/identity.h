#pragma once

// By what the stage knows without starting an interpreter that it is the one that an image was made with: the files
// that it consists of, as far as they make a difference to code, and the variables that do. Kept in the image as text,
// one line each, readable by people. Driven by stage.cpp.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tach::compiler {

struct Identity {
    std::string interpreter;         // its path, as it was found
    std::string ini_file;            // "" if there is none
    std::vector<std::string> files;  // that it named itself
};

using Environment = std::function<std::optional<std::string>(const char* name)>;

// `since_ns` (CLOCK_REALTIME): when the interpreter had not been asked yet. None: a file was changed after that, or
// might have been, or the interpreter is a script, which starts whatever it likes: it has to be asked again next time.
[[nodiscard]] std::optional<std::string> identity_text(const Identity& identity, const Environment& environment,
                                                       std::int64_t since_ns);

// Identity::files of what the text was made of.
[[nodiscard]] std::vector<std::string> identity_files(std::string_view text);

}  // namespace tach::compiler
