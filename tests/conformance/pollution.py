"""Tells a real difference from pollution under pytest.

A test that fails in pytest's one process (or skips itself, or is expected to fail), but passes in a
pytest of its own and passes under tach, was broken by an earlier test. That is what tach is for, so it is
listed with its polluter and does not count. The claim is never taken on trust: the test is run alone, and
the polluter is found by bisecting the tests before it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

from model import Case, JunitCase, Run

FAILING = {"failed", "error"}

# Enough to be useful; a suite with more victims has one cause, found with the first few.
MAX_VICTIMS = 20

# Runs pytest freshly on a selection of node ids and returns what came of it.
Probe = Callable[[list[str]], Run]


@dataclass
class Polluted:
    """A victim and, if it was found in time, the test that broke it."""

    nodeid: str
    polluter: str | None

    def __str__(self) -> str:
        """Print as the report's line."""
        return f"POLLUTED {self.nodeid}: by {self.polluter or 'a polluter not found in time'}"


def explain(reference: Run, subject: Run, probe: Probe, seconds: float) -> tuple[Run, list[Polluted]]:
    """Return the reference as it were without pollution, and the victims that were found."""
    corrected = copy.deepcopy(reference)
    found = []
    deadline = time.monotonic() + seconds
    for place, case in _candidates(reference, subject)[:MAX_VICTIMS]:
        if time.monotonic() > deadline:
            break
        alone = probe([case.nodeid])
        if len(alone.cases) != 1 or not _passed(alone.cases[0]):
            continue
        _replace(corrected, place, alone)
        earlier = [other.nodeid for other in reference.cases[:place]]
        found.append(Polluted(case.nodeid, find_polluter(case.nodeid, earlier, probe, deadline)))
    return corrected, found


def _passed(case: Case) -> bool:
    return case.outcome == "passed"


def _candidates(reference: Run, subject: Run) -> list[tuple[int, Case]]:
    passing = {case.nodeid for case in subject.cases if case.outcome == "passed"}
    return [(n, case) for n, case in enumerate(reference.cases) if not _passed(case) and case.nodeid in passing]


def find_polluter(victim: str, earlier: list[str], probe: Probe, deadline: float) -> str | None:
    """Bisect the earlier tests down to one that breaks the victim; None if it takes several, or too long."""

    def breaks(selection: list[str]) -> bool:
        run = probe([*selection, victim])
        return any(case.nodeid == victim and not _passed(case) for case in run.cases)

    if not earlier or not breaks(earlier):
        return None
    while len(earlier) > 1:
        middle = len(earlier) // 2
        if time.monotonic() > deadline:
            return None
        halves = (half for half in (earlier[:middle], earlier[middle:]) if breaks(half))
        earlier = next(halves, [])
    return earlier[0] if earlier else None


def _replace(run: Run, place: int, alone: Run) -> None:
    """Put the verdict of the test alone in place of the polluted one, everywhere it is counted."""
    old, new = run.cases[place], alone.cases[0]
    run.cases[place] = new
    for name in filter(None, old.outcome.split("|")):
        run.counts[name] = run.counts.get(name, 0) - 1
    if old.outcome == "error" and old.phases.get("call") == "passed":
        run.counts["passed"] -= 1
    run.counts[new.outcome] = run.counts.get(new.outcome, 0) + 1
    if run.exit_code == 1 and not any(run.counts.get(name) for name in FAILING):
        run.exit_code = 0
    if run.junit and alone.junit:
        _replace_junit(run.junit, alone.junit)


def _replace_junit(cases: list[JunitCase], alone: list[JunitCase]) -> None:
    new = alone[-1]
    for place, old in enumerate(cases):
        if old.key == new.key:
            cases[place] = new
            _recount(cases[0], old, -1)
            _recount(cases[0], new, +1)


def _recount(suite: JunitCase, case: JunitCase, step: int) -> None:
    for attribute, tag in (("@failures", "failure."), ("@errors", "error."), ("@skipped", "skipped.")):
        number = sum(part.startswith(tag) for part in case.parts)
        suite.parts[attribute] = str(int(suite.parts.get(attribute, "0")) + step * number)
