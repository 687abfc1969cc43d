"""What the sources say against rewinding a test makes it forked, until the guard has seen that it need not be; and
--explain, which says what each test gets, and why."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
from runner import ANALYZER, ENGINE, SUPERVISOR, Project, Report, Run, clean_environment

pytestmark = pytest.mark.skipif(ENGINE == "fork", reason="only where tests are rewound is there something to choose")

LEAK = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
TOXIC = """
import socket, threading, time
import pytest
socket.socket().close()

@pytest.fixture(scope="module")
def numbers():
    threading.Thread(target=int).start()
    return []

def test_plain(): pass
def test_leaks(): {leak}
@pytest.mark.parametrize("n", [1, 2])
def test_wide(numbers, n): numbers.append(n); assert numbers == [n]
"""
SAFE = "def test_one(): pass\ndef test_two(): assert not 'fine'\n"
RULE = "[[toxicity.rule]]\npattern = 'helper.connect'\nreason = 'socket'\nbecause = 'talks to the licence server'\n"


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("test_safe.py", SAFE)
    project.write("test_toxic.py", TOXIC.format(leak=LEAK))
    return project


def run(suite: Project, *words: str) -> Report:
    return suite.json("--strict-isolation", *words)


def condemned(report: Report) -> float:
    metrics: dict[str, float] = report.data["metrics"]
    return sum(value for name, value in metrics.items() if name.startswith("condemned."))


def explained(suite: Project, nodeid: str, *words: str) -> dict[str, Any]:
    result = suite.tach("--explain", nodeid, "--format", "json", "--strict-isolation", *words)
    assert result.code == 0, result
    answer: dict[str, Any] = json.loads(result.out)
    return answer


FIRST = {"test_one": "snapshot", "test_two": "snapshot", "test_plain": "fork", "test_leaks": "fork"}
THEN = {**FIRST, "test_plain": "snapshot"}
WIDE = ("test_wide[1]", "test_wide[2]")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_guard_corrects_the_sources(suite: Project, workers: str) -> None:
    first = run(suite, "-n", workers).expect(1, passed=5, failed=1)
    assert first.modes == {**FIRST, **dict.fromkeys(WIDE, "fork")}
    assert first.data["metrics"]["suspected"] == 4
    note = first.test("::test_plain")["note"]
    assert note.startswith("forked, since the sources are against rewinding it: importing test_toxic.py: socket: ")
    assert note.endswith("socket.socket at test_toxic.py:3, a rewind brings back one end of it only")
    assert first.test("::test_one")["note"] == ""
    for _ in range(2):
        second = run(suite, "-n", workers, "--verify-snapshots").expect(1, passed=5, failed=1)
        assert second.modes == {**THEN, **dict.fromkeys(WIDE, "snapshot")}
        assert (condemned(second), second.data["metrics"]["suspected"]) == (0, 0)
        assert (
            "it left a thread" in second.test("::test_leaks")["note"]
            or "thread: " in second.test("::test_leaks")["note"]
        )
        assert [t["outcome"] for t in second.tests] == [t["outcome"] for t in first.tests]


def test_a_changed_source_is_suspected_anew(suite: Project) -> None:
    run(suite)
    assert run(suite).modes["test_plain"] == "snapshot"
    suite.write("test_toxic.py", TOXIC.format(leak="pass") + "\n")
    assert run(suite).modes["test_leaks"] == "fork"
    assert run(suite).modes["test_leaks"] == "snapshot"


def test_it_is_said(suite: Project) -> None:
    line = "4 tests were forked for what the sources import or set up: --explain ID says what"
    assert line in suite.tach("--strict-isolation").lines
    assert line not in suite.tach("--strict-isolation").lines


@pytest.mark.parametrize("said", ["rule", "strict"])
def test_what_the_user_says_stands(project: Project, said: str) -> None:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py", "import signal\nsignal.getsignal(2)\ndef connect(): pass\n")
    project.write(
        "test_it.py", "import helper, subprocess\nhelper.connect()\ndef test_it(): subprocess.run(['true'])\n"
    )
    project.write("tach.toml", RULE if said == "rule" else "[toxicity]\nmode = 'strict'\n")
    for _ in range(3):
        report = run(project).expect(0, passed=1)
        assert report.modes == {"test_it": "fork"}
    because = "helper.connect at test_it.py:2, talks to the licence server" if said == "rule" else "subprocess.run"
    assert because in report.test("test_it")["note"]


def test_a_mistake_in_a_rule_costs_the_sources_verdict_and_nothing_else(suite: Project) -> None:
    suite.write("tach.toml", "[[toxicity.rule]]\npattern = 'a.b'\n")
    result = suite.tach("--strict-isolation").expect(1, passed=5, failed=1)
    line = "the sources are not looked at: tach.toml:1:1: toxicity.rule: a.b: has no because"
    assert sum(line in each for each in result.lines) == 1
    assert run(suite).modes["test_plain"] == "snapshot"
    because = explained(suite, "test_safe.py::test_one")["because"]
    assert any(each.endswith("toxicity.rule: a.b: has no because") for each in because)


def test_where_nothing_can_be_written_the_guard_alone_decides(suite: Project) -> None:
    suite.write(".tach", "")
    report = run(suite).expect(1, passed=5, failed=1)
    assert report.modes["test_plain"] == "snapshot"


def test_nothing_is_looked_at_where_nothing_follows(suite: Project) -> None:
    for words in (("--mode", "shared"), ("--engine", "fork"), ("--list",)):
        suite.tach("--strict-isolation", *words)
        assert not (suite / ".tach" / "analysis").exists()


def test_explain_agrees_with_what_is_done(suite: Project) -> None:
    nodeids = [line for line in suite.tach("--list").lines if "::" in line]
    assert len(nodeids) == 6
    for _ in range(2):
        said = {nodeid: explained(suite, nodeid, "-n", "2") for nodeid in nodeids}
        assert {t["nodeid"]: t["mode"] for t in run(suite, "-n", "2").tests} == {n: said[n]["mode"] for n in nodeids}
        assert [n for n in nodeids if said[n]["last"]] == [n for n in nodeids if said[n]["mode"] == "fork"]
    leaks = "test_toxic.py::test_leaks"
    assert explained(suite, leaks, "-n", "2")["last"] and not explained(suite, leaks, "-n", "1")["last"]


def test_explain_gives_the_evidence(suite: Project) -> None:
    suite.write("lib/__init__.py", "")
    suite.write("lib/pool.py", "import socket\nsocket.create_server(('', 0)).close()\n")
    suite.write("helper.py", "from lib import pool\n")
    suite.write("test_chain.py", "import helper\ndef test_it(tmp_path): pass\n")
    text = suite.tach("--explain", "test_chain.py::test_it").expect(0).out
    assert text.startswith("test_chain.py::test_it\n  mode     fork, after the others\n")
    assert "\n  path     full: " in text
    assert f"\n  engine   {ENGINE} (" in text
    chain = "by way of test_chain.py -> helper.py -> lib/pool.py"
    assert "socket: socket.create_server at lib/pool.py:2, " in text and chain in text
    assert "\n  fixture  tmp_path: function, _pytest.tmpdir\n" in text

    answer = explained(suite, "test_toxic.py::test_wide[2]")
    assert answer["condition"].startswith("shared, if setting up its wide fixtures leaves something live")
    assert any("fixture numbers (module, test_toxic.py:" in line for line in answer["because"])
    assert {"name": "numbers", "scope": "module", "place": "test_toxic.py:5"} in answer["fixtures"]


def test_explain_runs_nothing(project: Project) -> None:
    project.write("test_it.py", "def test_it(): open('ran', 'w').close()\n")
    project.tach("--explain", "test_it.py::test_it").expect(0)
    assert not (project / "ran").exists()


def test_explain_knows_what_is_shared(project: Project) -> None:
    project.write("test_it.py", "import threading, time\ndef test_it(): pass\n")
    answer = explained(project, "test_it.py::test_it", "--mode", "shared")
    assert (answer["mode"], answer["because"]) == ("shared", ["mode is shared (command line)"])
    answer = explained(project, "test_it.py::test_it", "--engine", "fork")
    assert (answer["mode"], answer["engine"]) == ("fork", "fork (command line)")

    project.write("test_late.py", "def test_it(request): request.getfixturevalue('late')\ndef test_after(): pass\n")
    project.write("conftest.py", "import pytest\n@pytest.fixture(scope='module')\ndef late(): pass\n")
    assert explained(project, "test_late.py::test_it")["because"][0] == "it asks for late while it runs"
    after = explained(project, "test_late.py::test_after")
    assert (after["mode"], after["because"][0]) == ("shared", "test_late.py::test_it asks for late while it runs")
    assert project.json().modes == {"test_it": "shared", "test_after": "shared"} | project.json("test_late.py").modes

    project.write("test_thread.py", f"import threading, time\n{LEAK}\ndef test_it(): pass\n")
    answer = explained(project, "test_it.py::test_it")
    assert answer["mode"] == "shared"
    assert answer["because"][0].startswith("the whole session runs in one process: module ")


def test_explain_knows_order_dependents(project: Project) -> None:
    project.write("test_it.py", "seen = []\ndef test_a(): seen.append(1)\ndef test_b(): assert seen\n")
    project.tach().expect(0, passed=2)
    answer = json.loads(project.tach("--explain", "test_it.py::test_a", "--format", "json").expect(0).out)
    assert answer["mode"] == "shared"
    assert answer["because"] == [
        "in an earlier run test_it.py::test_b failed alone and passed after test_it.py::test_a: they run together"
    ]


def test_what_cannot_be_explained(project: Project) -> None:
    project.write("test_it.py", "import pytest\n@pytest.mark.parametrize('n', [1])\ndef test_it(n): pass\n")
    assert project.tach("--explain", "test_it.py::test_ti[1]").expect(4).err == (
        "tach: --explain test_it.py::test_ti[1]: no such test is selected; did you mean test_it.py::test_it[1]?\n"
    )
    assert "did you mean test_it.py::test_it[1]?" in project.tach("--explain", "test_it.py::test_it").expect(4).err
    assert project.tach("--explain").expect(4).err == (
        "tach: --explain: its value is missing; give the id of a test, as --list prints it\n"
    )
    assert project.tach("--explain", "x", "--list").expect(4).err == "tach: --list and --explain: give one of them\n"
    project.write("test_broken.py", "1 +\n")
    broken = project.tach("--explain", "test_it.py::test_it[1]").expect(2)
    assert "SyntaxError" in broken.out


def test_a_part_of_the_suite_knows_what_the_whole_has_found(suite: Project) -> None:
    run(suite)
    assert run(suite, "test_toxic.py").modes["test_plain"] == "snapshot"
    assert run(suite, "test_toxic.py::test_leaks").modes == {"test_leaks": "fork"}
    assert run(suite).data["metrics"]["suspected"] == 0


@pytest.mark.parametrize("where", ["ci.toml", "tach.toml"])
def test_the_rules_are_of_the_file_that_is_named(project: Project, where: str) -> None:
    project.write(where, RULE)
    project.write("empty.toml", "")
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py", "def connect(): pass\n")
    project.write("test_it.py", "import helper\nhelper.connect()\ndef test_it(): pass\n")
    assert run(project, "--config", where).modes == {"test_it": "fork"}
    assert run(project, "--config", "empty.toml").modes == {"test_it": "snapshot"}
    assert "talks to the licence server" in str(explained(project, "test_it.py::test_it", "--config", where)["because"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_a_rewind_cannot_undo_is_seen_in_a_forked_test(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, socket
        import pytest
        socket.socket().close()
        @pytest.fixture(scope="class")
        def wide(): return []
        class TestIt:
            def test_a(self, wide): wide.append(1); assert wide == [1]
            def test_b(self, wide): wide.append(1); assert wide == [1]; os.setuid(65534)
            def test_c(self, wide): wide.append(1); assert wide == [1]
        """,
    )
    assert set(run(project).expect(0, passed=3).modes.values()) == {"fork"}
    for _ in range(2):
        report = run(project).expect(0, passed=3)
        assert report.modes == {"TestIt::test_a": "snapshot", "TestIt::test_b": "fork", "TestIt::test_c": "snapshot"}
        assert "it changed its user, groups or rights" in report.test("::test_b")["note"]


def test_what_breaks_the_guard_costs_no_verdict(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import builtins, socket
        socket.socket().close()
        def no(*args, **kwargs): raise RuntimeError("no")
        def test_it(): builtins.open = no
        """,
    )
    for _ in range(2):
        assert run(project).expect(0, passed=1).modes == {"test_it": "fork"}


def test_what_the_analysis_writes_is_not_to_be_committed(suite: Project) -> None:
    suite.tach("--explain", "test_safe.py::test_one").expect(0)
    assert (suite / ".tach" / "analysis").is_file()
    assert (suite / ".tach" / ".gitignore").read_text() == "*\n"


def test_explain_leaves_reports_alone(project: Project) -> None:
    project.write("test_it.py", "def test_it(): pass\n")
    project.write("conftest.py", "def pytest_sessionfinish(): raise ValueError\n")
    project.write("report.xml", "precious")
    project.tach("--explain", "test_it.py::test_it", "--junit-xml", "report.xml", "--pdb").expect(0)
    assert (project / "report.xml").read_text() == "precious"


SLOW = """#!/bin/sh
sleep 3
exec "{analyzer}" "$@"
"""


def test_a_late_analysis_is_for_the_next_run(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    build = SUPERVISOR.parent.parent
    if not (build / "zygote").is_dir():
        pytest.skip("needs a build directory, to put another analyzer in the place of its own")
    home = tmp_path_factory.mktemp("home")
    (home / "zygote").symlink_to(build / "zygote")
    for room in ("supervisor", "analyzer"):
        (home / room).mkdir()
    shutil.copy(SUPERVISOR, home / "supervisor")
    slow = home / "analyzer" / "tach-analyzer"
    slow.write_text(SLOW.format(analyzer=ANALYZER))
    slow.chmod(0o755)
    project.write("test_it.py", "import socket, time\nsocket.socket().close()\ndef test_it(): time.sleep(4)\n")
    command = [str(home / "supervisor" / SUPERVISOR.name), "--python", project.python, "--engine", ENGINE, "-v"]
    late = Run(command, project.path, clean_environment()).finish().expect(0, passed=1)
    assert "the sources are still being looked at" in late.out, late
    assert (project / ".tach" / "analysis").is_file()
    assert run(project).modes == {"test_it": "fork"}
