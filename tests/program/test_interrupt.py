"""Ctrl-C once: stop handing out, interrupt, finalise, report, exit 2. Twice: leave now. Nothing is left behind."""

from __future__ import annotations

import re
import signal

import pytest
from runner import Project, Result, Run, clean_environment, forks_layers

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


def place_of_interrupt(result: Result) -> list[str]:
    """What pytest shows of it: the headline, the place, and advice."""
    lines = result.out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("!!!"))
    return lines[first : first + 3]


@pytest.mark.parametrize("mode", ["isolated", "shared"])
def test_it_is_told_where_the_test_was_as_under_pytest(project: Project, mode: str) -> None:
    project.write(
        "test_it.py",
        """
        import os

        def helper():
            while True: os.close(os.open("running", os.O_CREAT))

        def test_hangs(): helper()
        """,
    )
    results = []
    words = ["-n", "2", *(["--mode", "shared"] if mode == "shared" else [])]
    for tool in ("pytest", "tach"):
        if tool == "pytest":
            run = Run([project.python, "-m", "pytest"], project.path, clean_environment())
        else:
            run = project.start(*words)
        run.wait_for((project / "running").exists)
        run.signal(signal.SIGINT)
        results.append(run.finish().expect(2))
        (project / "running").unlink()
    theirs, ours = results
    assert place_of_interrupt(ours) == place_of_interrupt(theirs)
    if mode != "shared":
        assert "interrupted: test_it.py::test_hangs at " in ours.out


def test_the_whole_traceback_has_no_frame_of_tach(project: Project) -> None:
    project.write("test_it.py", "import time\ndef test_it():\n    open('running', 'w').close()\n    time.sleep(1000)\n")
    run = project.start("--full-trace")
    run.wait_for((project / "running").exists)
    run.signal(signal.SIGINT)
    result = run.finish().expect(2)
    assert re.search(r"^> +time\.sleep\(1000\)\nE +KeyboardInterrupt$", result.out, re.MULTILINE)
    assert "tach_harness" not in result.out


DEAF = """
import signal, time

def test_first(): pass

def test_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    open("running", "w").close()
    time.sleep(1000)
"""


@pytest.mark.parametrize("mode", ["isolated", "shared"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_one_that_does_not_listen_is_told_with_its_stack(project: Project, number: signal.Signals, mode: str) -> None:
    project.write("test_it.py", DEAF)
    run = project.start("-n", "2", *(["--mode", "shared"] if mode == "shared" else []))
    run.wait_for((project / "running").exists)
    run.signal(number)
    result = run.finish(30)
    assert result.code == 2
    told = result.out[result.out.index("tach: still running: test_it.py::test_deaf (") :]
    assert re.search(r'^  File "\S*test_it\.py", line 8 in test_deaf$', told, re.MULTILINE)
    assert "tach_harness" not in told


@pytest.mark.parametrize("n", ["1", "2"])
def test_all_that_were_interrupted_are_named(project: Project, n: str) -> None:
    project.write(
        "test_it.py",
        """
        import time
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(number):
            open(f"running{number}", "w").close()
            time.sleep(1000)
        """,
    )
    run = project.start("-n", n)
    run.wait_for(lambda: all((project / f"running{number}").exists() for number in range(int(n))))
    run.signal(signal.SIGINT)
    result = run.finish().expect(2)
    named = re.findall(r"^interrupted: (\S+) at \S+test_it\.py:[67]$", result.out, re.MULTILINE)
    assert named == [f"test_it.py::test_it[{number}]" for number in range(int(n))]
    assert result.out.count("!!! KeyboardInterrupt !!!") == 1


def test_control_c_with_output_of_tests_is_heard_once(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import signal, time

        def test_it():
            heard = []
            signal.signal(signal.SIGINT, lambda *_: heard.append(1))
            open("running", "w").close()
            while not heard:
                time.sleep(0.01)
            time.sleep(0.3)
            open("heard", "w").write(str(len(heard)))
        """,
    )
    run = project.start("-s", env={"TERM": "xterm"}, terminal=True)
    run.wait_for((project / "running").exists)
    run.type(b"\x03")
    run.finish()
    assert (project / "heard").read_text() == "1"
