"""Suites that kill the process they run in: pytest cannot be the reference, the case lists the verdicts."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from job import Job, Verdict
from model import Case, Difference, Run
from reference import list_pytest
from subject import Tach, run_tach
from workspace import Workspace


@dataclass(frozen=True)
class Expectation:
    """The exit code, and the outcome of each test that does not pass, by node id."""

    exit_code: int
    outcomes: dict[str, str]


def check_crash(job: Job, expect: Expectation, tach: Tach) -> Verdict:
    """Run tach alone; its ids must be those that pytest collects, its verdicts those of the case."""
    with tempfile.TemporaryDirectory(prefix="tach-conf-", ignore_cleanup_errors=True) as scratch:
        space = Workspace(Path(scratch).resolve(), job.project, job.env)
        space.fresh()
        collected = list_pytest(space, job.python, job.steps[0], job.timeout)
        space.fresh()
        subject = run_tach(space, tach, job.python, job.steps[0], job.timeout)
    return Verdict(len(collected), differences=list(_differences(collected, expect, subject)))


def expected_run(collected: list[str], expect: Expectation) -> Run:
    """Return the run as it should be: everything passes but what the case names."""
    cases = [Case(nodeid, outcome=expect.outcomes.get(nodeid, "passed")) for nodeid in collected]
    return Run(expect.exit_code, cases, dict(Counter(case.outcome for case in cases)))


def _differences(collected: list[str], expect: Expectation, subject: Run) -> Iterator[Difference]:
    reference = expected_run(collected, expect)
    yield from (Difference("PROBLEM", "", "-", problem) for problem in subject.problems)
    yield from (Difference("CASE", name, "absent", "-") for name in expect.outcomes if name not in collected)
    told = {case.nodeid: case.outcome for case in subject.cases}
    for case in reference.cases:
        if told.get(case.nodeid) != case.outcome:
            yield Difference("OUTCOME", case.nodeid, case.outcome, str(told.get(case.nodeid)))
    yield from (Difference("EXTRA", name, "absent", "present") for name in told if name not in collected)
    for outcome in sorted(reference.counts.keys() | subject.counts.keys()):
        ours, theirs = reference.counts.get(outcome, 0), subject.counts.get(outcome, 0)
        if ours != theirs:
            yield Difference("COUNT", "", f"{ours} {outcome}", f"{theirs} {outcome}")
    if subject.exit_code != reference.exit_code:
        yield Difference("EXIT", "", str(reference.exit_code), str(subject.exit_code))
