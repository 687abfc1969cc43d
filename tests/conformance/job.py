"""One job of the harness: a project, an interpreter and arguments, run by both sides and compared.

A job may have several steps (`-x`, then `--lf`), which run one after the other in the same copy of the
project. Then the steps are crossed as well: each runner must be able to go on from the cache that the other
one left.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis import analyse
from diff import compare, output_differences, prefixed
from foretold import Foretold, compare_foretold
from model import Difference, Run
from pollution import Polluted, explain
from reference import list_pytest, run_pytest
from subject import Tach, compile_imports, list_tach, run_tach, run_tach_replay
from workspace import Workspace

Runner = Callable[[Sequence[str]], Run]


@dataclass(frozen=True)
class Job:
    """What to run. `replay` also compares what plugins see, `output` the error lines on the terminal.

    `events` is off where tests fail: tach may then run some a second time, their wide fixtures included.
    """

    project: Path
    python: Path
    steps: tuple[tuple[str, ...], ...] = ((),)
    env: dict[str, str] = field(default_factory=dict)
    timeout: float = 900.0
    pollution_seconds: float = 120.0
    replay: bool = True
    output: bool = False
    listing: bool = True
    events: bool = True


@dataclass
class Verdict:
    """What came of a job: how many tests pytest ran, how it ended, and the lines of the report."""

    tests: int = 0
    exit_codes: list[int] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    polluted: list[Polluted] = field(default_factory=list)
    unstable: list[Difference] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    loaded: int = 0  # modules from the bytecode image
    foretold: Foretold = field(default_factory=Foretold)

    def lines(self) -> list[str]:
        """Return the report, differences first."""
        lines = [str(difference) for difference in self.differences]
        lines += [str(victim) for victim in self.polluted]
        return lines + [f"UNSTABLE {difference}" for difference in self.unstable]


class Comparison:
    """Runs one job in one workspace."""

    def __init__(self, job: Job, tach: Tach, scratch: Path) -> None:
        self.job = job
        self.space = Workspace(scratch, job.project, job.env)
        self.pytest: Runner = lambda args: run_pytest(self.space, job.python, args, job.timeout)
        self.tach: Runner = lambda args: run_tach(self.space, tach, job.python, args, job.timeout)
        self.replay: Runner = lambda args: run_tach_replay(self.space, tach, job.python, args, job.timeout)
        self._tach = tach
        self.verdict = Verdict()

    def run(self) -> Verdict:
        """Run and compare everything the job asks for."""
        references = self.session([self.pytest] * len(self.job.steps))
        self.verdict.exit_codes = [run.exit_code for run in references]
        self.verdict.tests = sum(len(run.cases) for run in references)
        if self._tach.warm:
            self._warm_up()
        subjects = self.session([self.tach] * len(self.job.steps))
        for run in subjects:
            self.verdict.modes.update(run.modes)
        self.verdict.loaded = sum(run.loaded for run in subjects)
        foretold = self._compare_foretold(subjects[0])
        if len(self.job.steps) == 1:
            references[0] = self._explained(references[0], subjects[0])
        found = self._compare_steps("", references, subjects)
        if self.job.replay:
            found += self._compare_replay(references)
        if len(self.job.steps) > 1:
            found += self._compare_crossed(references)
        elif self.job.listing:
            found += self._compare_listing()
        self.verdict.differences = self._stable(references, found) if found else []
        self.verdict.differences += foretold
        if self._tach.warm and not self.verdict.loaded:
            self.verdict.differences.append(Difference("LOADER", "", "modules from the image", "none"))
        return self.verdict

    def _warm_up(self) -> None:
        self.session([self.tach] * len(self.job.steps))
        compile_imports(self.space, self._tach, self.job.python, self.job.timeout)
        shutil.copytree(self.space.project / ".tach/cache", self.space.kept)

    def session(self, runners: Sequence[Runner]) -> list[Run]:
        """Run the steps on a fresh copy of the project, one runner a step."""
        self.space.fresh()
        return [runner(args) for runner, args in zip(runners, self.job.steps)]

    def _compare_steps(self, prefix: str, references: list[Run], subjects: list[Run]) -> list[Difference]:
        found = []
        for number, (reference, subject) in enumerate(zip(references, subjects), 1):
            step = f"{prefix}STEP{number}-" if len(references) > 1 else prefix
            found += prefixed(step, compare(reference, subject, self.job.events))
        return found

    def _compare_foretold(self, subject: Run) -> list[Difference]:
        """Compare with what can be known of the project without running it. The first step's is enough."""
        if not subject.report:
            return []
        analysis = analyse(self._tach.analyzer, self.space.project)
        self.verdict.foretold = compare_foretold(analysis, subject.report, subject.output)
        wrong = self.verdict.foretold.wrong
        return [Difference("FORETOLD", event.nodeid, "safe to rewind", event.why) for event in wrong]

    def _compare_replay(self, references: list[Run]) -> list[Difference]:
        replays = self.session([self.replay] * len(self.job.steps))
        found = self._compare_steps("REPLAY-", references, replays)
        if self.job.output:
            for reference, replay in zip(references, replays):
                found += output_differences(reference.output, replay.output)
        return found

    def _compare_crossed(self, references: list[Run]) -> list[Difference]:
        """Let each runner do the last step on what the other one left."""
        before = len(self.job.steps) - 1
        after_pytest = self.session([self.pytest] * before + [self.tach])[-1]
        after_tach = self.session([self.tach] * before + [self.pytest])[-1]
        found = prefixed("AFTER-PYTEST-", compare(references[-1], after_pytest, self.job.events))
        return found + prefixed("AFTER-TACH-", compare(references[-1], after_tach, self.job.events))

    def _compare_listing(self) -> list[Difference]:
        self.space.fresh()
        args = self.job.steps[0]
        expected = Run(0, listed=list_pytest(self.space, self.job.python, args, self.job.timeout))
        actual = Run(0, listed=list_tach(self.space, self._tach, self.job.python, args, self.job.timeout))
        return compare(expected, actual)

    def _explained(self, reference: Run, subject: Run) -> Run:
        corrected, self.verdict.polluted = explain(reference, subject, self._probe, self.job.pollution_seconds)
        return corrected

    def _probe(self, nodeids: list[str]) -> Run:
        self.space.fresh()
        self.space.select.write_text(json.dumps(nodeids), encoding="utf-8")
        try:
            return self.pytest(self.job.steps[0])
        finally:
            self.space.select.unlink()

    def _stable(self, references: list[Run], found: list[Difference]) -> list[Difference]:
        """Keep the differences that pytest does not also have with itself; the others are listed apart."""
        again = self.session([self.pytest] * len(self.job.steps))
        if len(again) == 1:
            again[0] = _with_cases_of(again[0], references[0], [victim.nodeid for victim in self.verdict.polluted])
        noise = {(d.kind, d.nodeid) for d in self._compare_steps("", references, again)}
        self.verdict.unstable = [d for d in found if (d.kind.removeprefix("REPLAY-"), d.nodeid) in noise]
        return [d for d in found if (d.kind.removeprefix("REPLAY-"), d.nodeid) not in noise]


def _with_cases_of(run: Run, reference: Run, nodeids: list[str]) -> Run:
    """Leave polluted tests, already explained, and all that is counted from them, out of the noise."""
    if not nodeids:
        return run
    explained = {case.nodeid: case for case in reference.cases if case.nodeid in nodeids}
    run.cases = [explained.get(case.nodeid, case) for case in run.cases]
    run.exit_code, run.counts, run.junit = reference.exit_code, reference.counts, reference.junit
    return run


def run_job(job: Job, tach: Tach) -> Verdict:
    """Run a job in a scratch directory of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="tach-conf-", ignore_cleanup_errors=True) as scratch:
        return Comparison(job, tach, Path(scratch).resolve()).run()
