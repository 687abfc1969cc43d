"""A test after which its process cannot be rewound is remembered, and has a process of its own from the next run on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runner import ENGINE, Project, Report

pytestmark = pytest.mark.skipif(ENGINE == "fork", reason="only a process that is rewound can be condemned")

WHY = "it left a thread running"
NOTE_THEN = f"{WHY}: its process is replaced"
NOTE_NOW = f"forked, since it could not be rewound before: {WHY}"
LEAK = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
SUITE = f"""
import threading, time
import helper
values = []
def test_before(): values.append(1); assert values == [1]
def test_leaks(): values.append(1); {LEAK}; assert values == [1]
def test_between(): values.append(1); assert values == [1]
def test_leaks_and_fails(): {LEAK}; assert not "fine"
def test_after(): values.append(1); assert values == [1]
"""
LEAKING = ("test_leaks", "test_leaks_and_fails")
MODES = {
    "test_before": "snapshot",
    "test_leaks": "fork",
    "test_between": "snapshot",
    "test_leaks_and_fails": "fork",
    "test_after": "snapshot",
}


def condemned(report: Report) -> float:
    metrics: dict[str, float] = report.data["metrics"]
    return sum(value for name, value in metrics.items() if name.startswith("condemned."))


def told(report: Report) -> list[tuple[Any, ...]]:
    """What must be the same whatever process a test ran in."""
    return [(t["nodeid"], t["outcome"], t["message"], t["longrepr"]) for t in report.tests]


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py", "ANSWER = 42\n")
    project.write("conftest.py", "\n")
    project.write("test_it.py", SUITE)
    return project


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_second_run_condemns_nothing(suite: Project, workers: str) -> None:
    words = ("-n", workers, "--strict-isolation")
    first = suite.json(*words).expect(1, passed=4, failed=1)
    assert condemned(first) == 2
    assert set(first.modes.values()) == {"snapshot"}
    for name in LEAKING:
        assert first.test(f"::{name}")["note"] == NOTE_THEN
    for _ in range(2):
        second = suite.json(*words, "--verify-snapshots").expect(1, passed=4, failed=1)
        assert condemned(second) == 0
        assert second.modes == MODES
        for name in LEAKING:
            assert second.test(f"::{name}")["note"] == NOTE_NOW
        assert second.test("::test_between")["note"] == ""
        assert told(second) == told(first)


def test_with_second_opinions(suite: Project) -> None:
    first = suite.json("-n", "1")
    second = suite.json("-n", "1")
    assert (condemned(first), condemned(second)) == (2, 0)
    assert told(first) == told(second)
    assert first.code == second.code


def test_it_is_said_with_v(suite: Project) -> None:
    suite.tach("--strict-isolation")
    line = f"forked: test_it.py::test_leaks: in an earlier run {WHY}"
    assert line in suite.tach("--strict-isolation", "-v").lines
    assert line not in suite.tach("--strict-isolation").lines


@pytest.mark.parametrize("file", ["test_it.py", "helper.py", "conftest.py", "pytest.ini"])
def test_a_changed_file_is_judged_anew(suite: Project, file: str) -> None:
    suite.json("--strict-isolation")
    content = (suite / file).read_text()
    (suite / file).write_text(content + "\n")
    changed = suite.json("--strict-isolation")
    assert condemned(changed) == 2
    assert set(changed.modes.values()) == {"snapshot"}
    assert condemned(suite.json("--strict-isolation")) == 0


def test_a_test_that_was_mended_is_rewound_again(suite: Project) -> None:
    suite.json("--strict-isolation")
    assert suite.json("--strict-isolation").modes == MODES
    suite.write("test_it.py", SUITE.replace(LEAK, "pass"))
    for _ in range(2):
        mended = suite.json("--strict-isolation")
        assert condemned(mended) == 0
        assert set(mended.modes.values()) == {"snapshot"}


def test_what_behaves_well_stays_forked_until_its_file_changes(project: Project) -> None:
    """Whether a thread is gone in time may be chance: who was condemned once may be condemned again."""
    project.write(
        "test_it.py",
        f"import os, threading, time\ndef test_sometimes():\n    if 'LEAK' in os.environ: {LEAK}\n",
    )
    assert condemned(project.json(env={"LEAK": "1"}).expect(0, passed=1)) == 1
    for _ in range(3):
        assert project.json().expect(0, passed=1).modes == {"test_sometimes": "fork"}


WIDE = f"""
import threading, time
import pytest

@pytest.fixture(scope="module")
def shared():
    with open("log", "a") as log: log.write("set up\\n")
    yield []
    with open("log", "a") as log: log.write("torn down\\n")

def test_first(shared): shared.append(1); assert shared == [1]
def test_leaks(shared): shared.append(1); {LEAK}; assert shared == [1]
def test_third(shared): shared.append(1); assert len(shared) in (1, 2)
def test_last(shared): shared.append(1); {{last}}
"""


@pytest.mark.parametrize("last", ["pass", LEAK], ids=["clean", "leaks"])
def test_under_a_wide_fixture(project: Project, last: str) -> None:
    """What runs shared after the test at first, since the layer is spoilt, is rewound from the second run on."""
    project.write("test_it.py", WIDE.format(last=last))
    first = project.json("--strict-isolation").expect(0, passed=4)
    assert first.modes["test_third"] == "shared"
    (project / "log").unlink()
    second = project.json("--strict-isolation", "--verify-snapshots").expect(0, passed=4)
    assert condemned(second) == 0 or last == LEAK
    assert (second.modes["test_first"], second.modes["test_leaks"]) == ("snapshot", "fork")
    assert second.modes["test_third"] == "snapshot"
    assert project.log() == ["set up", "torn down"]
    third = project.json("--strict-isolation").expect(0, passed=4)
    assert condemned(third) == 0
    assert third.modes["test_last"] == "snapshot"  # what it leaves ends with the process that had the fixture
    assert project.log() == ["set up", "torn down"] * 2


def test_a_condemned_test_that_crashes(project: Project) -> None:
    project.write(
        "test_it.py",
        f"""
        import os, threading, time
        def test_before(): pass
        def test_leaks():
            {LEAK}
            if "CRASH" in os.environ: os.kill(os.getpid(), 11)
        def test_after(): pass
        """,
    )
    project.json("-n", "1").expect(0, passed=3)
    report = project.json("-n", "1", env={"CRASH": "1"}).expect(1, passed=2, crashed=1)
    assert report.outcomes["test_leaks"] == "crashed"
    assert "SIGSEGV" in report.test("::test_leaks")["message"]
    assert report.modes["test_after"] == "snapshot"


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("words", [("-x",), ("--maxfail", "2")], ids=["x", "maxfail"])
def test_the_first_failures_are_pytests(project: Project, workers: str, words: tuple[str, ...]) -> None:
    """Condemned tests may run last; what is told, and where it ends, is in collection order."""
    tests = []
    for number in range(40):
        leak = LEAK if number % 5 == 0 else "pass"
        tests.append(f"def test_{number:02}(): {leak}; assert {number} not in (10, 21, 33)\n")
    project.write("test_it.py", "import threading, time\n" + "".join(tests))
    project.json("-n", workers, "--strict-isolation").expect(1, passed=37, failed=3)
    theirs = project.pytest(*words, "-v")
    failed = [line.split(" ")[0] for line in theirs.lines if " FAILED" in line]
    for _ in range(2):
        report = project.json("-n", workers, "--strict-isolation", *words)
        ours = [t["nodeid"] for t in report.tests if t["outcome"] == "failed"]
        assert ours == failed
        assert report.summary == theirs.counts
        last = int(failed[-1][-2:])
        assert [t["nodeid"] for t in report.tests] == [f"test_it.py::test_{n:02}" for n in range(last + 1)]


def test_what_is_damaged_in_the_memory_is_forgotten(suite: Project) -> None:
    suite.json("--strict-isolation")
    file: Path = suite / ".tach" / "memory.json"
    memory = json.loads(file.read_text())
    assert set(memory["guard"]["test_it.py"]["why"]) == set(LEAKING)
    memory["guard"] = {"test_it.py": "no object"}
    file.write_text(json.dumps(memory))
    again = suite.json("--strict-isolation").expect(1, passed=4, failed=1)
    assert condemned(again) == 2


def test_an_engine_does_not_judge_for_another(suite: Project) -> None:
    if ENGINE == "cow":
        pytest.skip("there must be another one")
    suite.json("--strict-isolation")
    report = suite.json("--strict-isolation", "--engine", "cow")
    assert condemned(report) == 2
