"""Ctrl-C once: stop handing out, interrupt, finalise, report, exit 2. Twice: leave now. Nothing is left behind."""

from __future__ import annotations

import signal

import pytest
from runner import Project, forks_layers

SUITE = """
import pathlib, time
import pytest

def log(text):
    with open("log", "a") as file:
        file.write(text + "\\n")

@pytest.fixture(scope="session")
def wide():
    log("set up session")
    yield
    log("finalised session")

@pytest.fixture(scope="module")
def module():
    yield
    log("finalised module")

def test_first(wide): pass

def test_long(wide, module):
    log("running")
    time.sleep(1000)

def test_after(wide, module): log("after")
"""


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_once_finalises_and_reports(project: Project, mode: str) -> None:
    project.write("test_it.py", SUITE)
    run = project.start("--mode", mode, "-n", "1")
    run.wait_for(lambda: "running" in project.log())
    run.signal(signal.SIGINT)
    result = run.finish().expect(2, passed=1)
    assert project.log() == ["set up session", "running", "finalised module", "finalised session"]
    assert "KeyboardInterrupt" in result.out


def test_control_c_on_a_terminal(project: Project) -> None:
    project.write("test_it.py", SUITE)
    run = project.start("-n", "1", env={"TERM": "xterm"}, terminal=True)
    run.wait_for(lambda: "running" in project.log())
    run.type(b"\x03")
    run.finish().expect(2, passed=1)
    assert project.log()[-1] == "finalised session"


def test_twice_leaves_at_once(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import signal, time

        def test_long():
            signal.signal(signal.SIGINT, lambda *_: open("heard", "w").close())
            open("running", "w").close()
            while True:
                time.sleep(1)
        """,
    )
    run = project.start()
    run.wait_for((project / "running").exists)
    run.signal(signal.SIGINT)
    run.wait_for((project / "heard").exists)
    run.signal(signal.SIGINT)
    assert run.finish().code == 2


@forks_layers
def test_a_test_that_ignores_the_interrupt_is_killed_after_a_while(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import signal, time
        import pytest

        @pytest.fixture(scope="module")
        def module():
            yield
            open("finalised", "w").close()

        def test_deaf(module):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            open("running", "w").close()
            while True:
                time.sleep(1)
        """,
    )
    run = project.start()
    run.wait_for((project / "running").exists)
    run.signal(signal.SIGINT)
    assert run.finish(30).code == 2
    assert (project / "finalised").exists()


def test_during_collection(project: Project) -> None:
    project.write("test_it.py", "import time\nopen('collecting', 'w').close()\ntime.sleep(1000)\ndef test_a(): pass\n")
    run = project.start()
    run.wait_for((project / "collecting").exists)
    run.signal(signal.SIGINT)
    assert run.finish().code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_other_signals_end_the_run(project: Project, number: signal.Signals) -> None:
    project.write("test_it.py", SUITE)
    run = project.start("-n", "1")
    run.wait_for(lambda: "running" in project.log())
    run.signal(number)
    assert run.finish(30).code == 2
    assert project.log()[-1] == "finalised session"


def test_keyboard_interrupt_in_a_test(project: Project) -> None:
    project.write(
        "test_it.py",
        "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\ndef test_c(): open('ran', 'w')\n",
    )
    theirs = project.pytest()
    (project / "ran").unlink(missing_ok=True)
    result = project.tach("-n", "1").expect(2, **theirs.counts)
    assert "KeyboardInterrupt" in result.out
    assert not (project / "ran").exists()


def test_pytest_exit_in_a_test(project: Project) -> None:
    project.write("test_it.py", "import pytest\ndef test_a(): pass\ndef test_b(): pytest.exit('that is all')\n")
    result = project.tach().expect(2, passed=1)
    assert "that is all" in result.out


def test_fixtures_finalised_after_a_test_interrupted_are_charged_to_it(project: Project) -> None:
    project.write(
        "test_it.py",
        "import pytest\n@pytest.fixture(scope='module')\ndef wide():\n    yield\n    print('finalised')\n"
        "def test_a(wide): pass\ndef test_b(wide): raise KeyboardInterrupt\ndef test_c(wide): pass\n",
    )
    result = project.tach("-n", "2").expect(2, passed=1)
    assert "is replaced" not in result.out + result.err
