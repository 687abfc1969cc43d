"""Compares what tach-analyzer says of a project with what pytest collects.

A test that is called known must be there, with its id, its fixtures and its marks. That a test is not known is no
difference, but the share of those that are is told, and so are the levels of toxicity of the modules.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from process import HarnessError, run

PLUGIN = Path(__file__).parent / "plugin"
TIMEOUT = 600.0


@dataclass
class AnalysisVerdict:
    """What the two say of one project."""

    items: int = 0  # that pytest collects
    known: int = 0  # of these
    modules: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def compare_analysis(analyzer: Path, python: Path, pytest: str, project: Path, args: list[str]) -> AnalysisVerdict:
    """Collect a copy of the project with pytest, analyse it, and compare."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory).resolve() / "project"
        shutil.copytree(project, copy, symlinks=True)
        collected = _collect(python, copy, args, Path(directory) / "collected.json")
        analysis = _analyse(analyzer, pytest, copy)
    return _compare(collected, analysis)


def _collect(python: Path, project: Path, args: list[str], output: Path) -> dict[str, dict[str, Any]]:
    env = {**os.environ, "PYTHONPATH": str(PLUGIN), "TACH_COLLECTED": str(output)}
    command = [str(python), "-m", "pytest", "--collect-only", "-q", "-p", "tach_collected", "-p", "no:cacheprovider"]
    done = run([*command, *args], project, env, TIMEOUT)
    if not output.exists() or done.exit_code not in (0, 2, 5):
        raise HarnessError(
            f"pytest could not collect: exit {done.exit_code}\n{done.stdout[-2000:]}{done.stderr[-500:]}"
        )
    return {item["id"]: item for item in json.loads(output.read_text(encoding="utf-8"))}


def _analyse(analyzer: Path, pytest: str, project: Path) -> dict[str, Any]:
    version = ".".join(pytest.split(".")[:2])
    done = run([str(analyzer), "--format", "json", "--pytest", version], project, os.environ, TIMEOUT)
    if done.exit_code != 0:
        raise HarnessError(f"tach-analyzer: exit {done.exit_code}\n{done.stderr[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _compare(collected: dict[str, dict[str, Any]], analysis: dict[str, Any]) -> AnalysisVerdict:
    verdict = AnalysisVerdict(items=len(collected))
    verdict.modules.update(module["level"] for module in analysis["modules"])
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
