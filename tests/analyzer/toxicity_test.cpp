#include "analyzer/toxicity.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/analyzer/facts_builder.h"
#include "tests/catch.h"

using tach::analyzer::Finding;
using tach::analyzer::ImportGraph;
using tach::analyzer::Modules;
using tach::analyzer::Project;
using tach::analyzer::References;
using tach::analyzer::RuleSet;
using tach::analyzer::Scope;
using tach::analyzer::Toxicity;
using tach::analyzer::ToxicityReport;
using tach::analyzer::WideToxicity;
using tach::test::FactsBuilder;
using tach::test::ProjectBuilder;

namespace {

using Lines = std::vector<std::string>;

RuleSet strict() {
    RuleSet rules = RuleSet::builtin();
    rules.set_strict(true);
    return rules;
}

struct Analysis {
    explicit Analysis(const ProjectBuilder& builder, RuleSet with = RuleSet::builtin())
        : project(builder.build()),
          modules(project),
          references(project, modules),
          graph(project, modules, references),
          rules(std::move(with)),
          toxicity(project, graph, references, rules) {}

    const ToxicityReport& report(const std::string& path) const { return toxicity.modules()[modules.file_at(path)]; }

    std::string level(const std::string& path) const { return std::string(word(report(path).level)); }

    Lines sentences(const std::vector<Finding>& findings) const {
        Lines lines;
        for (const Finding& finding : findings) lines.push_back(toxicity.sentence(finding));
        return lines;
    }
    Lines reasons(const std::string& path) const { return sentences(report(path).reasons); }
    Lines hints(const std::string& path) const { return sentences(report(path).hints); }

    // "file function level: reason"
    Lines wide() const {
        Lines lines;
        for (const WideToxicity& one : toxicity.wide()) {
            const auto& file = project.files[one.wide.place.file];
            lines.push_back(fmt::format("{} {} {}: {}", file.path, file.facts.functions[one.wide.place.function].name,
                                        word(one.level), fmt::join(sentences(one.reasons), "; ")));
        }
        return lines;
    }

    Project project;
    Modules modules;
    References references;
    ImportGraph graph;
    RuleSet rules;
    Toxicity toxicity;
};

}  // namespace

TEST_CASE("what a module does at import makes it toxic, in a body it is a hint, nothing is safe") {
    const Analysis analysis(
        ProjectBuilder()
            .file("a.py", FactsBuilder().import("threading").calls("threading.Thread"))
            .file("b.py", FactsBuilder().import("threading").function("f").calls("threading.Thread", 0))
            .file("c.py", FactsBuilder().import("threading").calls("threading.Lock"))
            .file("d.py", FactsBuilder().import("atexit").calls("atexit.register")));
    CHECK(analysis.level("a.py") == "toxic");
    CHECK(analysis.reasons("a.py") == Lines{"thread: threading.Thread at a.py:2"});
    CHECK(analysis.report("a.py").transitive_from == -1);
    CHECK(analysis.hints("a.py").empty());
    CHECK(analysis.level("b.py") == "safe");
    CHECK(analysis.hints("b.py") == Lines{"thread: threading.Thread at b.py:3"});
    CHECK(analysis.report("b.py").hints[0].function == 0);
    CHECK(analysis.level("c.py") == "safe");
    CHECK(analysis.hints("c.py").empty());
    CHECK(analysis.level("d.py") == "safe");
    CHECK(analysis.hints("d.py") == Lines{"atexit: atexit.register at d.py:2"});
}

TEST_CASE("toxicity comes with what is imported, with the way it came, not with what is imported later or for types") {
    const Analysis analysis(
        ProjectBuilder()
            .file("pkg/__init__.py", FactsBuilder().from(".core", "run"))
            .file("pkg/core.py", FactsBuilder().import("subprocess").function("run").calls("subprocess.Popen"))
            .file("direct.py", FactsBuilder().import("pkg"))
            .file("guarded.py", FactsBuilder().import("direct").guarded())
            .file("later.py", FactsBuilder().function("f").import("pkg").inside(0))
            .file("typed.py", FactsBuilder().from("pkg", "core").never())
            .file("test_later.py", FactsBuilder().function("test_it").import("pkg").inside(0)));
    CHECK(analysis.level("direct.py") == "toxic");
    CHECK(analysis.reasons("direct.py") ==
          Lines{"process: subprocess.Popen at pkg/core.py:3, by direct.py:1, pkg/__init__.py:1"});
    CHECK(analysis.report("direct.py").transitive_from == analysis.modules.file_at("pkg/__init__.py"));
    CHECK(analysis.level("guarded.py") == "toxic");
    CHECK(analysis.reasons("guarded.py") ==
          Lines{"process: subprocess.Popen at pkg/core.py:3, by guarded.py:1, direct.py:1, pkg/__init__.py:1"});
    CHECK(analysis.level("later.py") == "safe");
    CHECK(analysis.level("typed.py") == "safe");
    CHECK(analysis.level("test_later.py") == "safe");
    CHECK(analysis.hints("test_later.py") ==
          Lines{"process: subprocess.Popen at pkg/core.py:3, by test_later.py:2 in test_it(), pkg/__init__.py:1"});
}

TEST_CASE("functions that are called at import count, across files, re-exports, names for them and classes") {
    const ProjectBuilder lib =
        ProjectBuilder()
            .file("lib/__init__.py", FactsBuilder().from(".impl", "*").from("threading", "Thread"))
            .file("lib/impl.py", FactsBuilder()
                                     .function("start")
                                     .calls("_spawn", 0)
                                     .function("_spawn")
                                     .calls("socket.socket", 1)
                                     .import("socket")
                                     .type("Server")
                                     .function("__init__", 0)
                                     .function("run", 0)
                                     .calls("self.loop", 3)
                                     .function("loop", 0)
                                     .calls("os.fork", 4)
                                     .value("alias", "start"));
    const auto level_of = [&](const FactsBuilder& facts) {
        return Analysis(ProjectBuilder(lib).file("use.py", facts)).level("use.py");
    };
    CHECK(level_of(FactsBuilder().from("lib.impl", "start")) == "safe");
    CHECK(level_of(FactsBuilder().from("lib.impl", "start").calls("lib.impl.start")) == "toxic");
    CHECK(level_of(FactsBuilder().from("lib", "start").calls("lib.start")) == "toxic");
    CHECK(level_of(FactsBuilder().import("lib").calls("lib.alias")) == "toxic");
    CHECK(level_of(FactsBuilder().import("lib").calls("lib.Thread")) == "toxic");  // threading's, by another name
    CHECK(level_of(FactsBuilder().from("lib", "Server").calls("lib.Server")) == "safe");
    CHECK(level_of(FactsBuilder().from("lib", "Server").calls("lib.Server.run")) == "toxic");
    // A method of a variable: of any class in reach.
    CHECK(level_of(FactsBuilder().from("lib", "Server").calls("lib.Server").value("server").calls("server.run")) ==
          "toxic");
    CHECK(level_of(FactsBuilder().value("server").calls("server.run")) == "safe");

    const Analysis analysis(ProjectBuilder(lib).file(
        "use.py", FactsBuilder().from("lib", "start").function("f").calls("lib.start", 0).calls("f")));
    CHECK(analysis.reasons("use.py") ==
          Lines{"socket: socket.socket at lib/impl.py:4, by use.py:4, use.py:3 in f(), lib/impl.py:2 in start()"});
}

TEST_CASE("a class is what it derives from, and its creation what its __init__ does, or that of a base") {
    const ProjectBuilder lib =
        ProjectBuilder()
            .file("base.py", FactsBuilder()
                                 .type("Worker", {"threading.Thread"})
                                 .type("Pool")
                                 .function("__init__", 1)
                                 .calls("multiprocessing.Pool", 0)
                                 .type("Handler", {"http.server.BaseHTTPRequestHandler"}))
            .file("more.py", FactsBuilder().type("Better", {"base.Worker"}).type("MyPool", {"base.Pool"}));
    const auto reasons_of = [&](const FactsBuilder& facts) {
        return Analysis(ProjectBuilder(lib).file("use.py", facts)).reasons("use.py");
    };
    CHECK(reasons_of(FactsBuilder().calls("more.Better")) == Lines{"thread: threading.Thread at use.py:1"});
    CHECK(reasons_of(FactsBuilder().calls("more.MyPool")) ==
          Lines{"process: multiprocessing.Pool at base.py:4, by use.py:1"});
    CHECK(reasons_of(FactsBuilder().calls("base.Handler")).empty());
    CHECK(reasons_of(FactsBuilder().type("Mine", {"more.Better"})).empty());
}

TEST_CASE("a wide fixture is toxic by itself, its module is not, and one of a function is a hint") {
    const Analysis analysis(ProjectBuilder()
                                .file("tests/conftest.py", FactsBuilder()
                                                               .fixture("server", Scope::kSession)
                                                               .calls("socketserver.TCPServer", 0)
                                                               .fixture("narrow", Scope::kFunction)
                                                               .calls("threading.Thread", 1)
                                                               .fixture("clean", Scope::kModule)
                                                               .calls("subprocess.run", 2))
                                .file("tests/test_a.py", FactsBuilder()
                                                             .type("TestIt")
                                                             .function("setUpClass", 0)
                                                             .calls("helpers.start", 0)
                                                             .function("setup_module"))
                                .file("tests/helpers.py", FactsBuilder().function("start").calls("os.fork", 0)));
    CHECK(analysis.level("tests/conftest.py") == "safe");
    CHECK(analysis.level("tests/test_a.py") == "safe");
    CHECK(analysis.wide() ==
          Lines{"tests/conftest.py server toxic: socket: socketserver.TCPServer at tests/conftest.py:3",
                "tests/test_a.py setUpClass toxic: process: os.fork at tests/helpers.py:2, by tests/test_a.py:3 in "
                "setUpClass()"});
    CHECK(analysis.hints("tests/conftest.py") ==
          Lines{"thread: threading.Thread at tests/conftest.py:6", "process: subprocess.run at tests/conftest.py:9"});
    const auto conftest = analysis.modules.file_at("tests/conftest.py");
    CHECK(analysis.toxicity.of_fixture(conftest, 0) == tach::analyzer::ToxicityLevel::kToxic);
    CHECK(analysis.toxicity.of_fixture(conftest, 1) == tach::analyzer::ToxicityLevel::kSafe);
    CHECK(analysis.toxicity.of_fixture(conftest, 2) == tach::analyzer::ToxicityLevel::kSafe);
}

TEST_CASE("what a conftest.py does at import, or in hooks that run before the tests, is of all tests below it") {
    const Analysis analysis(
        ProjectBuilder()
            .file("a/conftest.py", FactsBuilder().calls("os.fork"))
            .file("a/deep/test_a.py")
            .file("b/conftest.py", FactsBuilder().function("pytest_configure").calls("os.fork", 0))
            .file("b/test_b.py")
            .file("c/conftest.py", FactsBuilder().function("pytest_runtest_setup").calls("os.fork", 0))
            .file("c/test_c.py")
            .file("d/no_plugin.py", FactsBuilder().function("pytest_configure").calls("os.fork", 0)));
    CHECK(analysis.reasons("a/deep/test_a.py") == Lines{"process: os.fork at a/conftest.py:1, by a/deep/test_a.py"});
    CHECK(analysis.level("b/test_b.py") == "toxic");
    CHECK(analysis.level("c/test_c.py") == "safe");
    CHECK(analysis.level("d/no_plugin.py") == "safe");
}

TEST_CASE("what cannot be known is unknown, comes with imports, and is less than toxic") {
    const Analysis analysis(ProjectBuilder()
                                .file("broken.py", FactsBuilder().incomplete())
                                .file("dynamic.py", FactsBuilder().imports_anything())
                                .file("late.py", FactsBuilder().function("load").imports_anything(0))
                                .file("calls.py", FactsBuilder().import("late").calls("late.load"))
                                .file("written.py", FactsBuilder().calls("importlib.import_module"))
                                .file("use.py", FactsBuilder().import("broken"))
                                .file("worse.py", FactsBuilder().import("broken").calls("os.fork"))
                                .file("fine.py", FactsBuilder().import("late")));
    CHECK(analysis.reasons("broken.py") == Lines{"unknown: not all of it could be read at broken.py:0"});
    CHECK(analysis.level("broken.py") == "unknown");
    CHECK(analysis.reasons("dynamic.py") == Lines{"unknown: an import that its source does not name at dynamic.py:1"});
    CHECK(analysis.level("late.py") == "safe");
    CHECK(analysis.level("calls.py") == "unknown");
    CHECK(analysis.level("written.py") == "unknown");
    CHECK(analysis.level("use.py") == "unknown");
    CHECK(analysis.report("use.py").transitive_from == analysis.modules.file_at("broken.py"));
    CHECK(analysis.level("worse.py") == "toxic");
    CHECK(analysis.reasons("worse.py") == Lines{"process: os.fork at worse.py:2"});
    CHECK(analysis.level("fine.py") == "safe");
}

TEST_CASE("installed packages are safe unless a rule names them") {
    const Analysis analysis(ProjectBuilder()
                                .file("a.py", FactsBuilder().import("numpy"))
                                .file("b.py", FactsBuilder().from("tensorflow.keras", "layers"))
                                .file("c.py", FactsBuilder().function("f").import("grpc").inside(0))
                                .file("d.py", FactsBuilder().from("ddtrace", "auto")));
    CHECK(analysis.level("a.py") == "safe");
    CHECK(analysis.reasons("b.py") == Lines{"background-thread: tensorflow.keras at b.py:1"});
    CHECK(analysis.level("c.py") == "safe");
    CHECK(analysis.hints("c.py") == Lines{"background-thread: grpc at c.py:2"});
    CHECK(analysis.reasons("d.py") == Lines{"background-thread: ddtrace.auto at d.py:1"});
}

TEST_CASE("each reason is named once, in their order, by the shortest way") {
    const Analysis analysis(
        ProjectBuilder()
            .file("far.py", FactsBuilder().calls("os.fork").calls("threading.Thread"))
            .file("near.py", FactsBuilder().import("far").calls("threading.Timer").calls("socket.socket")));
    CHECK(analysis.reasons("near.py") == Lines{"thread: threading.Timer at near.py:2",
                                               "process: os.fork at far.py:1, by near.py:1",
                                               "socket: socket.socket at near.py:3"});
}

TEST_CASE("circles of imports and of calls come to an end, and all of a circle is toxic") {
    const Analysis analysis(
        ProjectBuilder()
            .file("a.py", FactsBuilder().import("b"))
            .file("b.py", FactsBuilder().import("c"))
            .file("c.py", FactsBuilder().import("a").calls("os.fork"))
            .file("d.py", FactsBuilder().function("f").calls("g", 0).function("g").calls("f", 1).calls("f"))
            .file("e.py", FactsBuilder().import("d")));
    for (const char* path : {"a.py", "b.py", "c.py"}) CHECK(analysis.level(path) == "toxic");
    for (const char* path : {"d.py", "e.py"}) CHECK(analysis.level(path) == "safe");
}

TEST_CASE("a rule of the project counts as a built-in one, a silent one not at all") {
    RuleSet rules = RuleSet::builtin();
    REQUIRE(rules.add({"mylib.start", tach::analyzer::Reason::kThread, tach::analyzer::RuleLevel::kToxic, "x"}));
    REQUIRE(rules.silence("os.fork", "x"));
    const Analysis analysis(ProjectBuilder()
                                .file("a.py", FactsBuilder().calls("mylib.start"))
                                .file("b.py", FactsBuilder().calls("os.fork")),
                            std::move(rules));
    CHECK(analysis.level("a.py") == "toxic");
    CHECK(analysis.level("b.py") == "safe");
    CHECK(analysis.hints("b.py").empty());
}

TEST_CASE("strict: any pattern anywhere, any import of what offers one, however it is imported") {
    const Analysis analysis(ProjectBuilder()
                                .file("a.py", FactsBuilder().function("f").calls("signal.signal", 0))
                                .file("b.py", FactsBuilder().import("threading"))
                                .file("c.py", FactsBuilder().function("f").import("a").inside(0))
                                .file("d.py", FactsBuilder().import("a").never())
                                .file("e.py", FactsBuilder().import("json"))
                                .file("f.py", FactsBuilder().import("socket").never()),
                            strict());
    for (const char* path : {"a.py", "b.py", "c.py"}) CHECK(analysis.level(path) == "toxic");
    for (const char* path : {"d.py", "e.py", "f.py"}) CHECK(analysis.level(path) == "safe");
    CHECK(analysis.reasons("c.py") == Lines{"signal-handler: signal.signal at a.py:2, by c.py:2"});
}

TEST_CASE("two analyses of one project say the same") {
    const ProjectBuilder builder = ProjectBuilder()
                                       .file("a.py", FactsBuilder().import("b").import("c"))
                                       .file("b.py", FactsBuilder().calls("os.fork").calls("threading.Thread"))
                                       .file("c.py", FactsBuilder().calls("os.fork").import("b"));
    CHECK(Analysis(builder).reasons("a.py") == Analysis(builder).reasons("a.py"));
}

TEST_CASE("ten thousand files with fifty calls each are no matter", "[.speed]") {
    std::vector<std::string> names;
    names.reserve(5050);
    for (int at = 0; at < 5000; ++at) names.push_back(fmt::format("pkg.m{}", at));
    for (int at = 0; at < 50; ++at) names.push_back(fmt::format("variable{}.method{}", at, at));
    ProjectBuilder builder;
    builder.file("src/pkg/__init__.py");
    for (int at = 0; at < 5000; ++at) {
        FactsBuilder facts;
        for (int back = 1; back <= 10; ++back) facts.import(names[at / (back + 1)]);
        facts.type("A").function("__init__", 0).function("method1", 0).function("run").calls("pkg.m1.A", 2);
        builder.file(fmt::format("src/pkg/m{}.py", at), facts);
        FactsBuilder test;
        test.import(names[at]).import("threading");
        for (int call = 0; call < 50; ++call) test.function("test_it").calls(names[5000 + call], call);
        builder.file(fmt::format("tests/test_{}.py", at), test);
    }
    const Project project = builder.build();
    const RuleSet rules = RuleSet::builtin();
    const auto start = std::chrono::steady_clock::now();
    const Modules modules(project);
    References references(project, modules);
    const auto named = std::chrono::steady_clock::now();
    const ImportGraph graph(project, modules, references);
    const auto linked = std::chrono::steady_clock::now();
    const Toxicity toxicity(project, graph, references, rules);
    const auto ready = std::chrono::steady_clock::now();
    using Ms = std::chrono::duration<double, std::milli>;
    const std::string spent =
        fmt::format("names {:.0f} ms, graph {:.0f} ms, toxicity {:.0f} ms", Ms(named - start).count(),
                    Ms(linked - named).count(), Ms(ready - linked).count());
    WARN(spent);
    CHECK(toxicity.wide().empty());
}
