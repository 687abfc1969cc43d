#include "supervisor/since.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "supervisor/ask_analyzer.h"
#include "supervisor/usage.h"

namespace tach::supervisor {

namespace fs = std::filesystem;
using Json = nlohmann::json;

base::Result<Since> ask_since(const Home& home, const fs::path& cwd, const Settings& settings) {
    const auto answer =
        ask_analyzer(home, "--since", cwd, {"--since=" + settings.since.value_or(""), "--format=json"}, settings);
    if (!answer) return base::fail(answer.error());
    auto since = read_since(*answer);
    if (!since) return mistake(fmt::format("--since: {}", since.error().what));
    return since;
}

base::Result<Since> read_since(std::string_view json) {
    try {
        const Json document = Json::parse(json);
        const fs::path root = document.at("root").get<std::string>();
        Since since;
        if (document.at("everything").get<bool>()) since.because = document.at("because").get<std::string>();
        for (const Json& file : document.at("affected")) {
            since.affected.push_back(
                {file.at("file").get<std::string>(), file.at("why").get<std::vector<std::string>>()});
        }
        for (const Json& file : document.at("unaffected")) {
            since.unaffected.push_back((root / file.get<std::string>()).string());
        }
        return since;
    } catch (const Json::exception&) {
        return base::fail(base::Error{EPROTO, "what tach-analyzer answers cannot be read; reinstall tach"});
    }
}

std::vector<std::string> describe(const Since& since, const std::string& revision, bool verbose) {
    if (!since.because.empty()) {
        return {fmt::format("all tests are run: {} has changed since {}", since.because, revision)};
    }
    const std::size_t all = since.affected.size() + since.unaffected.size();
    std::vector<std::string> lines{
        since.affected.empty() ? fmt::format("no test file of {} can reach what has changed since {}", all, revision)
                               : fmt::format("{} of {} test files can reach what has changed since {}",
                                             since.affected.size(), all, revision)};
    if (!verbose) return lines;
    for (const Since::File& file : since.affected) {
        lines.push_back(fmt::format("{}: {}", file.path, fmt::join(file.why, "; ")));
    }
    return lines;
}

}  // namespace tach::supervisor
