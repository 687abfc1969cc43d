"""The suite of our own: one directory a sub-suite, cases.toml says how each is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crash import Expectation, check_crash
from job import Job, Verdict, run_job
from process import HarnessError
from subject import Tach
from toml import read_toml

SUITE = Path(__file__).resolve().parent / "suite"


@dataclass(frozen=True)
class OwnCase:
    """One entry of cases.toml. With `expect` there is no reference: pytest itself would die."""

    name: str
    directory: str
    steps: tuple[tuple[str, ...], ...]
    requirements: tuple[str, ...] = ()
    pytests: tuple[int, ...] = ()
    exit_codes: tuple[int, ...] = (0, 1)
    output: bool = False
    events: bool = True
    tach_args: tuple[str, ...] = ()
    expect: Expectation | None = None

    def runs_on(self, pytest: str) -> bool:
        """Tell whether the case is meant for that pytest."""
        return not self.pytests or int(pytest.split(".")[0]) in self.pytests


def load_cases() -> list[OwnCase]:
    """Read cases.toml."""
    return [_case(entry) for entry in read_toml(SUITE / "cases.toml")["case"]]


def _case(entry: dict[str, Any]) -> OwnCase:
    steps = tuple(tuple(step) for step in entry.get("steps", [[]]))
    expect = entry.get("expect")
    return OwnCase(
        name=entry["name"],
        directory=entry.get("dir", entry["name"]),
        steps=steps,
        requirements=tuple(entry.get("requirements", ())),
        pytests=tuple(entry.get("pytests", ())),
        exit_codes=tuple(entry.get("exit_codes", (0, 1))),
        output=entry.get("output", False),
        events=entry.get("events", True),
        tach_args=tuple(entry.get("tach_args", ())),
        expect=Expectation(expect["exit_code"], expect["outcomes"]) if expect else None,
    )


def run_case(case: OwnCase, python: Path, tach: Tach) -> Verdict:
    """Run one case on an interpreter that has pytest and the case's requirements."""
    tach = replace(tach, args=tach.args + case.tach_args)
    project = SUITE / case.directory
    job = Job(project, python, case.steps, output=case.output, events=case.events, timeout=300.0)
    if case.expect is not None:
        return check_crash(job, case.expect, tach)
    verdict = run_job(job, tach)
    if not set(verdict.exit_codes) <= set(case.exit_codes):
        # Both runners may agree on nonsense, say when an option of the case is unknown to an old pytest.
        raise HarnessError(f"pytest itself ended with {verdict.exit_codes}, the case says {case.exit_codes}")
    return verdict
