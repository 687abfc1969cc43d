"""A scratch copy of a project, at the same path for both runners.

Failure texts hold paths, and tests write into their project. So each session gets a fresh copy, but always
in the same place, with its own empty temp directory and event log.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

PLUGIN_DIR = Path(__file__).resolve().parent / "plugin"

_NOT_COPIED = (
    "__pycache__",
    ".git",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    "build*",
    ".hypothesis",
)

# What one runner, or the shell, would tell the other behind the harness's back.
_NOT_INHERITED = (
    "PYTEST_",
    "PY_COLORS",
    "FORCE_COLOR",
    "TACH_",
    "COV_",
    "COVERAGE_",
    "VIRTUAL_ENV",
    "PYTHONPATH",
)


class Workspace:
    """The scratch directory of one job: project copy, temp directory, recordings."""

    def __init__(self, root: Path, project: Path, extra_env: Mapping[str, str] | None = None) -> None:
        self.source = project.resolve()
        self.root = root
        self.project = root / self.source.name
        self.tmp = root / "tmp"
        self.events = root / "events.log"
        self.junit = root / "junit.xml"
        self.record = root / "record.json"
        self.select = root / "select.json"
        self.kept = root / "cache"  # what is put into .tach/cache of each copy, if it is there
        self._extra_env = dict(extra_env or {})

    def fresh(self) -> None:
        """Start from the project as it is, with nothing left of an earlier session."""
        for directory in (self.project, self.tmp):
            shutil.rmtree(directory, ignore_errors=True)
        self.select.unlink(missing_ok=True)
        shutil.copytree(self.source, self.project, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        if self.kept.exists():
            shutil.copytree(self.kept, self.project / ".tach/cache")
        self.tmp.mkdir(parents=True)

    def clear_recordings(self) -> None:
        """Forget what the last session wrote, so that a missing file is noticed."""
        for path in (self.events, self.junit, self.record):
            path.unlink(missing_ok=True)

    def env(self, record: bool) -> dict[str, str]:
        """Return the environment of a session, the same for both runners."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        env.update(TMPDIR=str(self.tmp), PYTHONPATH=str(PLUGIN_DIR), COLUMNS="100", NO_COLOR="1")
        env.setdefault("PYTHONHASHSEED", "0")
        env["TACH_CONFORMANCE_EVENTS"] = str(self.events)
        env.update(self._extra_env)
        if record:
            env["TACH_CONFORMANCE_RECORD"] = str(self.record)
        if self.select.exists():
            env["TACH_CONFORMANCE_SELECT"] = str(self.select)
        return env

    def read_events(self) -> list[str]:
        """Return what the fixtures of the suite logged, line by line."""
        if not self.events.exists():
            return []
        return self.events.read_text(encoding="utf-8").splitlines()
