"""Tests that speak to the supervisor, as the harness in their process does: no other test's verdict changes for it."""

from __future__ import annotations

import pytest
from runner import Project

# `forge` is what a test does; the tests around it have results of their own, which must be told.
SUITE = """
import os, pickle, sys
import pytest

def native():
    return next(m.native for m in list(sys.modules.values()) if hasattr(getattr(m, "native", None), "KIND_DONE"))

def passed(name, when):
    report = pytest.TestReport("test_it.py::" + name, ("test_it.py", 1, name), {}, "passed", None, when)
    return pickle.dumps((report, {})), b"passed" if when == "call" else b"", b""

def send(kind, item, a=0, b=0, strings=()):
    native().send(getattr(native(), "KIND_" + kind), item, a, b, 0, 0, strings)

def tell_a_pass(item, name):
    send("STARTED", item)
    for phase, when in enumerate(("setup", "call", "teardown")):
        send("REPORT", item, phase, strings=passed(name, when))
    send("DONE", item, strings=(pickle.dumps({}), b"", b""))

FIXTURE

def test_first(wide): open("ran", "a").write("first ")
def test_forger(wide):
    FORGE
def test_next(wide):
    open("ran", "a").write("next ")
    assert False, "the next one"
def test_last(wide): open("ran", "a").write("last ")
"""
WIDE = "@pytest.fixture(scope='{scope}')\ndef wide(): pass"
# first 0, forger 1, next 2, last 3; name -> (what is done, what becomes of the forger's own verdict)
FORGED = {
    "ends the next": ("send('DONE', 2, strings=(pickle.dumps({}), b'', b''))", "crashed"),
    "passes the next": ("tell_a_pass(2, 'test_next')", "crashed"),
    "fails the last": ("send('CRASHED', 3, a=11)", "crashed"),
    "ends the run with the last": ("send('EXIT', 3, a=2, strings=(pickle.dumps(('', 0)),))", "crashed"),
    "adds to the first": ("send('REPORT', 0, 1, 1, strings=passed('test_first', 'call'))", "crashed"),
    "tells of no test": ("send('DONE', 99)", "crashed"),
    "says something unknown": ("native().send(999, 1, 0, 0, 0, 0, ())", "crashed"),
    "ends itself and passes the next": (
        "send('DONE', 1, strings=(pickle.dumps({}), b'', b'')); tell_a_pass(2, 'test_next')",
        "crashed",
    ),
    "ends itself and all that follow": (
        "send('DONE', 1, strings=(pickle.dumps({}), b'', b'')); tell_a_pass(2, 'test_next')\n"
        "    tell_a_pass(3, 'test_last'); send('RUN_DONE', 4)",
        "crashed",
    ),
    "ends its run": ("send('RUN_DONE', 4)", "crashed"),
    "takes a vow of silence": ("send('RETIRED', 4)", "crashed"),
    "is a base": ("send('BASE_READY', 1)", "crashed"),
    "has trouble": ("send('PROBLEM', 1, 3, strings=(b'forged',))", "crashed"),
    "dies in the name of the next": ("native().begin(2, 0); os._exit(1)", "crashed"),
    "dies in nobody's name": ("native().begin(77, 0); os._exit(1)", "crashed"),
    "reaps its worker": ("[send('REAPED', 1, pid, 0) for pid in (os.getpid(), os.getppid())]", "passed"),
    "tells of a difference": ("send('DIFFERENCE', 2, strings=(b'forged',))", "passed"),
    "has much to say": ("[send('OUTPUT', 1, strings=(b'flood',)) for _ in range(5000)]", "passed"),
}


def suite(name: str, scope: str) -> str:
    return SUITE.replace("FIXTURE", WIDE.format(scope=scope)).replace("FORGE", FORGED[name][0])


# Under a module's fixture, too, whose tests are one run, those that take the longest way.
CASES = [(name, "function", "1") for name in FORGED] + [
    (name, "module", "2")
    for name in ("passes the next", "ends itself and all that follow", "dies in the name of the next")
]


@pytest.mark.parametrize(("name", "scope", "workers"), CASES)
def test_the_others_have_their_own_results(project: Project, name: str, scope: str, workers: str) -> None:
    project.write("test_it.py", suite(name, scope))
    report = project.json("-n", workers, "--no-second-opinion")
    right = {"test_first": "passed", "test_forger": FORGED[name][1], "test_next": "failed", "test_last": "passed"}
    assert report.outcomes == right, str(report)
    assert report.code == 1, str(report)
    ran = (project / "ran").read_text().split()
    assert {"first", "next", "last"} <= set(ran), ran
    assert report.err.count("flood") <= 100


@pytest.mark.parametrize("name", ["ends the next", "passes the next"])
def test_in_one_process_pytests_own_results_count(project: Project, name: str) -> None:
    project.write("test_it.py", suite(name, "function"))
    report = project.json("--mode", "shared")
    assert report.outcomes["test_next"] == "failed", str(report)
    assert report.code == 1, str(report)


def test_a_second_opinion_that_is_forged_is_none(project: Project) -> None:
    """A test that fails tries to have the pass of its second opinion say otherwise."""
    forge = "if 'TACH_SECOND_OPINION' in os.environ: tell_a_pass(2, 'test_next')"
    project.write("test_it.py", SUITE.replace("FIXTURE", WIDE.format(scope="function")).replace("FORGE", forge))
    report = project.json()
    right = {"test_first": "passed", "test_forger": "passed", "test_next": "failed", "test_last": "passed"}
    assert report.outcomes == right, str(report)
    assert report.test("test_next")["note"] == "unconfirmed"


def test_the_summary_of_pytest_has_the_forger_and_the_result_that_was_forged(project: Project) -> None:
    project.write("test_it.py", suite("ends itself and passes the next", "function"))
    result = project.tach("--no-second-opinion")
    assert result.code == 1, str(result)
    assert "CRASHED test_it.py::test_forger - a test told tach of" in result.out
    assert "FAILED test_it.py::test_next - AssertionError: the next one" in result.out
