"""What is shown on a terminal: a progress line over a stream of failures, then pytest's own texts."""

from __future__ import annotations

import re

import pytest
from runner import ESCAPES, Project

SUITE = """
import time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.1)
    assert number != 2, "two is no good"
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_progress_failures_and_the_end(project: Project) -> None:
    project.write("test_it.py", SUITE)
    result = project.terminal("-n", "2").expect(1, failed=1, passed=5)
    assert re.search(r"\[ \d/6 \]", result.out)
    assert re.search(r"\| test_it\.py::test_it\[\d\] \d+s", result.out)
    plain = ESCAPES.sub("", result.out)
    streamed = plain.index("FAILED test_it.py::test_it[2] - AssertionError: two is no good")
    assert streamed < plain.index("= FAILURES =") < plain.index("short test summary info")


def test_no_line_of_progress_stays_behind(project: Project) -> None:
    project.write("test_it.py", SUITE)
    result = project.terminal().expect(1)
    lines = [line.rstrip("\r") for line in result.out.split("\n")]
    shown = [ESCAPES.sub("", line.rsplit("\r", 1)[-1]) for line in lines]
    assert [line for line in shown if re.match(r"\[ +\d/6 \]", line)] == []


def test_there_are_colours(project: Project) -> None:
    project.write("test_it.py", SUITE)
    assert COLOUR.search(project.terminal().expect(1).out)


@pytest.mark.parametrize("how", ["NO_COLOR", "--color=no"])
def test_colours_can_be_switched_off(project: Project, how: str) -> None:
    project.write("test_it.py", SUITE)
    result = project.terminal(how) if how.startswith("-") else project.terminal(env={how: "1"})
    assert COLOUR.search(result.expect(1).out) is None


def test_a_dumb_terminal_gets_plain_lines(project: Project) -> None:
    project.write("test_it.py", SUITE)
    result = project.terminal(env={"TERM": "dumb", "NO_COLOR": "1"}).expect(1, failed=1, passed=5)
    assert "\x1b" not in result.out


def test_verbose_shows_a_line_for_each_test(project: Project) -> None:
    project.write("test_it.py", SUITE)
    plain = ESCAPES.sub("", project.terminal("-v").expect(1).out)
    verdicts = re.findall(r"test_it\.py::test_it\[(\d)\] (PASSED|FAILED)", plain)
    assert verdicts == [(str(n), "FAILED" if n == 2 else "PASSED") for n in range(6)]


def test_output_of_tests_is_shown_with_no_capture(project: Project) -> None:
    project.write("test_it.py", "def test_a(): print('straight', 'through')\n")
    assert "straight through" in project.terminal("-s").expect(0, passed=1).out


def test_json_on_stdout_leaves_the_terminal_to_stderr(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.terminal("--format", "json").expect(0)
    assert '"exit_code":0' in result.out


def test_pdb_has_the_terminal(project: Project) -> None:
    project.write("test_it.py", "def test_a():\n    secret = 6 * 7\n    assert secret == 0\n")
    run = project.start("--pdb", env={"TERM": "xterm"}, terminal=True)
    run.wait_for(lambda: "(Pdb)" in run.output)
    run.type(b"p secret + 1000\n")
    run.wait_for(lambda: "1042" in run.output)
    run.type(b"c\n")
    run.finish().expect(1, failed=1)


def test_breakpoint_has_the_terminal_with_pdb(project: Project) -> None:
    project.write("test_it.py", "def test_a():\n    secret = 6 * 7\n    breakpoint()\n    assert secret == 42\n")
    run = project.start("--pdb", env={"TERM": "xterm"}, terminal=True)
    run.wait_for(lambda: "(Pdb)" in run.output)
    run.type(b"p secret + 1000\n")
    run.wait_for(lambda: "1042" in run.output)
    run.type(b"c\n")
    run.finish().expect(0, passed=1)


LIVE = """
import logging
import pytest

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    logging.getLogger("mine").warning("number %d", number)
"""


def live_logs(out: str) -> list[str]:
    plain = ESCAPES.sub("", out).replace("\r", "\n")
    return re.findall(
        r"^(?:test_it\.py::test_it\[\d\] ?|-+ live log call -+|WARNING .*|PASSED.*)$", plain, re.MULTILINE
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_live_logs_as_under_pytest(project: Project, workers: str) -> None:
    project.write("pytest.ini", "[pytest]\nlog_cli = true\n")
    project.write("test_it.py", LIVE)
    theirs = live_logs(project.pytest().out)
    assert sum("number" in line for line in theirs) == 3
    assert live_logs(project.tach("-n", workers).expect(0, passed=3).out) == theirs
    assert live_logs(project.terminal("-n", workers).expect(0, passed=3).out) == theirs


def test_verbose_in_an_ini_file(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\naddopts = -v\n")
    project.write("test_it.py", SUITE)
    plain = ESCAPES.sub("", project.terminal().expect(1).out)
    assert len(re.findall(r"test_it\.py::test_it\[(\d)\] (PASSED|FAILED)", plain)) == 6
