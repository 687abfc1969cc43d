"""The limit of open files (`ulimit -n`): the user's, which tests may see, and no bar to tach itself."""

from __future__ import annotations

import resource
import subprocess

import pytest
from runner import ENGINE, ISOLATED, SUPERVISOR, Project, clean_environment

SUITE = """
import os
import resource
import pytest

SEEN = []

def test_sees_the_users_limit():
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == ({soft}, {hard})

@pytest.mark.parametrize("n", range(5))
def test_is_isolated(n):
    assert SEEN == []
    SEEN.append(os.open(os.devnull, os.O_RDONLY))

@pytest.fixture(scope="module")
def wide():
    return {{}}

def test_wide(wide, tmp_path):
    assert not wide
    (tmp_path / "file").write_text("some")

def test_fails():
    assert 0
"""


def run(project: Project, soft: int, hard: int, *words: str) -> subprocess.CompletedProcess[str]:
    project.write("test_it.py", SUITE.format(soft=soft, hard=hard))
    return subprocess.run(
        [str(SUPERVISOR), "--python", project.python, "--engine", ENGINE, *words],
        cwd=project.path,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("soft", "hard"), [(64, 1024), (200, 200), (256, 256), (256, 4096)])
def test_a_low_limit(project: Project, soft: int, hard: int) -> None:
    done = run(project, soft, hard, "-n", "2")
    assert done.returncode == 1, done
    assert "1 failed, 7 passed" in done.stdout and done.stderr == ""
    assert "2 workers" in done.stdout
    assert f"modes: 8 {ISOLATED}" in done.stdout


def test_a_limit_that_leaves_room_for_one_worker(project: Project) -> None:
    done = run(project, 64, 64, "-n", "4")
    assert done.returncode == 1, done
    assert "1 failed, 7 passed" in done.stdout
    assert "tach: 1 worker, since no more than 64 files may be open (ulimit -Hn)" in done.stdout.splitlines()


def test_a_limit_that_leaves_no_room(project: Project) -> None:
    done = run(project, 16, 16)
    assert done.returncode == 4
    assert done.stderr == "tach: ulimit -Hn: no more than 16 files may be open, tach needs 64\n"
