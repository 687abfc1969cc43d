"""Running as an ordinary user, where the tests themselves run as root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Debian's nobody and nogroup.
STRANGER = 65534


def _packages() -> str:
    """The directory that pytest is installed in: pure Python, of use to any interpreter of the same version."""
    return str(Path(pytest.__file__).resolve().parent.parent)


@functools.cache
def stranger_python() -> str | None:
    """An interpreter with pytest that an ordinary user can execute; this one, if possible."""
    if os.geteuid() != 0:
        return sys.executable
    same_version = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
    for candidate in (sys.executable, same_version):
        if candidate is None:
            continue
        command = [candidate, "-c", "import pytest"]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": _packages()}
        try:
            if subprocess.run(command, env=env, cwd="/", capture_output=True, **_identity()).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def _identity() -> dict[str, Any]:
    return {"user": STRANGER, "group": STRANGER, "extra_groups": []} if os.geteuid() == 0 else {}


def as_stranger(**environment: str) -> dict[str, Any]:
    """Keywords for Project.tach and Project.json: run as an ordinary user."""
    if os.geteuid() != 0:
        return {"env": environment}
    return {**_identity(), "env": {"PYTHONPATH": _packages(), "HOME": "/nonexistent", **environment}}
