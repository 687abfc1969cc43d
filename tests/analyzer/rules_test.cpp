#include "analyzer/rules.h"

#include <set>
#include <string>

#include "analyzer/builtin_rules.h"
#include "analyzer/rule_settings.h"
#include "tests/catch.h"

using tach::analyzer::builtin_rules;
using tach::analyzer::BuiltinRule;
using tach::analyzer::Index;
using tach::analyzer::read_rules;
using tach::analyzer::Reason;
using tach::analyzer::RuleLevel;
using tach::analyzer::RuleSet;
using tach::analyzer::Text;

namespace {

// "thread toxic", or "-".
std::string verdict(const RuleSet& rules, Text callee) {
    const Index index = rules.match_call(callee);
    if (index < 0) return "-";
    return std::string(word(rules.rule(index).reason)) + " " + std::string(word(rules.rule(index).level));
}

tach::base::Result<RuleSet> read(std::string_view text) {
    const toml::table table = toml::parse(text);
    return read_rules(*table["toxicity"].as_table(), "tach.toml");
}

std::string error(std::string_view text) {
    const auto rules = read(text);
    return rules ? "no error" : rules.error().what;
}

}  // namespace

TEST_CASE("the built-in table holds patterns only, each once") {
    std::set<Text> patterns;
    for (const BuiltinRule& row : builtin_rules()) {
        INFO(row.pattern);
        CHECK(patterns.insert(row.pattern).second);
        CHECK_FALSE(row.because.empty());
    }
    CHECK(RuleSet::builtin().size() == builtin_rules().size() + tach::analyzer::strict_rules().size());
}

TEST_CASE("what stays is toxic, what a rewind puts back or what is waited for is a hint") {
    const RuleSet rules = RuleSet::builtin();
    CHECK(verdict(rules, "threading.Thread") == "thread toxic");
    CHECK(verdict(rules, "threading.Lock") == "-");
    CHECK(verdict(rules, "concurrent.futures.ProcessPoolExecutor") == "process toxic");
    CHECK(verdict(rules, "multiprocessing.Manager") == "process toxic");
    CHECK(verdict(rules, "multiprocessing.managers.SyncManager") == "process toxic");
    CHECK(verdict(rules, "multiprocessing.cpu_count") == "process hint");
    CHECK(verdict(rules, "multiprocessing.Value") == "shared-memory toxic");
    CHECK(verdict(rules, "os.fork") == "process toxic");
    CHECK(verdict(rules, "os.spawnlp") == "process toxic");
    CHECK(verdict(rules, "os.path.join") == "-");
    CHECK(verdict(rules, "subprocess.Popen") == "process toxic");
    CHECK(verdict(rules, "subprocess.check_output") == "process hint");
    CHECK(verdict(rules, "socket.create_server") == "socket toxic");
    CHECK(verdict(rules, "socket.gethostname") == "-");
    CHECK(verdict(rules, "http.server.HTTPServer") == "socket toxic");
    CHECK(verdict(rules, "server.httpd.serve_forever") == "socket toxic");
    CHECK(verdict(rules, "loop.run_in_executor") == "thread toxic");
    CHECK(verdict(rules, "ctypes.cdll.LoadLibrary") == "native-code toxic");
    CHECK(verdict(rules, "ffi.dlopen") == "native-code toxic");
    CHECK(verdict(rules, "grpc.aio.insecure_channel") == "background-thread toxic");
    CHECK(verdict(rules, "grpc.insecure_channel") == "background-thread toxic");
    CHECK(verdict(rules, "grpc.StatusCode") == "-");
    CHECK(verdict(rules, "signal.signal") == "signal-handler hint");
    CHECK(verdict(rules, "atexit.register") == "atexit hint");
    CHECK(verdict(rules, "sys.settrace") == "trace hint");
    CHECK(verdict(rules, "os.chdir") == "working-directory hint");
    CHECK(verdict(rules, "resource.setrlimit") == "resource-limits hint");
    CHECK(verdict(rules, "asyncio.run") == "event-loop hint");
    CHECK(verdict(rules, "asyncio.new_event_loop") == "event-loop toxic");
    CHECK(verdict(rules, "os.setuid") == "credentials toxic");
    CHECK(verdict(rules, "") == "-");
}

TEST_CASE("an import rule is of submodules, too; those of strict mode count there alone") {
    RuleSet rules = RuleSet::builtin();
    CHECK(rules.match_import("tensorflow.keras.layers") >= 0);
    CHECK(rules.match_import("tensorflow_datasets") == -1);
    CHECK(rules.match_call("tensorflow") == -1);
    CHECK(rules.match_import("threading") == -1);
    rules.set_strict(true);
    CHECK(rules.match_import("threading") >= 0);
    CHECK(rules.match_import("concurrent.futures.thread") >= 0);
    CHECK(rules.match_import("json") == -1);
}

TEST_CASE("stars stand for anything, the last rule that matches counts") {
    RuleSet rules;
    REQUIRE(rules.add({"a.*.start*", Reason::kThread, RuleLevel::kToxic, "x"}));
    REQUIRE(rules.add({"*Pool", Reason::kProcess, RuleLevel::kToxic, "x"}));
    REQUIRE(rules.add({"a.b.start", Reason::kSocket, RuleLevel::kHint, "x"}));
    CHECK(verdict(rules, "a.x.y.start_all") == "thread toxic");
    CHECK(verdict(rules, "a.start") == "-");
    CHECK(verdict(rules, "a.b.start") == "socket hint");
    CHECK(verdict(rules, "my.ThreadPool") == "process toxic");
    for (const char* pattern : {"", "*", "*.*", ".a", "a.", "a..b", "a b", "import ", "a()"}) {
        INFO(pattern);
        CHECK_FALSE(rules.add({pattern, Reason::kThread, RuleLevel::kToxic, "x"}));
    }
}

TEST_CASE("rules can be lowered and silenced, one callee of a wide rule, too, and not without a reason") {
    RuleSet rules = RuleSet::builtin();
    REQUIRE(rules.lower("multiprocessing.Queue", RuleLevel::kHint, "never put into"));
    CHECK(verdict(rules, "multiprocessing.Queue") == "process hint");
    CHECK(verdict(rules, "multiprocessing.Pool") == "process toxic");
    REQUIRE(rules.silence("multiprocessing.*", "all of it is mocked"));
    CHECK(verdict(rules, "multiprocessing.Pool") == "-");
    CHECK(rules.silence("nothing.known", "x").error().what ==
          "nothing.known: no rule is about it, so that there is none to lower");
    CHECK(rules.silence("threading.Thread", "").error().what ==
          "threading.Thread: no reason is given for making less of it");
    CHECK(rules.lower("os.chdir", RuleLevel::kToxic, "x").error().what == "os.chdir: is hint already");
    RuleSet moved = std::move(rules);
    CHECK(verdict(moved, "multiprocessing.Pool") == "-");
    CHECK(verdict(moved, "threading.Thread") == "thread toxic");
}

TEST_CASE("tach.toml adds, lowers and silences, and chooses the mode") {
    const auto rules = read(R"([toxicity]
mode = "strict"
[[toxicity.rule]]
pattern = "mylib.start"
reason = "thread"
because = "starts the metrics thread"
[[toxicity.rule]]
pattern = "subprocess.Popen"
level = "silent"
because = "our wrapper waits for all of them"
[[toxicity.rule]]
pattern = "import tensorflow"
level = "hint"
because = "threads are switched off"
)");
    REQUIRE(rules);
    CHECK(rules->is_strict());
    CHECK(verdict(*rules, "mylib.start") == "thread toxic");
    CHECK(verdict(*rules, "subprocess.Popen") == "-");
    CHECK(rules->rule(rules->match_import("tensorflow.keras")).level == RuleLevel::kHint);
    CHECK(rules->table().find("| `mylib.start` | thread | toxic | starts the metrics thread |") != std::string::npos);
}

TEST_CASE("a mistake in tach.toml is one line with its place") {
    CHECK(error("[toxicity]\nmode = 1\n") == "tach.toml:2:8: toxicity.mode: expected \"strict\" or \"default\"");
    CHECK(error("[toxicity]\nmoode = 1\n") == "tach.toml:2:1: toxicity.moode: unknown key, expected mode or rule");
    CHECK(error("[toxicity]\nrule = 1\n") == "tach.toml:2:8: toxicity.rule: expected tables, [[toxicity.rule]]");
    CHECK(error("[[toxicity.rule]]\nbecause = \"x\"\n") == "tach.toml:1:1: toxicity.rule: has no pattern");
    CHECK(error("[[toxicity.rule]]\npattern = \"a.b\"\n") == "tach.toml:1:1: toxicity.rule: a.b: has no because");
    CHECK(error("[[toxicity.rule]]\npattern = \"a.b\"\nbecause = \"x\"\n") ==
          "tach.toml:1:1: toxicity.rule: a.b: a rule that is toxic needs a reason");
    CHECK(error("[[toxicity.rule]]\npattern = \"a.b\"\nbecause = \"x\"\nlevel = \"hint\"\n") ==
          "tach.toml:1:1: toxicity.rule: a.b: no rule is about it, so that there is none to lower");
    CHECK(
        error("[[toxicity.rule]]\npattern = \"a b\"\nbecause = \"x\"\nreason = \"thread\"\n") ==
        "tach.toml:1:1: toxicity.rule: \"a b\" is no pattern: expected a dotted name, or \"import NAME\"; * stands for "
        "anything");
    CHECK(
        error("[[toxicity.rule]]\npattern = \"a\"\nbecause = \"x\"\nreason = \"bad\"\n") ==
        "tach.toml:1:1: toxicity.rule.reason: is \"bad\", expected one of thread, background-thread, process, socket, "
        "shared-memory, native-code, event-loop, credentials, signal-handler, atexit, trace, working-directory, "
        "resource-limits");
    CHECK(error("[[toxicity.rule]]\npattern = \"a\"\nwhy = \"x\"\n") ==
          "tach.toml:3:1: toxicity.rule.why: unknown key, expected pattern, reason, level or because");
}
