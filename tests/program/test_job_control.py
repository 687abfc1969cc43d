"""Ctrl-Z and `fg`, and tests that stop processes."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

import pytest
from runner import SUPERVISOR, Project, Run, clean_environment, processes_of

# What an interactive shell does with a job: a group of its own, in front until it stops, in front again at a line from the
# user.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    print("Stopped", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, job)
    os.kill(-job, signal.SIGCONT)
"""


def start_in_shell(project: Project, *words: str) -> Run:
    project.write("shell.py", SHELL)
    ours = [str(SUPERVISOR), "--python", project.python, *words]
    command = [sys.executable, "shell.py", *ours]
    return Run(command, project.path, clean_environment(TERM="xterm"), terminal=True)


def states(run: Run) -> set[str]:
    """The states of all processes of the run but the shell, as proc(5) has them."""
    found = set()
    for pid in processes_of(run.mark):
        if pid != run.process.pid:
            with contextlib.suppress(OSError):
                found.add(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0])
    return found


def test_control_z_stops_all_and_fg_continues_all(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pathlib, time

        def test_long():
            open("running", "w").close()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)

        def test_other(): pass
        """,
    )
    run = start_in_shell(project, "-n", "2")
    run.wait_for((project / "running").exists)
    run.type(b"\x1a")
    run.wait_for(lambda: "Stopped" in run.output)
    run.wait_for(lambda: states(run) == {"T"})
    (project / "go").touch()
    run.type(b"fg\n")
    run.finish().expect(0, passed=2)


def test_control_z_in_a_debugger(project: Project) -> None:
    project.write("test_it.py", "def test_it():\n    secret = 6 * 7\n    breakpoint()\n    assert secret == 42\n")
    run = start_in_shell(project)
    run.wait_for(lambda: "(Pdb)" in run.output)
    run.type(b"\x1a")
    run.wait_for(lambda: "Stopped" in run.output)
    run.type(b"fg\n")
    run.wait_for(lambda: os.tcgetpgrp(run.master) != run.process.pid)
    run.type(b"p secret + 1000\n")
    run.wait_for(lambda: "1042" in run.output)
    run.type(b"c\n")
    run.finish().expect(0, passed=1)


@pytest.mark.parametrize("whom", ["os.getppid()", "os.getpid()", "0"], ids=["parent", "itself", "group"])
@pytest.mark.parametrize("engine", [None, "fork"])
def test_what_a_test_stops_goes_on(project: Project, whom: str, engine: str | None) -> None:
    project.write(
        "test_it.py",
        f"""
        import os, signal

        def test_stops(): os.kill({whom}, signal.SIGSTOP)
        def test_other(): pass
        """,
    )
    result = project.tach("-n", "1", *(["--engine", engine] if engine else [])).expect(0, passed=2)
    assert re.search(r"tach: process \d+ was stopped", result.out)


def test_a_test_may_stop_and_continue_a_child_of_its_own(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, signal, subprocess, sys

        def test_it():
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            os.kill(child.pid, signal.SIGSTOP)
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
            child.kill()
            assert child.wait() == -signal.SIGKILL
        """,
    )
    project.tach().expect(0, passed=1)
