"""What tach-analyzer foretells of tests, and what keeps them from being rewound when they run: the comparison that the
conformance harness makes of real suites, on projects that do leak, and on what was never so.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from foretold import Event, Foretold, compare_foretold, events_of
from runner import ENGINE, Project

needs_rewinding = pytest.mark.skipif(ENGINE == "fork", reason="only a process that is rewound can be condemned")

SLEEP = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
CHILD = 'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])'

BODIES = f"""
import subprocess, sys, threading, time
import pytest
import helper

@pytest.fixture
def ticking(): {SLEEP}

def test_thread(): {SLEEP}
def test_child(): {CHILD}
def test_helper(): helper.start()
def test_fixture(ticking): pass
def test_nothing(): pass
"""
WIDE = """
import socket
import pytest

@pytest.fixture(scope="module")
def server():
    with socket.socket() as opened: yield opened

@pytest.fixture(scope="module")
def above(server): return server

@pytest.fixture(scope="module")
def plain(): return []

def test_plain(plain): pass
def test_server(above): pass
@pytest.mark.parametrize("n", range(2))
def test_numbers(n, above): pass
"""
CLASSES = f"""
import threading, time
import pytest

@pytest.fixture(scope="class")
def ticking(): {SLEEP}

class TestTicking:
    def test_ticking(self, ticking): pass
class TestSetup:
    @classmethod
    def setup_class(cls): {SLEEP}
    def test_setup(self): pass
"""
LATE = """
import pytest
@pytest.fixture(scope="module")
def late(): return []
def test_asks(request): request.getfixturevalue("late")
"""


def run(project: Project) -> tuple[dict[str, Any], dict[str, Any], str]:
    analysis = json.loads(project.analyze("--format", "json").expect(0).out)
    ran = project.json("--strict-isolation", "-n", "2")
    return analysis, ran.data, ran.err


def leaking(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py", f"import threading, time\ndef start(): {SLEEP}\n")
    project.write("test_bodies.py", BODIES)
    project.write("test_classes.py", CLASSES)
    project.write("test_late.py", LATE)
    project.write("test_wide.py", WIDE)
    return project


@needs_rewinding
def test_all_that_leaks_was_foretold(project: Project) -> None:
    analysis, report, told = run(leaking(project))
    assert {event.nodeid for event in events_of(report, told)} == {
        "test_bodies.py::test_thread",
        "test_bodies.py::test_child",
        "test_bodies.py::test_helper",
        "test_bodies.py::test_fixture",
        "test_late.py::test_asks",
        "test_wide.py::test_server",
        "test_classes.py::TestTicking::test_ticking",
        "test_classes.py::TestSetup::test_setup",
    }
    found = compare_foretold(analysis, report, told)
    assert found.wrong == []
    assert found.events == {"hinted": 4, "foretold": 3, "without a rule": 1}


@needs_rewinding
@pytest.mark.parametrize(
    ("name", "nodeid", "why"),
    [
        ("test_bodies.py", "test_bodies.py::test_thread", "it left a thread running"),
        ("test_wide.py", "test_wide.py::test_server", "socket: "),
    ],
)
def test_what_was_not_foretold_is_wrong(project: Project, name: str, nodeid: str, why: str) -> None:
    """The analysis of the same project in which nothing leaks yet: one that does not see it."""
    analysis, report, told = run(leaking(project))
    blind = copy.deepcopy(analysis)
    for module in blind["modules"]:
        module["hints"] = [hint for hint in module["hints"] if module["path"] != name]
    for fixture in blind["fixtures"]:
        if fixture["at"] is not None and fixture["at"]["file"] == name:
            fixture["level"] = "safe"
    wrong = compare_foretold(blind, report, told).wrong
    assert {event.nodeid.partition("::")[0] for event in wrong} == {name}
    assert [event.why.startswith(why) for event in wrong if event.nodeid == nodeid] == [True]


@needs_rewinding
def test_what_was_remembered_counts_as_well(project: Project) -> None:
    project.write("test_it.py", f"import threading, time\ndef test_leaks(): {SLEEP}\n")
    analysis, report, told = run(project)
    assert compare_foretold(analysis, report, told).events == {"hinted": 1}
    _, report, told = run(project)
    assert [test["mode"] for test in report["tests"]] == ["fork"]
    assert compare_foretold(analysis, report, told).events == {"hinted": 1}


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(f"import threading, time\n{SLEEP}\n", id="thread"),
        pytest.param("import socket\nopened = socket.socket()\n", id="socket"),
        pytest.param("import os\nopened = os.pipe()\n", id="pipe"),
        pytest.param("import multiprocessing\nshared = multiprocessing.Value('i')\n", id="shared memory"),
        pytest.param(f"import atexit, subprocess, sys\nchild = {CHILD}\natexit.register(child.kill)\n", id="process"),
    ],
)
@pytest.mark.parametrize("where", ["test_it.py", "conftest.py", "helper.py"])
def test_a_session_that_may_not_be_forked_was_foretold(project: Project, leak: str, where: str) -> None:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py")
    project.write("test_it.py", "import helper\ndef test_it(): pass\n")
    file = project.write(where, leak + (project / where).read_text() if (project / where).exists() else leak)
    analysis, report, told = run(project)
    found = compare_foretold(analysis, report, told)
    assert (found.tests, found.events, found.wrong) == ({"toxic": 1}, {"foretold": 1}, []), told
    file.write_text(file.read_text().removeprefix(leak))
    innocent = json.loads(project.analyze("--format", "json").expect(0).out)
    found = compare_foretold(innocent, report, told)
    assert (found.tests, found.events) == ({"safe": 1}, {"wrong": 1})
    assert [event.nodeid for event in found.wrong] == [""]


# --- fabricated -----------------------------------------------------------------------------------------------------


def analysis_of(level: str = "safe", hints: tuple[str, ...] = (), fixture: str = "safe") -> dict[str, Any]:
    at = {"file": "test_it.py", "line": 1}
    return {
        "modules": [
            {"path": "test_it.py", "kind": "test", "level": level, "hints": [{"reason": hint} for hint in hints]}
        ],
        "fixtures": [
            {"name": "wide", "scope": "module", "at": at, "autouse": False, "level": fixture, "needs": []},
            {"name": "narrow", "scope": "function", "at": at, "autouse": False, "level": "safe", "needs": [0]},
        ],
        "tests": [
            {"id": "test_it.py::test_a", "at": at, "fixtures": []},
            {"id": "test_it.py::test_b", "at": at, "fixtures": [1]},
        ],
    }


def report_of(**notes: str) -> dict[str, Any]:
    return {"tests": [{"nodeid": f"test_it.py::{name}", "note": note} for name, note in notes.items()]}


def judged(analysis: dict[str, Any], note: str, name: str = "test_a") -> Foretold:
    return compare_foretold(analysis, report_of(**{name: note}), "")


CONDEMNED = "it left a thread running: its process is replaced"


def test_a_condemned_test_that_was_called_safe_is_wrong() -> None:
    found = judged(analysis_of(), CONDEMNED)
    assert found.wrong == [Event("test_it.py::test_a", "it left a thread running")]
    assert str(found) == "1 safe; not rewound: 1 wrong"


@pytest.mark.parametrize("level", ["toxic", "unknown"])
def test_it_is_not_if_its_module_or_wide_fixture_was_called_so(level: str) -> None:
    assert judged(analysis_of(level), CONDEMNED).events == {"foretold": 1}
    assert judged(analysis_of(fixture=level), CONDEMNED).events == {"wrong": 1}
    assert judged(analysis_of(fixture=level), CONDEMNED, "test_b").events == {"foretold": 1}


def test_a_hint_of_another_kind_is_no_excuse() -> None:
    assert judged(analysis_of(hints=("thread",)), CONDEMNED).events == {"hinted": 1}
    assert judged(analysis_of(hints=("process", "socket")), CONDEMNED).events == {"wrong": 1}


def test_parameters_that_are_not_known_are_those_of_the_function() -> None:
    assert judged(analysis_of(fixture="toxic"), CONDEMNED, "test_b[1-x]").events == {"foretold": 1}
    assert judged(analysis_of(fixture="toxic"), CONDEMNED, "test_a[1-x]").events == {"wrong": 1}


def test_a_cause_without_a_rule_is_nobodys_fault() -> None:
    found = judged(analysis_of(), "a descriptor was closed or replaced: its process is replaced")
    assert (found.events, found.wrong) == ({"without a rule": 1}, [])


def test_notes_of_other_kinds_are_no_events() -> None:
    report = report_of(test_a="unconfirmed", test_b=f"flaky: failed at first\n{CONDEMNED}")
    assert list(events_of(report, "")) == [Event("test_it.py::test_b", "it left a thread running")]


def test_the_summary_is_read() -> None:
    told = (
        "shared from test_it.py::test_b on: pipe: descriptor 9\nnot isolated: importing the tests left a pipe open: 9\n"
    )
    found = compare_foretold(analysis_of(), report_of(test_a="", test_b=""), told)
    assert [event.nodeid for event in found.wrong] == ["test_it.py::test_b", ""]
    assert compare_foretold(analysis_of("toxic"), report_of(test_a=""), told).events == {"foretold": 2}
