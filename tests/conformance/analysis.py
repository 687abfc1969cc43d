"""Compares what tach-analyzer says of a project with what pytest collects, and with what comes of its tests.

A test that is called known must be there, with its id, its fixtures and its marks. That a test is not known is no
difference, but the share of those that are is told, and so are the levels of toxicity of the modules of tests. What a
test that is called safe must not do is in foretold.py.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foretold import Foretold, compare_foretold, module_levels
from process import HarnessError, run
from subject import Tach, run_tach
from workspace import Workspace

PLUGIN = Path(__file__).parent / "plugin"
TIMEOUT = 600.0


@dataclass
class AnalysisVerdict:
    """What the two say of one project."""

    items: int = 0  # that pytest collects
    known: int = 0  # of these
    modules: Counter[str] = field(default_factory=Counter)  # of tests, by level
    foretold: Foretold = field(default_factory=Foretold)
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """What is compared: a project with what pytest is given, on an interpreter with a version of pytest."""

    project: Path
    python: Path
    pytest: str
    args: Sequence[str] = ()
    run: Sequence[str] = ()  # what tach runs of it; nothing: all


def compare_analysis(analyzer: Path, tach: Tach, subject: Subject) -> AnalysisVerdict:
    """Collect a copy of the project with pytest, analyse it, run its tests with tach, and compare."""
    with tempfile.TemporaryDirectory(prefix="tach-conf-", ignore_cleanup_errors=True) as directory:
        space = Workspace(Path(directory).resolve(), subject.project)
        space.fresh()
        collected = _collect(subject.python, space.project, subject.args, Path(directory) / "collected.json")
        analysis = analyse(analyzer, space.project, subject.pytest)
        ran = run_tach(space, tach, subject.python, [*subject.args, *subject.run], TIMEOUT)
    verdict = _compare(collected, analysis)
    verdict.differences += ran.problems
    if ran.report:
        verdict.foretold = compare_foretold(analysis, ran.report, ran.output)
    for event in verdict.foretold.wrong:
        verdict.differences.append(f"{event.nodeid or 'the session'}: called safe to rewind, but {event.why}")
    return verdict


def _collect(python: Path, project: Path, args: Sequence[str], output: Path) -> dict[str, dict[str, Any]]:
    env = {**os.environ, "PYTHONPATH": str(PLUGIN), "TACH_COLLECTED": str(output)}
    command = [str(python), "-m", "pytest", "--collect-only", "-q", "-p", "tach_collected", "-p", "no:cacheprovider"]
    done = run([*command, *args], project, env, TIMEOUT)
    if not output.exists() or done.exit_code not in (0, 2, 5):
        raise HarnessError(
            f"pytest could not collect: exit {done.exit_code}\n{done.stdout[-2000:]}{done.stderr[-500:]}"
        )
    return {item["id"]: item for item in json.loads(output.read_text(encoding="utf-8"))}


def analyse(analyzer: Path, project: Path, pytest: str = "") -> dict[str, Any]:
    """Return the JSON of tach-analyzer; without a version of pytest, with ids that all versions have."""
    version = ["--pytest", ".".join(pytest.split(".")[:2])] if pytest else []
    done = run([str(analyzer), "--format", "json", *version], project, os.environ, TIMEOUT)
    if done.exit_code != 0:
        raise HarnessError(f"tach-analyzer: exit {done.exit_code}\n{done.stderr[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _compare(collected: dict[str, dict[str, Any]], analysis: dict[str, Any]) -> AnalysisVerdict:
    verdict = AnalysisVerdict(items=len(collected), modules=module_levels(analysis))
    names = [fixture["name"] for fixture in analysis["fixtures"]]
    for test in analysis["tests"]:
        if not test["known"]:
            continue
        item = collected.get(test["id"])
        if item is None:
            verdict.differences.append(f"{test['id']}: called known, but pytest does not collect it")
            continue
        verdict.known += 1
        fixtures = sorted({names[place] for place in test["fixtures"]} - {"request"})
        if fixtures != item["fixtures"]:
            verdict.differences.append(f"{test['id']}: fixtures {fixtures}, pytest has {item['fixtures']}")
        marks = [mark["name"] for mark in test["marks"]]
        if marks != item["marks"]:
            verdict.differences.append(f"{test['id']}: marks {marks}, pytest has {item['marks']}")
    return verdict
