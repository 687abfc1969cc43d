// tach-zygote: started by tach-supervisor, never by hand. Starts the user's interpreter with the harness and keeps what
// descends from it; see zygote/keeper.h.
//
//   tach-zygote LIFELINE GROUP FDS ENVIRONMENT... -- COMMAND...
//
// LIFELINE is a descriptor number; GROUP is 1 for a process group of its own; FDS is a comma-separated list of
// descriptors that the command inherits; ENVIRONMENT are NAME=VALUE words.

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>

#include "zygote/keeper.h"

namespace {

// pytest.ExitCode.USAGE_ERROR: the interpreter that the user chose cannot be executed.
constexpr int kUsageExit = 4;

std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<tach::zygote::KeeperOptions> parse(std::span<char* const> words) {
    if (words.size() < 5) return std::nullopt;
    tach::zygote::KeeperOptions options;
    const auto lifeline = number(words[1]);
    if (!lifeline) return std::nullopt;
    options.lifeline = tach::base::UniqueFd(*lifeline);
    options.own_group = std::string_view(words[2]) == "1";
    for (std::string_view list = words[3]; !list.empty();) {
        const std::size_t comma = list.find(',');
        const auto fd = number(list.substr(0, comma));
        if (!fd) return std::nullopt;
        options.inherited.emplace_back(*fd);
        list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
    std::size_t i = 4;
    for (; i < words.size() && std::string_view(words[i]) != "--"; ++i) options.environment.emplace_back(words[i]);
    for (++i; i < words.size(); ++i) options.command.emplace_back(words[i]);
    if (options.command.empty()) return std::nullopt;
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    auto options = parse(std::span(argv, static_cast<std::size_t>(argc)));
    if (!options) {
        fmt::print(stderr, "tach-zygote is started by tach-supervisor; run that instead\n");
        return kUsageExit;
    }
    if (auto kept = tach::zygote::keep(*std::move(options)); !kept) {
        fmt::print(stderr, "tach: {}; choose the interpreter with --python EXE\n", kept.error().what);
        return kUsageExit;
    }
    return 0;
}
