"""The pytest side: runs pytest with the recorder and turns its recording into a `Run`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from junit import read_junit
from model import COUNTED, PHASES, Case, Run
from normalise import normalise
from process import Finished, run
from workspace import Workspace

RECORDER = ("-p", "tach_conformance_recorder")

# Without it pytest leaves a test's output out of the XML, and there would be nothing to compare.
JUNIT_OPTIONS = ("-o", "junit_logging=all")

# Prefixes that tell how a reason came about; whether tach's message repeats them is not part of the contract.
_REASON_PREFIXES = ("Skipped: ", "reason: ", "[NOTRUN] ")


def pytest_command(python: Path) -> list[str]:
    """Return the command a user would type: the script, which unlike -m leaves sys.path alone."""
    script = python.parent / "pytest"
    return [str(script)] if script.exists() else [str(python), "-m", "pytest"]


def run_pytest(space: Workspace, python: Path, args: Sequence[str], timeout: float) -> Run:
    """Run pytest on the workspace as it stands (call `fresh` first for a first session)."""
    space.clear_recordings()
    argv = [*pytest_command(python), *RECORDER, *JUNIT_OPTIONS, "--junit-xml", str(space.junit), *args]
    done = run(argv, space.project, space.env(record=True), timeout)
    return recorded_run(space, done)


def list_pytest(space: Workspace, python: Path, args: Sequence[str], timeout: float) -> list[str]:
    """Return the lines that `pytest --collect-only -q` prints for tests."""
    quiet = [word for word in args if not re.fullmatch("-[qv]+", word)]  # -q must be the one that counts
    argv = [*pytest_command(python), "--collect-only", "-q", *quiet]
    return listed_ids(run(argv, space.project, space.env(record=False), timeout).stdout)


def listed_ids(stdout: str) -> list[str]:
    """Pick the ids out of a listing: they come first, up to the first empty line."""
    ids = []
    for line in stdout.splitlines():
        if not line.strip():
            break
        ids.append(line)
    return ids


def recorded_run(space: Workspace, done: Finished) -> Run:
    """Turn what the recorder wrote, in either runner, into a `Run`."""
    result = Run(done.exit_code, events=space.read_events(), output=done.stdout + done.stderr)
    if done.timed_out:
        result.problems.append(f"did not end within {done.duration:.0f} s")
    result.junit = read_junit(space.junit)
    if space.record.exists():
        fill_from_record(result, json.loads(space.record.read_text(encoding="utf-8")))
    return result


def fill_from_record(result: Run, record: dict[str, Any]) -> None:
    """Add cases, counts and warnings from a recording."""
    result.cases = [_case(test) for test in record["tests"]]
    result.counts = {name: record["counts"].get(name, 0) for name in COUNTED}
    result.warnings = record["counts"].get("warnings", 0)


def _case(test: dict[str, Any]) -> Case:
    reports = test["reports"]
    failing = [report["text"] for report in reports if report["category"] in ("failed", "error")]
    last = reports[-1] if reports else {"stdout": "", "stderr": ""}
    return Case(
        nodeid=test["nodeid"],
        phases=_phases(reports),
        outcome=_outcome([report["category"] for report in reports]),
        reason=_reason(reports),
        text=join_texts(failing),
        every_text=join_texts([report["text"] for report in reports]) if failing else "",
        stdout=normalise(last["stdout"]),
        stderr=normalise(last["stderr"]),
    )


def _phases(reports: list[dict[str, Any]]) -> dict[str, str]:
    """Return the verdict of each phase. A subtest that fails makes its phase fail."""
    phases: dict[str, str] = {}
    for report in reports:
        failed_subtest = report["kind"] != "TestReport" and report["outcome"] == "failed"
        if report["when"] in PHASES and (report["kind"] == "TestReport" or failed_subtest):
            worse = phases.get(report["when"]) == "failed"
            phases[report["when"]] = "failed" if worse else report["outcome"]
    return phases


def _outcome(categories: list[str | None]) -> str:
    """Return the one outcome of a test from pytest's category of each report; `other` is a plugin's own."""
    # Failed in call and again in teardown: pytest counts both, and has no single word for it.
    for names in (("failed", "error"), ("xpassed", "xfailed", "skipped", "passed")):
        given = [name for name in names if name in categories]
        if given:
            return "|".join(given)
    return "other" if any(categories) else ""


def _reason(reports: list[dict[str, Any]]) -> str:
    for report in reports:
        if report["category"] in ("skipped", "xfailed", "xpassed"):
            return plain_reason(report["wasxfail"] if report["wasxfail"] is not None else report["skip"] or "")
    return ""


def plain_reason(reason: str) -> str:
    """Return the first line of a reason, without the words that say how it was given."""
    for prefix in _REASON_PREFIXES:
        reason = reason.removeprefix(prefix)
    return normalise(next(iter(reason.strip().splitlines()), ""))


def join_texts(texts: list[str]) -> str:
    """Join the failure texts of a test's phases; empty lines at the joints do not matter."""
    return "\n".join(text for text in map(normalise, texts) if text)
