"""Runs a program to its end, bounded in time; output goes to files, so no leftover child can hold a pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class HarnessError(Exception):
    """The harness itself cannot go on; the message is for the user."""


@dataclass
class Finished:
    """How a program ended. A program stopped at its time limit has `timed_out` set."""

    exit_code: int
    stdout: str
    stderr: str
    duration: float
    timed_out: bool = False


def run(argv: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float) -> Finished:
    """Run a program in a session of its own; at the time limit the whole group is killed."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise HarnessError(f"{argv[0]}: {error.strerror}") from error
        timed_out = False
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            if child.poll() is None:
                _kill_group(child)
        duration = time.monotonic() - started
        return Finished(child.returncode, _read(out), _read(err), duration, timed_out)


def check(argv: Sequence[str], cwd: Path, timeout: float = 600.0) -> str:
    """Run a tool that must succeed (pip, venv) and return its output."""
    done = run(argv, cwd, os.environ, timeout)
    if done.exit_code != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise HarnessError(f"{' '.join(argv)}: exit {done.exit_code}\n{tail}")
    return done.stdout


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
