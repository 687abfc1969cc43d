"""pytest-timeout: its method `thread` ends a process with the stacks of its threads told; `signal` fails the test."""

from __future__ import annotations

import re

import pytest
from runner import Project, needs_plugin

pytestmark = needs_plugin("pytest_timeout")
# Others of the environment that have a session run in one process, where pytest-timeout prints as under pytest.
ISOLATING = ("-p", "no:django", "-p", "no:rerunfailures")

SUITE = """
import threading, time
import pytest

def wait_for_ever():
    print("printed before")
    time.sleep(1000)

def test_before(): pass

@pytest.mark.timeout(1)
def test_slow(): wait_for_ever()

def test_after(): pass
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_thread_kills_one_test_and_shows_its_stacks(plugins_project: Project, workers: str) -> None:
    plugins_project.write("test_it.py", SUITE)
    words = ("-n", workers, "-o", "timeout_method=thread", *ISOLATING)
    result = plugins_project.tach(*words).expect(1, passed=2, crashed=1)
    crashes = result.out[result.out.index("= CRASHES =") : result.out.index("CRASHED test_it.py::test_slow - ")]
    assert re.search(r"\++ Timeout \++", crashes)
    assert "printed before" in crashes
    assert re.search(r'File ".*test_it\.py", line 6, in wait_for_ever\n +time\.sleep\(1000\)', crashes)
    assert "tach_harness" not in crashes


def test_signal_fails_the_test_as_under_pytest(plugins_project: Project) -> None:
    plugins_project.write("test_it.py", SUITE)
    words = ("-o", "timeout_method=signal")
    theirs = plugins_project.pytest(*words).expect(1, passed=2, failed=1)
    ours = plugins_project.tach(*words).expect(1, passed=2, failed=1)

    def text(out: str) -> str:
        return re.sub(r"\d+\.\d+s", "", out[out.index("= FAILURES =") : out.index("short test summary")])

    assert text(theirs.out).splitlines()[:-1] == text(ours.out).splitlines()[: len(text(theirs.out).splitlines()) - 1]


def test_a_debugger_has_no_limit(plugins_project: Project) -> None:
    plugins_project.write(
        "test_it.py",
        """
        import time
        import pytest

        @pytest.mark.timeout(1)
        def test_it():
            breakpoint()
            open("went on", "w").close()
        """,
    )
    run = plugins_project.start(env={"TERM": "xterm"}, terminal=True)
    run.wait_for(lambda: "(Pdb)" in run.output)
    run.type(b"import time; time.sleep(1.5)\n")
    run.wait_for(lambda: run.output.count("(Pdb)") >= 2)
    run.type(b"c\n")
    run.finish().expect(0, passed=1)
    assert (plugins_project / "went on").exists()
