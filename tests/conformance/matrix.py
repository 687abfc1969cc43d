"""Runs combinations of suite, interpreter and pytest version, and prints them as a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from job import Job, Verdict, run_job
from own import OwnCase, load_cases, run_case
from process import HarnessError
from pythons import Python, environment
from subject import Tach
from suites import Suite, fetch, load_suites

# A suite that is wholly wrong would bury the others; the number of differences is always told.
SHOWN = 40

# Jobs that run at once share the cache.
_FETCHING = threading.Lock()

Say = Callable[[str], object]


@dataclass(frozen=True)
class Settings:
    """What all combinations share."""

    tach: Tach
    cache: Path
    jobs: int = 1
    replay: bool = True
    extra_args: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()  # beside what the real suites need


@dataclass(frozen=True)
class Combination:
    """One line of the table: a suite on an interpreter with a pytest."""

    suite: Suite | OwnCase
    python: Python
    pytest: str
    engine: str = ""  # of tach; empty: as the command line of this program has it
    sampled: bool = False  # of a real suite just the sample
    warm: bool = False  # with tach's loader

    @property
    def label(self) -> str:
        """Return the name of the suite in the table."""
        name = self.suite.name if isinstance(self.suite, Suite) else f"own/{self.suite.name}"
        return f"{name} {self.engine}" if self.engine else name

    def run(self, settings: Settings) -> Verdict:
        """Prepare the environment, run both sides, compare."""
        tach = settings.tach
        if self.engine:
            tach = replace(tach, args=(*tach.args, "--engine", self.engine))
        tach = replace(tach, warm=tach.warm or self.warm)
        if isinstance(self.suite, OwnCase):
            requirements = list(self.suite.requirements)
            executable = environment(settings.cache, self.python, self.pytest, requirements)
            return run_case(self.suite, executable, tach)
        with _FETCHING:
            _, project = fetch(self.suite, settings.cache)
            requirements = [*all_requirements(settings.cache), *settings.installed]
        executable = environment(settings.cache, self.python, self.pytest, requirements)
        steps = (self.suite.args + (self.suite.sample if self.sampled else ()) + settings.extra_args,)
        verdict = run_job(Job(project, executable, steps, replay=settings.replay), tach)
        if verdict.tests == 0:
            raise HarnessError(f"pytest ran no test of {self.suite.name} and ended with {verdict.exit_codes}")
        return verdict


def own_combinations(pairs: Iterable[tuple[Python, str]], only: str = "", engine: str = "") -> list[Combination]:
    """Return all cases of our own suite that are meant for each pair."""
    cases = [case for case in load_cases() if only in case.name]
    return [Combination(c, python, pytest, engine) for python, pytest in pairs for c in cases if c.runs_on(pytest)]


def real_combinations(suites: list[Suite], pairs: Iterable[tuple[Python, str]]) -> list[Combination]:
    """Return the suites of real projects on each pair."""
    return [Combination(s, python, pytest) for python, pytest in pairs for s in suites if s.runs_on(pytest)]


def run_all(combinations: list[Combination], settings: Settings, say: Say) -> int:
    """Run all combinations, print each in order as it ends, and the last line; return how many failed."""
    say(f"{'suite':32} {'python':8} {'pytest':8} {'tests':>7} {'differences':>11} {'seconds':>8}  modes")
    failed = 0
    with ThreadPoolExecutor(settings.jobs) as pool:
        for combination, row in zip(combinations, pool.map(lambda c: _run_one(c, settings), combinations)):
            where = f"{combination.label:32} {combination.python.label:8} {combination.pytest:8}"
            say(f"{where} {row.tests:>7} {row.differences:>11} {row.seconds:>8.1f}  {row.modes}")
            for line in row.lines[:SHOWN]:
                say(f"    {line}")
            if len(row.lines) > SHOWN:
                say(f"    ... and {len(row.lines) - SHOWN} more")
            failed += bool(row.differences)
    say(f"{len(combinations) - failed} passed, {failed} failed")
    return failed


@dataclass(frozen=True)
class _Row:
    """What the table shows of one combination."""

    tests: str
    differences: int
    lines: list[str]
    seconds: float
    modes: str


def _run_one(combination: Combination, settings: Settings) -> _Row:
    started = time.monotonic()
    modes = ""
    try:
        verdict = combination.run(settings)
        tests, differences, lines = str(verdict.tests), len(verdict.differences), verdict.lines()
        modes = ", ".join(f"{count} {mode}" for mode, count in sorted(verdict.modes.items()))
        modes += f"; {verdict.loaded} modules loaded" if verdict.loaded else ""
    except HarnessError as error:
        tests, differences, lines = "-", 1, [f"HARNESS {error}"]
    return _Row(tests, differences, lines, time.monotonic() - started, modes)


def all_requirements(cache: Path) -> list[str]:
    """Return what the one environment for all real suites holds: their packages and what their tests need."""
    requirements: list[str] = []
    for suite in load_suites().values():
        requirements += [str(fetch(suite, cache)[0]), *suite.requirements]
    return requirements
