"""As an ordinary user: the same verdicts, with nothing that only root may do."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from people import STRANGER, as_stranger, stranger_python
from runner import ISOLATED, Project


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Project]:
    """A project of an ordinary user's, in a directory that only this user may write to."""
    python = stranger_python()
    if python is None:
        pytest.skip("no interpreter with pytest that an ordinary user can execute")
    path = Path(tempfile.mkdtemp(prefix="tach-program-"))
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER)
    yield Project(path, python)
    shutil.rmtree(path)


def test_every_kind_of_test(stranger: Project) -> None:
    stranger.write(
        "test_it.py",
        """
        import os, socket, threading
        import pytest

        @pytest.fixture(scope="session")
        def wide():
            yield os.getpid()
            open("finalised", "a").write("x")

        @pytest.fixture(scope="module")
        def pipe():
            yield os.pipe()

        def test_user(): assert os.getuid() != 0
        def test_pass(wide, tmp_path): assert tmp_path.is_dir()
        def test_fail(wide): assert False
        def test_dies(wide): os.abort()
        def test_write(pipe): os.write(pipe[1], b"x")
        def test_read(pipe): assert os.read(pipe[0], 1) == b"x"
        """,
    )
    report = stranger.json("-n", "2", "--no-second-opinion", **as_stranger(TMPDIR=str(stranger.path)))
    report.expect(1, passed=4, failed=1, crashed=1)
    assert report.modes["test_pass"] == ISOLATED
    assert report.modes["test_read"] == "shared"
    assert (stranger / "finalised").read_text() == "x"


def test_the_cache_is_the_users(stranger: Project) -> None:
    stranger.write("test_it.py", "def test_a(): assert False\n")
    stranger.tach(**as_stranger(TMPDIR=str(stranger.path))).expect(1, failed=1)
    owner = (stranger / ".pytest_cache" / "v" / "cache" / "lastfailed").stat().st_uid
    assert owner == (STRANGER if os.geteuid() == 0 else os.geteuid())


def test_a_daemon_is_ended(stranger: Project) -> None:
    stranger.write(
        "test_it.py",
        """
        import os
        def test_a():
            if os.fork() == 0:
                os.setsid()
                os.execlp("sleep", "sleep", "1000")
        """,
    )
    stranger.tach(**as_stranger(TMPDIR=str(stranger.path))).expect(0, passed=1)
