"""`kill -9` of the supervisor, in mid-run: within a second no process of the run is left, daemons included."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import pytest
from runner import SWEEP_S, Project, assert_nothing_left, command_line, processes_of, wait_until

DAEMON = """
import os, subprocess, time
import pytest

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execlp("sleep", "sleep", "1000")
        os._exit(0)

def test_daemon():
    daemon()
    open("running", "w").close()
    time.sleep(1000)

@pytest.mark.parametrize("number", range(20))
def test_other(number): time.sleep(0.05)
"""


def shared_segments() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_nothing_is_left(project: Project, mode: str) -> None:
    project.write("test_it.py", DAEMON)
    segments = shared_segments()
    run = project.start("--mode", mode, "-n", "2")
    run.wait_for((project / "running").exists)
    run.wait_for(lambda: [pid for pid in processes_of(run.mark) if command_line(pid).startswith("sleep 1000")])
    run.signal(signal.SIGKILL)
    run.process.wait()
    wait_until(lambda: not processes_of(run.mark), SWEEP_S)
    assert_nothing_left(run.mark)
    assert run.finish().code == -signal.SIGKILL
    assert shared_segments() - segments == set()


@pytest.mark.parametrize("stage", ["collecting", "wide set-up"])
def test_nothing_is_left_at_other_times(project: Project, stage: str) -> None:
    sleep = "open('here', 'w').close(); time.sleep(1000)"
    project.write(
        "test_it.py",
        f"""
        import time, pytest

        @pytest.fixture(scope="session")
        def wide(): {sleep if stage == "wide set-up" else "pass"}

        def test_a(wide): pass

        {sleep if stage == "collecting" else ""}
        """,
    )
    run = project.start()
    run.wait_for((project / "here").exists)
    run.signal(signal.SIGKILL)
    assert run.finish().code == -signal.SIGKILL


def test_a_new_run_works_after_it(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os, time\ndef test_a():\n    open('here', 'w').close()\n    time.sleep(0 if os.environ.get('QUICK') else 1000)\n",
    )
    run = project.start()
    run.wait_for((project / "here").exists)
    run.signal(signal.SIGKILL)
    run.finish()
    project.tach(env={"QUICK": "1"}).expect(0, passed=1)


def test_the_keeper_killed_ends_the_run(project: Project) -> None:
    project.write("test_it.py", DAEMON)
    run = project.start()
    run.wait_for((project / "running").exists)
    keepers = [pid for pid in processes_of(run.mark) if "tach-zygote" in command_line(pid).split(" ")[0]]
    assert len(keepers) == 1
    os.kill(keepers[0], signal.SIGKILL)
    assert run.finish().code == 3


def test_every_python_process_killed_ends_the_run(project: Project) -> None:
    """As the kernel may do when memory is short."""
    project.write("test_it.py", DAEMON)
    run = project.start("-n", "2")
    run.wait_for((project / "running").exists)
    pythons = [pid for pid in processes_of(run.mark) if command_line(pid).startswith(sys.executable)]
    assert len(pythons) >= 4
    for pid in pythons:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    result = run.finish()
    assert result.code == 3, result
    assert "killed by signal 9" in result.err
