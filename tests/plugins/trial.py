"""One suite in one environment, run by pytest and by tach, and all that differs."""

from __future__ import annotations

import fnmatch
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from diff import compare, prefixed
from model import Difference, Run
from normalise import first_difference, normalise
from reference import run_pytest
from subject import Tach, run_tach
from workspace import Workspace

# Workers of runs that follow one another in the same project: the second one knows what the first one saw.
BRIEF: tuple[tuple[int, ...], ...] = ((1, 2),)
WHOLE: tuple[tuple[int, ...], ...] = ((1, 1), (2, 2))
TIMEOUT_S = 120.0

# Kept for the next run by the runners themselves, and databases whose content depends on the clock.
_NOT_COMPARED = (
    ".tach",
    ".pytest_cache",
    "__pycache__",
    ".hypothesis",
    "*.pyc",
    ".coverage",
    ".benchmarks",
    ".xprocess",
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r'"(?:start|stop|created|duration|timestamp)": [0-9.e+-]+')


@dataclass
class Trial:
    """What came of it: differences, and tach's modes, and its time in pytest's, in the last run."""

    differences: list[Difference] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)  # why tests were not rewound
    ratio: float = 0.0


@dataclass
class _Outcome:
    run: Run
    files: dict[str, str]
    seconds: float


def try_suite(
    project: Path,
    python: Path,
    args: Sequence[str],
    tach: Tach,
    scratch: Path,
    sessions: tuple[tuple[int, ...], ...] = BRIEF,
) -> Trial:
    """Run the suite by pytest, then by tach in each of the sessions, and compare run by run."""
    space = Workspace(scratch, project)

    def by_pytest() -> list[_Outcome]:
        return _runs(space, [lambda: run_pytest(space, python, args, TIMEOUT_S)] * 2)

    def by_tach(workers: int) -> Run:
        return run_tach(space, tach, python, ("-n", str(workers), *args), TIMEOUT_S)

    expected, trial = by_pytest(), Trial()
    for session in sessions:
        got = _runs(space, [partial(by_tach, workers) for workers in session])
        for number, (theirs, ours) in enumerate(zip(expected, got)):
            found = list(_differences(theirs, ours))
            trial.differences += prefixed(f"N{session[number]}-RUN{number + 1}-", found)
        trial.modes = Counter(got[-1].run.modes)
        trial.reasons = _reasons(got[-1].run)
        trial.ratio = got[-1].seconds / max(expected[-1].seconds, 1e-3)
    if trial.differences:  # those that pytest has with itself are none
        noise = {(d.kind, d.nodeid) for a, b in zip(expected, by_pytest()) for d in _differences(a, b)}
        trial.differences = [d for d in trial.differences if (d.kind.split("-", 2)[2], d.nodeid) not in noise]
    return trial


def _runs(space: Workspace, runners: Sequence[Callable[[], Run]]) -> list[_Outcome]:
    space.fresh()
    outcomes = []
    for runner in runners:
        started = time.monotonic()
        run = runner()
        outcomes.append(_Outcome(run, _files(space.project), time.monotonic() - started))
    return outcomes


def _differences(theirs: _Outcome, ours: _Outcome) -> Iterator[Difference]:
    yield from compare(theirs.run, ours.run)
    for name in sorted(theirs.files.keys() | ours.files.keys()):
        expected, got = theirs.files.get(name, "absent"), ours.files.get(name, "absent")
        if expected != got:
            yield Difference("FILE", name, *first_difference(expected, got))


def _files(project: Path) -> dict[str, str]:
    """What lies in the project: names, numbered where they are made at random, and texts."""
    found: dict[str, list[str]] = {}
    for path in sorted(project.rglob("*")):
        relative = path.relative_to(project)
        if path.is_dir() or any(fnmatch.fnmatch(part, kept) for part in relative.parts for kept in _NOT_COMPARED):
            continue
        content = path.read_bytes().decode("utf-8", "replace")
        found.setdefault(_UUID.sub("UUID", str(relative)), []).append(_settled(content))
    return {f"{name}#{n}": text for name, texts in found.items() for n, text in enumerate(sorted(texts))}


def _settled(content: str) -> str:
    return normalise(_MOMENT.sub('"MOMENT": N', _UUID.sub("UUID", content)))


def _reasons(run: Run) -> list[str]:
    """Why tests were not rewound, as their notes and the run's summary say it."""
    reasons = [str(test.get("note") or "") for test in run.report.get("tests", ()) if test.get("mode") != "snapshot"]
    reasons += [line for line in run.output.splitlines() if "no test is isolated" in line or "shared from" in line]
    return list(dict.fromkeys(normalise(reason) for reason in reasons if reason))
