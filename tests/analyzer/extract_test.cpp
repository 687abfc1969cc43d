#include "analyzer/extract.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace tach::analyzer;

namespace {

// The facts of a source, with all that they refer to.
struct Read {
    explicit Read(Text text) : source(text) { facts = extract(source, parser, arena); }

    std::string source;
    Parser parser;
    Arena arena;
    Facts facts;

    [[nodiscard]] const Function& function(Text name) const {
        const auto found = std::find_if(facts.functions.begin(), facts.functions.end(),
                                        [&](const Function& f) { return f.name == name; });
        REQUIRE(found != facts.functions.end());
        return *found;
    }
    [[nodiscard]] const Class& klass(Text name) const {
        const auto found =
            std::find_if(facts.classes.begin(), facts.classes.end(), [&](const Class& c) { return c.name == name; });
        REQUIRE(found != facts.classes.end());
        return *found;
    }
    [[nodiscard]] std::vector<std::string> calls(Index caller) const {
        std::vector<std::string> names;
        for (const Call& call : facts.calls) {
            if (call.caller == caller) names.emplace_back(call.callee);
        }
        return names;
    }
};

using Names = std::vector<Text>;
using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("functions and classes, nested ones, with their places") {
    const Read read(
        "class TestA:\n    class TestB:\n        def test_x(self): pass\n\nasync def test_y():\n    pass\n");
    CHECK(read.klass("TestB").parent == 0);
    CHECK(read.function("test_x").parent == 1);
    CHECK(read.function("test_x").at == Position{3, 13});
    CHECK(read.function("test_y").is_async);
}

TEST_CASE("what a test requests") {
    const Read read(
        "def test_a(x, y: int, z=1, w: int = 2, *args, k, l=3, **kw): pass\n"
        "def test_b(a, /, b): pass\n"
        "class TestC:\n"
        "    def test_m(self, m): pass\n"
        "    @staticmethod\n"
        "    def test_s(s): pass\n");
    CHECK(read.function("test_a").requests == Names{"x", "y", "k"});
    CHECK(read.function("test_b").requests == Names{"b"});
    CHECK(read.function("test_m").requests == Names{"m"});
    CHECK(read.function("test_s").requests == Names{"s"});
}

TEST_CASE("mock.patch fills in arguments, unless it is told what with") {
    const Read read(
        "from unittest import mock\nfrom unittest.mock import patch\n"
        "@patch('a')\n@mock.patch.object(x, 'b')\ndef test_a(one, two, three): pass\n"
        "@patch('a', new=1)\n@patch('a', 2)\n@patch.dict('a')\ndef test_b(four): pass\n");
    CHECK(read.function("test_a").requests == Names{"three"});
    CHECK(read.function("test_a").is_known);
    CHECK(read.function("test_b").requests == Names{"four"});
}

TEST_CASE("marks are in the order in which pytest has them") {
    const Read read(
        "import pytest\nfrom pytest import mark as m\nlinux = m.skipif(True, reason='no')\n"
        "@m.slow\n@linux\n@pytest.mark.usefixtures('a', \"b\")\ndef test_a(): pass\n");
    const Function& test = read.function("test_a");
    REQUIRE(test.marks.size() == 3);
    CHECK(test.marks[0].name == "usefixtures");
    CHECK(test.marks[0].strings == Names{"a", "b"});
    CHECK(test.marks[1].name == "skipif");
    CHECK(test.marks[1].arguments == "True, reason='no'");
    CHECK(test.marks[2].name == "slow");
    CHECK(test.is_known);
}

TEST_CASE("a decorator that may have made anything of a test") {
    const Read read("from helpers import retry\n@retry\ndef test_a(): pass\n@retry(3)\nclass TestB: pass\n");
    CHECK_FALSE(read.function("test_a").is_known);
    CHECK(read.function("test_a").decorators.at(0).name == "helpers.retry");
    CHECK_FALSE(read.klass("TestB").is_known);
}

TEST_CASE("hypothesis fills in arguments by name, and the last ones by position") {
    const Read read(
        "from hypothesis import given, settings, strategies as st\n"
        "@given(st.integers(), x=st.text())\n@settings(max_examples=3)\ndef test_a(fixture, x, value): pass\n"
        "@given(*all)\ndef test_b(value): pass\n");
    CHECK(read.function("test_a").requests == Names{"fixture"});
    CHECK(read.function("test_a").is_known);
    CHECK_FALSE(read.function("test_b").is_known);
}

TEST_CASE("pytestmark of a module and of a class") {
    const Read read(
        "import pytest\npytestmark = [pytest.mark.slow, pytest.mark.skip]\n"
        "class TestA:\n    pytestmark = pytest.mark.fast\nclass TestB:\n    pytestmark = compute()\n");
    REQUIRE(read.facts.marks.size() == 2);
    CHECK(read.facts.marks[1].name == "skip");
    CHECK(read.facts.marks_known);
    CHECK(read.klass("TestA").marks.at(0).name == "fast");
    CHECK_FALSE(read.klass("TestB").is_known);
}

TEST_CASE("fixtures") {
    const Read read(
        "import pytest\nfrom pytest import fixture as fx\n"
        "@pytest.fixture\ndef plain(): pass\n"
        "@fx(scope='session', autouse=True, name='other')\ndef named(plain): yield\n"
        "@fx(scope=compute, params=[1])\ndef computed(): pass\n"
        "@fx(name=NAME)\ndef nameless(): pass\n");
    REQUIRE(read.facts.fixtures.size() == 4);
    CHECK(read.facts.fixtures[0].name == "plain");
    CHECK(read.facts.fixtures[0].scope == Scope::kFunction);
    CHECK(read.facts.fixtures[1].name == "other");
    CHECK(read.facts.fixtures[1].scope == Scope::kSession);
    CHECK(read.facts.fixtures[1].autouse);
    CHECK(read.function("named").is_generator);
    CHECK(read.facts.fixtures[2].scope == Scope::kDynamic);
    CHECK(read.facts.fixtures[2].parameters >= 0);
    CHECK_FALSE(read.facts.fixtures[3].known);
}

TEST_CASE("imports of every form") {
    const Read read(
        "import a.b\nimport c.d as e\nfrom ..f import g as h\nfrom . import i\nfrom j import *\n"
        "import importlib\nk = importlib.import_module('k.l')\nimportlib.import_module(name)\n"
        "def test_a():\n    import m\n");
    std::vector<std::string> seen;
    for (const Import& import : read.facts.imports) {
        seen.push_back(std::string(import.level, '.') + std::string(import.module) + ":" + std::string(import.member) +
                       ":" + std::string(import.local) + (import.function >= 0 ? "!" : "") +
                       (import.is_call ? "()" : ""));
    }
    CHECK(seen == Strings{"a.b::a", "c.d::e", "..f:g:h", ".:i:i", "j:*:", "importlib::importlib", "k.l::()", "m::m!"});
    REQUIRE(read.facts.dynamic_imports.size() == 1);
    CHECK(read.facts.dynamic_imports[0].at.line == 8);
}

TEST_CASE("imports that never happen, may fail or may not be reached") {
    const Read read(
        "from typing import TYPE_CHECKING\nimport typing as t\n"
        "if TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
        "if not t.TYPE_CHECKING:\n    import c\n"
        "if False:\n    import d\n"
        "if x:\n    import e\n"
        "try:\n    import f\nexcept ImportError:\n    import g\n"
        "if __name__ == '__main__':\n    import h\n");
    std::string never;
    std::string conditional;
    std::string guarded;
    for (const Import& import : read.facts.imports) {
        if (import.never_runs) never += import.local;
        if (import.is_conditional && import.local.size() == 1) conditional += import.local;
        if (import.is_guarded) guarded += import.local;
    }
    CHECK(never == "adh");
    CHECK(conditional == "efg");
    CHECK(guarded == "f");
}

TEST_CASE("calls by canonical name and by who makes them") {
    const Read read(
        "import threading as th\nfrom subprocess import Popen as P\nfrom .util import run\nT = th.Thread\n"
        "start = lambda: th.Timer(1, None)\n"
        "T(target=None)\n"
        "@register\ndef f(th2):\n    P(['x']).wait()\n    th2.Thread()\n    run()\n    def g(): th.Event()\n    return "
        "1\n    "
        "th.Lock()\n"
        "def h():\n    P = make\n    P()\n    x = th.Thread\n    x()\n"
        "if __name__ == '__main__':\n    f()\n");
    CHECK(read.calls(-1) == Strings{"threading.Thread", "register"});
    CHECK(read.calls(0) == Strings{"?.wait", "subprocess.Popen", "?.Thread", ".util.run", "threading.Event"});
    CHECK(read.calls(1) == Strings{"make", "threading.Thread"});
}

TEST_CASE("bindings: the place of the first, the meaning of the last") {
    const Read read(
        "def test_a(): pass\nx = 1\ndef test_b(): pass\ndef test_a(): pass\n"
        "if cond:\n    def test_c(): pass\nfor test_d in y: pass\ndel test_b\n");
    std::vector<std::string> seen;
    for (const Binding& binding : read.facts.bindings) {
        seen.push_back(std::string(binding.name) + (binding.is_conditional ? "?" : "") +
                       std::to_string(static_cast<int>(binding.kind)) + ":" + std::to_string(binding.index));
    }
    CHECK(seen == Strings{"test_a0:2", "x3:-1", "test_b4:-1", "test_c?0:3", "test_d?3:-1"});
}

TEST_CASE("exports, plugins, skips of a whole module") {
    const Read read(
        "import pytest\n__all__ = ['a', 'b']\npytest_plugins = 'one'\n"
        "if x:\n    pytest.skip('no', allow_module_level=True)\n");
    CHECK(read.facts.exports == Names{"a", "b"});
    CHECK(read.facts.exports_known);
    CHECK(read.facts.plugins == Names{"one"});
    CHECK(read.facts.may_skip);
    const Read computed("__all__ = a.__all__ + ['x']\npytest_plugins = make()\n");
    CHECK_FALSE(computed.facts.exports_known);
    CHECK_FALSE(computed.facts.plugins_known);
}

TEST_CASE("fixtures that a test asks for by name") {
    const Read read("def test_a(request):\n    request.getfixturevalue('x')\n    request.getfixturevalue(name)\n");
    CHECK(read.function("test_a").literals == Names{"x"});
    CHECK(read.function("test_a").asks_for_fixtures);
}

TEST_CASE("what is no Python is told with its place, and the rest is read") {
    const Read read("def test_a(): pass\n\nx = = 1\n\ndef test_b(): pass\n");
    CHECK_FALSE(read.facts.is_complete);
    REQUIRE_FALSE(read.facts.diagnostics.empty());
    CHECK(read.facts.diagnostics[0].at.line == 3);
    CHECK(read.facts.functions.size() == 2);
    CHECK_FALSE(Read("def test_a():\n    print 'x'\n").facts.is_complete);
}

TEST_CASE("deep nesting and long lines end in time, without a crash") {
    constexpr std::size_t kDeep = 20'000;
    CHECK(Read("x = " + std::string(kDeep, '(') + "1" + std::string(kDeep, ')') + "\n").facts.bindings.size() == 1);
    CHECK(Read("x = " + std::string(kDeep, '[') + std::string(kDeep, ']') + "\n").facts.bindings.size() == 1);
    std::string chain = "x = a";
    for (std::size_t i = 0; i < kDeep; ++i) chain += ".b";
    CHECK(Read(chain + "()\n").calls(-1) == Strings{"?.b"});
    std::string calls = "x = f";
    for (std::size_t i = 0; i < 2'000; ++i) calls += "(1)";
    CHECK(Read(calls + "\n").calls(-1) == Strings{"f"});
    std::string blocks;
    for (std::size_t i = 0; i < 300; ++i) blocks += std::string(i, ' ') + "if x:\n";
    CHECK_FALSE(Read(blocks + std::string(300, ' ') + "pass\n").facts.is_complete);
}

TEST_CASE("methods of the instance, and of what has no name") {
    const Read read(
        "import os\n"
        "class Server:\n"
        "    def start(this): this.spawn(); this.thread.start(); os.fork()\n"
        "    @classmethod\n"
        "    def make(cls, other): other.close(); return cls().start()\n"
        "    @staticmethod\n"
        "    def of(one): one.go()\n"
        "server = Server()\n"
        "server.start()\n"
        "[Server()][0].stop()\n");
    CHECK(read.calls(0) == Strings{"self.spawn", "self.thread.start", "os.fork"});
    CHECK(read.calls(1) == Strings{"?.close", "?.start", "self"});
    CHECK(read.calls(2) == Strings{"?.go"});
    CHECK(read.calls(-1) == Strings{"classmethod", "staticmethod", "Server", "server.start", "?.stop"});
}

TEST_CASE("a fixture is asked for by name through an attribute of the instance as well") {
    const Read read("class TestA:\n    def test_x(self): self.request.getfixturevalue('disk')\n");
    CHECK(read.function("test_x").literals == Names{"disk"});
}

TEST_CASE("a loop that never runs calls nothing, what is after it does") {
    const Read read("while 0:\n    a()\nelse:\n    b()\n");
    CHECK(read.calls(-1) == Strings{"b"});
}
