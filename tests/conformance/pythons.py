"""Finds interpreters, and makes virtual environments that are kept between runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from process import HarnessError, check, run

OLDEST = (3, 10)

# One of each major release; 9 by its newest, the others by their last.
PYTESTS = ("7.4.4", "8.4.2", "9.2.0")

# Jobs that run at once may ask for the same environment.
_MAKING = threading.Lock()

_DESCRIBE = (
    "import json, sys, importlib.util as u;"
    "base = getattr(sys, '_base_executable', sys.executable);"
    "print(json.dumps([base, sys.version_info[:3], bool(u.find_spec('ensurepip') and u.find_spec('venv'))]))"
)


@dataclass(frozen=True)
class Python:
    """An interpreter of the machine, not of a virtual environment."""

    executable: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        """Return the version as in 3.11.7."""
        return ".".join(map(str, self.version))


def describe(executable: str) -> Python | None:
    """Ask an interpreter what it is; None if it is too old, broken, or cannot make environments."""
    try:
        done = run([executable, "-I", "-c", _DESCRIBE], Path.cwd(), os.environ, 30)
        base, version, complete = json.loads(done.stdout)
    except (HarnessError, ValueError):
        return None
    if tuple(version[:2]) < OLDEST or not complete:
        return None
    return Python(Path(base), tuple(version))


def discover() -> list[Python]:
    """Return one interpreter of each minor version found with pyenv and on PATH, oldest first."""
    found: dict[tuple[int, ...], Python] = {}
    for candidate in _candidates():
        python = describe(candidate)
        if python is not None:
            found.setdefault(python.version[:2], python)
    return [found[version] for version in sorted(found)]


def _candidates() -> Iterator[str]:
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob("versions/3.*/bin/python3"), reverse=True))
    name = re.compile(r"python3(\.\d+)?$")
    for directory in map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep))):
        if directory.is_dir() and directory.name != "shims":
            yield from (str(path) for path in sorted(directory.iterdir()) if name.match(path.name))


def environment(cache: Path, python: Python, pytest: str, requirements: Sequence[str]) -> Path:
    """Return the interpreter of an environment with that pytest and those requirements, made if need be.

    A requirement is what pip takes: `name==version` or the path of an archive. An environment that was
    not completed is made anew.
    """
    with _MAKING:
        return _environment(cache, python, pytest, requirements)


def _environment(cache: Path, python: Python, pytest: str, requirements: Sequence[str]) -> Path:
    key = hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()[:10]
    home = cache / "env" / f"{python.label}-pytest-{pytest}-{key}"
    stamp, executable = home / "complete", home / "bin" / "python"
    if not stamp.exists():
        shutil.rmtree(home, ignore_errors=True)
        check([str(python.executable), "-m", "venv", str(home)], Path.cwd())
        install = [str(executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        check([*install, f"pytest=={pytest}", *requirements], Path.cwd())
        stamp.touch()
    return executable
