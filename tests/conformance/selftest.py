"""The test of the harness: plants one difference of each kind and fails if it is not printed.

Needs pytest but no tach: a session is recorded once, written as the JSON of a tach that agrees, and falsified
in one respect at a time. An undisturbed copy must come out without a single line.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diff import compare, output_differences
from document import as_document
from model import Case, JunitCase, Run
from pollution import explain
from reference import list_pytest, run_pytest
from subject import fill_from_json
from workspace import Workspace

PROJECTS = Path(__file__).resolve().parent / "selftest"
FILE = "test_sample.py"


@dataclass
class Forgery:
    """What the other side claims; a plant falsifies one thing in it."""

    document: dict[str, Any]
    run: Run

    def test(self, name: str) -> dict[str, Any]:
        """Return the JSON entry of a test of the sample."""
        return next(test for test in self.document["tests"] if test["nodeid"] == f"{FILE}::{name}")

    def junit(self, name: str) -> JunitCase:
        """Return the JUnit case of a test of the sample."""
        return next(case for case in self.run.junit or [] if case.key.endswith(f"::{name}"))

    def junit_part(self, name: str, tag: str) -> str:
        """Return the name of a test's first part with such a tag."""
        return next(part for part in self.junit(name).parts if part.startswith(tag))


Plant = Callable[[Forgery], object]


def _swap(items: list[Any], left: int, right: int) -> None:
    items[left], items[right] = items[right], items[left]


def _damage(forgery: Forgery, name: str, tag: str) -> None:
    forgery.junit(name).parts[forgery.junit_part(name, tag)] += " falsified"


def _exit(forgery: Forgery, code: int) -> None:
    forgery.run.exit_code = forgery.document["exit_code"] = code


# Each plant with the beginning of the line that must be printed for it.
PLANTS: dict[str, tuple[str, Plant]] = {
    "missing test": (
        f"MISSING {FILE}::test_fails:",
        lambda f: f.document["tests"].remove(f.test("test_fails")),
    ),
    "extra test": (
        f"EXTRA {FILE}::test_new:",
        lambda f: f.document["tests"].append({**f.test("test_passes"), "nodeid": f"{FILE}::test_new"}),
    ),
    "changed id": (
        f"MISSING {FILE}::test_numbers[2]:",
        lambda f: f.test("test_numbers[2]").update(nodeid=f"{FILE}::test_numbers[two]"),
    ),
    "test told twice": (
        f"EXTRA {FILE}::test_passes#2:",
        lambda f: f.document["tests"].append(f.test("test_passes")),
    ),
    "order": ("ORDER ", lambda f: _swap(f.document["tests"], 0, 1)),
    "phase outcome": (
        f"PHASE {FILE}::test_passes: pytest=teardown:passed tach=teardown:failed",
        lambda f: f.test("test_passes")["phases"]["teardown"].update(outcome="failed"),
    ),
    "missing phase": (
        f"PHASE {FILE}::test_passes: pytest=call:passed tach=call:none",
        lambda f: f.test("test_passes")["phases"].pop("call"),
    ),
    "outcome": (f"OUTCOME {FILE}::test_xfails:", lambda f: f.test("test_xfails").update(outcome="skipped")),
    "error as failure": (
        f"OUTCOME {FILE}::test_error_in_teardown: pytest=error tach=failed",
        lambda f: f.test("test_error_in_teardown").update(outcome="failed"),
    ),
    "skip reason": (f"REASON {FILE}::test_skipped:", lambda f: f.test("test_skipped").update(message="why")),
    "xfail reason": (f"REASON {FILE}::test_xfails:", lambda f: f.test("test_xfails").update(message="")),
    "failure text": (
        f"TEXT {FILE}::test_fails:",
        lambda f: f.test("test_fails").update(longrepr="AssertionError"),
    ),
    "lost failure text": (
        f"TEXT {FILE}::test_error_in_teardown:",
        lambda f: f.test("test_error_in_teardown").update(longrepr=None),
    ),
    "stdout": (f"STDOUT {FILE}::test_passes:", lambda f: f.test("test_passes").update(stdout="")),
    "stderr": (f"STDERR {FILE}::test_passes:", lambda f: f.test("test_passes").update(stderr="noise")),
    "exit code": ("EXIT -: pytest=1 tach=0", lambda f: _exit(f, 0)),
    "exit code in JSON": ("PROBLEM -:", lambda f: f.document.update(exit_code=5)),
    "count": ("COUNT -:", lambda f: f.document["summary"].update(passed=17)),
    "crash counted": ("COUNT -: pytest=0 crashed", lambda f: f.document["summary"].update(crashed=1)),
    "warnings": ("WARNINGS -: pytest=", lambda f: f.document["summary"].update(warnings=0)),
    "junit case missing": (
        "JUNIT-MISSING test_sample::test_fails:",
        lambda f: (f.run.junit or []).remove(f.junit("test_fails")),
    ),
    "junit case extra": ("JUNIT-EXTRA x::y:", lambda f: (f.run.junit or []).append(JunitCase("x::y"))),
    "junit order": ("JUNIT-ORDER ", lambda f: _swap(f.run.junit or [], 1, 2)),
    "junit suite attribute": (
        "JUNIT <suite>: pytest=@failures",
        lambda f: (f.run.junit or [])[0].parts.update({"@failures": "7"}),
    ),
    "junit attribute": (
        "JUNIT test_sample::test_passes: pytest=@file",
        lambda f: f.junit("test_passes").parts.update({"@file": "elsewhere.py"}),
    ),
    "junit property": (
        "JUNIT test_sample::test_passes: pytest=properties",
        lambda f: f.junit("test_passes").parts.pop("properties"),
    ),
    "junit failure": ("JUNIT test_sample::test_fails:", lambda f: _damage(f, "test_fails", "failure")),
    "junit error": (
        "JUNIT test_sample::test_error_in_teardown:",
        lambda f: _damage(f, "test_error_in_teardown", "error"),
    ),
    "junit skip": ("JUNIT test_sample::test_skipped:", lambda f: _damage(f, "test_skipped", "skipped")),
    "junit output": ("JUNIT test_sample::test_passes:", lambda f: _damage(f, "test_passes", "system-out")),
    "listing": (
        f"LIST-MISSING {FILE}::test_fails:",
        lambda f: (f.run.listed or []).remove(f"{FILE}::test_fails"),
    ),
    "listing order": ("LIST-ORDER ", lambda f: _swap(f.run.listed or [], 0, 1)),
    "fixture set up twice": ("FIXTURE module:m:", lambda f: f.run.events.insert(1, f.run.events[0])),
    "fixture never finalised": ("FIXTURE module:m:", lambda f: f.run.events.pop()),
    "fixture order": ("FIXTURE module:m:", lambda f: _swap(f.run.events, 1, 2)),
    "fixture finalised elsewhere": (
        "FIXTURE-PROCESS module:m:a:",
        lambda f: f.run.events.__setitem__(-1, f.run.events[-1].replace("10 ", "11 ", 1)),
    ),
}

_EVENTS = ["10 module m setup a", "10 module m setup b", "10 module m finalise b", "10 module m finalise a"]


def selftest(python: Path, say: Callable[[str], object]) -> int:
    """Run the self test; return the number of failures."""
    with tempfile.TemporaryDirectory(prefix="tach-conf-") as scratch:
        root = Path(scratch).resolve()
        reference = _recording(root, python)
        failures = _check_plants(reference)
        failures += _check_output()
        failures += _check_pollution(root / "polluted", python)
    for failure in failures:
        say(f"selftest: {failure}")
    say(f"selftest: {len(PLANTS)} differences planted, {len(failures)} failures")
    return len(failures)


def _recording(root: Path, python: Path) -> Run:
    space = Workspace(root, PROJECTS / "sample")
    space.fresh()
    reference = run_pytest(space, python, [], 120)
    reference.listed = list_pytest(space, python, [], 120)
    reference.events = list(_EVENTS)
    return reference


def _forge(reference: Run) -> Forgery:
    copied = copy.deepcopy(reference)
    run = Run(copied.exit_code, junit=copied.junit, events=copied.events, listed=copied.listed)
    document = json.loads(json.dumps(as_document(copied)))
    return Forgery(document, run)


def _lines(reference: Run, forgery: Forgery) -> list[str]:
    fill_from_json(forgery.run, forgery.document)
    return [str(difference) for difference in compare(reference, forgery.run)]


def _check_plants(reference: Run) -> list[str]:
    outcomes = {case.outcome for case in reference.cases}
    failures = []
    if outcomes != {"passed", "failed", "skipped", "xfailed", "error"}:
        failures.append(f"the sample came to {sorted(outcomes)}")
    failures += [f"printed without cause: {line}" for line in _lines(reference, _forge(reference))]
    for name, (expected, plant) in PLANTS.items():
        forgery = _forge(reference)
        plant(forgery)
        lines = _lines(reference, forgery)
        if not any(line.startswith(expected) for line in lines):
            failures.append(f"{name}: no line {expected!r} among {lines}")
    return failures


def _check_output() -> list[str]:
    pytest, tach = "ERROR test_a.py - SyntaxError\nE   SyntaxError: bad\n1 error", "E   SyntaxError: bad\n"
    lines = [str(difference) for difference in output_differences(pytest, tach)]
    expected = ["OUTPUT -: pytest='ERROR test_a.py - SyntaxError' tach=absent"]
    return [] if lines == expected else [f"error lines: {lines}"]


def _check_pollution(root: Path, python: Path) -> list[str]:
    """A victim must be explained by its polluter; a real failure must not be explained away."""
    space = Workspace(root, PROJECTS / "polluted")

    def probe(nodeids: list[str]) -> Run:
        space.fresh()
        space.select.write_text(json.dumps(nodeids), encoding="utf-8")
        return run_pytest(space, python, [], 120)

    space.fresh()
    reference = run_pytest(space, python, [], 120)
    subject = copy.deepcopy(reference)
    subject.cases = [Case(c.nodeid, dict.fromkeys(c.phases, "passed"), "passed") for c in reference.cases]
    subject.exit_code, subject.counts, subject.junit = (
        0,
        {**reference.counts, "passed": 12, "failed": 0},
        None,
    )
    corrected, victims = explain(reference, subject, probe, 120)
    lines = [str(victim) for victim in victims]
    failures = [f"left after explanation: {difference}" for difference in compare(corrected, subject)]
    if lines != ["POLLUTED test_polluted.py::test_victim: by test_polluted.py::test_polluter"]:
        failures.append(f"pollution: {lines}")
    if not compare(reference, subject):
        failures.append("pollution: the sample shows no difference to explain")
    return failures
