"""A stdout that takes nothing: what a user or a program waits for must not be lost in silence."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import SUPERVISOR, Project, clean_environment


def close_stdout() -> None:
    os.close(1)


def allow_no_file_to_grow() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def run(
    project: Project, words: tuple[str, ...], stdout: Path | None, prepare: Callable[[], None] | None
) -> tuple[int, str]:
    command = [str(SUPERVISOR), *words, "--python", project.python]
    with open(stdout or os.devnull, "wb") as file:
        done = subprocess.run(
            command,
            cwd=project.path,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
            check=False,
            timeout=60,
        )
    return done.returncode, done.stderr


WORDS = [("--format", "json", "-n", "2"), ("-n", "2"), ("--list",), ("doctor",), ("--help",)]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_full_disk(project: Project, words: tuple[str, ...]) -> None:
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): assert 0\n")
    code, err = run(project, words, Path("/dev/full"), None)
    assert code == 3
    assert err.splitlines()[-1] == "tach: stdout: No space left on device: what was to be printed there is not complete"


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_it_is_closed(project: Project, words: tuple[str, ...]) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    code, err = run(project, words, None, close_stdout)
    assert code == 3
    assert err.splitlines()[-1] == "tach: stdout: Bad file descriptor: what was to be printed there is not complete"


def test_a_file_that_may_not_grow(project: Project, tmp_path: Path) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    code, err = run(project, ("--format", "json"), tmp_path / "report.json", allow_no_file_to_grow)
    assert code == 3
    assert err.splitlines()[-1] == "tach: stdout: File too large: what was to be printed there is not complete"


def test_a_reader_that_has_seen_enough_is_no_error(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    command = (
        f"'{SUPERVISOR}' --python '{project.python}' --format json | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=project.path, env=clean_environment(), check=False, timeout=60)
    assert done.returncode == 0
