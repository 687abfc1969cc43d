"""Writes a `Run` in the shape of tach's JSON, for the self test: a tach that agrees with pytest."""

from __future__ import annotations

from typing import Any

from model import PHASES, Case, Run


def as_document(run: Run) -> dict[str, Any]:
    """Return the document tach would print had it come to the very same results."""
    summary: dict[str, Any] = {**run.counts, "crashed": 0, "timeout": 0, "warnings": run.warnings}
    return {"exit_code": run.exit_code, "summary": summary, "tests": [_test(case) for case in run.cases]}


def _test(case: Case) -> dict[str, Any]:
    phases = {name: {"outcome": case.phases[name]} for name in PHASES if name in case.phases}
    return {
        "nodeid": case.nodeid,
        "outcome": case.outcome.split("|")[0],
        "phases": phases,
        "message": case.reason,
        "longrepr": case.text,
        "stdout": case.stdout,
        "stderr": case.stderr,
    }
