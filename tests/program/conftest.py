"""Whole-program tests: each drives the real executables in a project of its own. See runner.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runner import ROOT, SUPERVISOR, Project, plugins_python

# Last: names of its modules must not hide others.
sys.path.append(str(ROOT / "tests" / "conformance"))


def pytest_sessionstart() -> None:
    if not SUPERVISOR.is_file():
        pytest.exit(f"{SUPERVISOR}: not built; run ./dev build, or set TACH_SUPERVISOR", returncode=4)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return Project(tmp_path)


@pytest.fixture
def plugins_project(tmp_path: Path) -> Project:
    """An empty project whose interpreter has other people's plugins; for tests marked with `needs_plugin`."""
    return Project(tmp_path, plugins_python())
