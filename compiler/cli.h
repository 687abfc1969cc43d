#pragma once

// The command line of tach-compiler. A mistake is an Error of one line that names the option and says what to do.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace tach::compiler {

enum class OutputFormat : std::uint8_t { kJson, kTable };

struct CommandLine {
    bool help = false;
    bool version = false;
    bool verbose = false;
    bool paranoid = false;        // contents are compared though signatures are equal
    bool idle = false;            // works only when nobody else does
    std::optional<pid_t> parent;  // whose end is ours
    std::optional<std::string> analysis;
    std::vector<std::string> imports;
    std::optional<std::string> root;
    std::optional<std::string> output;
    std::optional<std::string> python;
    std::optional<std::string> depfile;
    std::optional<std::string> depfile_target;
    std::optional<OutputFormat> format;
    std::size_t jobs = 0;  // 0: as many as there are processors
};

[[nodiscard]] base::Result<CommandLine> parse_command_line(std::span<const std::string> words);

[[nodiscard]] std::string help_text();

// What --help says of each option, for the man page.
struct OptionText {
    char letter = '\0';  // short spelling; none when 0
    std::string name;    // long spelling, without dashes
    std::string argument;
    std::string help;
};
[[nodiscard]] std::vector<OptionText> option_texts();

}  // namespace tach::compiler
