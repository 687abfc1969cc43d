"""breakpoint() and its kin in a plain run: the test gets the terminal, keys and all, and gives it back."""

from __future__ import annotations

import functools
import re

import pytest
from runner import ESCAPES, Project, Run

SUITE = """
def test_before(): pass

def test_stops():
    secret = 6 * 7
    {statement}
    assert secret == 43

def test_after(): pass
"""
COUNTS = {"passed": 2, "failed": 1}


def start(project: Project, *words: str, env: dict[str, str] | None = None) -> Run:
    return project.start(*words, env={"TERM": "xterm", **(env or {})}, terminal=True)


def shows(run: Run, text: str) -> bool:
    return text in run.output


def prompt(run: Run, nth: int = 1) -> None:
    """Wait for the nth prompt."""
    run.wait_for(lambda: run.output.count("(Pdb)") >= nth)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "statement", ["breakpoint()", "import pdb; pdb.set_trace()", "import pytest; pytest.set_trace()"]
)
def test_a_test_talks_to_the_user(project: Project, statement: str, workers: str) -> None:
    project.write("test_it.py", SUITE.format(statement=statement))
    run = start(project, "-n", workers)
    prompt(run)
    run.type(b"p secret + 1000\n")
    run.wait_for(lambda: "1042" in run.output)
    run.type(b"c\n")
    result = run.finish().expect(1, **COUNTS)
    plain = ESCAPES.sub("", result.out)
    headlines = re.findall(r"^>+ PDB (.*) >+\r$", plain, re.MULTILINE)
    assert headlines == ["set_trace (IO-capturing turned off)", "continue (IO-capturing resumed)"]
    dialogue = plain[plain.index("set_trace (IO") : plain.index("continue (IO")]
    assert not re.search(r"\[ +\d/3 \]", dialogue)


@pytest.mark.parametrize("mode", ["shared", "fork"])
def test_in_other_modes(project: Project, mode: str) -> None:
    project.write("test_it.py", SUITE.format(statement="breakpoint()"))
    run = start(project, "--mode", mode)
    prompt(run)
    run.type(b"p secret + 1000\n")
    run.wait_for(lambda: "1042" in run.output)
    run.type(b"c\n")
    run.finish().expect(1, **COUNTS)


def test_quitting_ends_the_session(project: Project) -> None:
    project.write("test_it.py", SUITE.format(statement="breakpoint()"))
    run = start(project, "-n", "2")
    prompt(run)
    run.type(b"q\n")
    result = run.finish().expect(2, passed=1)
    assert "Exit: Quitting debugger" in result.out


def test_control_c_and_control_d_are_the_debuggers(project: Project) -> None:
    project.write("test_it.py", SUITE.format(statement="breakpoint()"))
    run = start(project, "-n", "2")
    prompt(run)
    run.type(b"\x03")
    prompt(run, 2)
    assert "--KeyboardInterrupt--" in run.output
    run.type(b"\x04")
    result = run.finish().expect(1, **COUNTS)
    assert "bdb.BdbQuit" in result.out


def test_one_after_the_other_and_each_as_long_as_it_likes(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number):
            first = number * 100
            breakpoint()
            second = first + 10
            breakpoint()
            assert second
        """,
    )
    run = start(project, "-n", "2")
    answers = []
    for stop in range(4):
        prompt(run, 2 * stop + 1)
        run.type(b"p 'is', number, first\n")
        prompt(run, 2 * stop + 2)
        answers += re.findall(r"\('is', (\d), \d+\)", run.output)[stop:]
        run.type(b"c\n")
    run.finish().expect(0, passed=2)
    assert answers in (["1", "1", "2", "2"], ["2", "2", "1", "1"])


def test_a_breakpoint_of_the_users_own(project: Project) -> None:
    project.write(
        "test_it.py", "def test_it():\n    breakpoint()\n    first = 300\n    second = 21\n    assert second\n"
    )
    run = start(project)
    prompt(run)
    run.type(b"b 4\n")
    prompt(run, 2)
    run.type(b"c\n")
    prompt(run, 3)
    run.type(b"p first + 21\n")
    run.wait_for(lambda: "321" in run.output)
    run.type(b"c\n")
    run.finish().expect(0, passed=1)


def test_in_fixtures_and_while_collecting(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        place = 100
        breakpoint()

        @pytest.fixture(scope="session")
        def session():
            place = 200
            breakpoint()
            yield

        @pytest.fixture(scope="module")
        def module():
            yield
            place = 300
            breakpoint()
            place = 301

        def test_it(session, module): pass
        """,
    )
    run = start(project)
    for stop, answer in enumerate(["1100", "1200", "1300"]):
        prompt(run, 2 * stop + 1)
        run.type(b"p place + 1000\n")
        run.wait_for(functools.partial(shows, run, answer))
        prompt(run, 2 * stop + 2)
        run.type(b"c\n")
    run.finish().expect(0, passed=1)


def test_a_second_opinion_asks_nobody(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os\nstate = []\ndef test_stops():\n    breakpoint()\n    state.append(1)\ndef test_fails(): assert state\n",
    )
    run = start(project, "-n", "1")
    prompt(run)
    run.type(b"c\n")
    result = run.finish()
    assert result.out.count("(Pdb)") == 1


def test_another_debugger(project: Project) -> None:
    project.write("test_it.py", "def test_it(): breakpoint()\n")
    project.write("mine.py", "def stop(*_, **__):\n    open('stopped', 'w').close()\n")
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    result = project.tach(env={"PYTHONBREAKPOINT": "mine.stop"}).expect(0, passed=1)
    assert (project / "stopped").exists() and "(Pdb)" not in result.out
    project.tach(env={"PYTHONBREAKPOINT": "0"}).expect(0, passed=1)


@pytest.mark.parametrize("keys", ["", "p secret + 1000\nc\n"], ids=["end", "commands"])
def test_in_a_pipe_as_under_pytest(project: Project, keys: str) -> None:
    project.write("test_it.py", SUITE.format(statement="breakpoint()"))
    project.write("keys", keys)

    def told(output: str) -> list[str]:
        return [line for line in output.splitlines() if re.match(r">+ PDB|\(Pdb\)|E  ", line)]

    with (project / "keys").open() as stdin:
        theirs = Run([project.python, "-m", "pytest"], project.path, {}, stdin=stdin).finish()
    with (project / "keys").open() as stdin:
        ours = project.tach("-n", "2", stdin=stdin)
    assert ours.code == theirs.code == 1
    assert ours.counts == theirs.counts == COUNTS
    assert told(ours.out) == told(theirs.out)


@pytest.mark.parametrize("how", ["option", "ini file"])
def test_input_of_a_test_that_is_not_captured(project: Project, how: str) -> None:
    project.write("test_it.py", "def test_it(): assert input('name? ') == 'bob'\ndef test_other(): pass\n")
    if how == "ini file":
        project.write("pytest.ini", "[pytest]\naddopts = -s\n")
    run = start(project, *(["-s"] if how == "option" else []))
    run.wait_for(lambda: "name? " in run.output)
    run.type(b"bob\n")
    run.finish().expect(0, passed=2)
