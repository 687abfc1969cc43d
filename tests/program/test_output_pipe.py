"""What is printed into a pipe: plain lines, pytest's own, and tach's section."""

from __future__ import annotations

import re

import pytest
from runner import ENGINE, ISOLATED, Project, Result

SUITE = """
import warnings
import pytest

def test_pass(): pass

def test_fail():
    print("said before it failed")
    assert {"a": 1, "b": [1, 2]} == {"a": 1, "b": [1, 3]}

@pytest.mark.skip(reason="not today")
def test_skip(): pass

@pytest.mark.xfail(reason="known")
def test_xfail(): assert False

@pytest.mark.xfail
def test_xpass(): pass

@pytest.fixture
def broken(): raise LookupError("no set-up")

def test_error(broken): pass

def test_warns(): warnings.warn("mind the gap")
"""


def without_tachs_own(result: Result) -> list[str]:
    """The lines that pytest would have printed, with times taken out."""
    kept = []
    in_section = False
    for line in result.lines:
        if re.fullmatch(r"-+ tach -+", line):
            in_section = True
        elif line.startswith("="):
            in_section = False
        if in_section or line.startswith("tach: "):
            continue
        # The last line's rules are as long as the time is short.
        line = re.sub(r"in \d+\.\d+s", "in S", line)
        kept.append(re.sub(r"^=+ (.*) =+$", r"= \1 =", line))
    return kept


@pytest.mark.parametrize(
    "words", [[], ["-v"], ["-q"], ["-rA"], ["--tb=short"], ["-vv", "--tb=line"], ["-qq"]], ids=" ".join
)
def test_the_text_is_pytests(project: Project, words: list[str]) -> None:
    project.write("test_it.py", SUITE)
    words = ["-p", "no:cacheprovider", *words]
    theirs = project.pytest(*words)
    ours = project.tach(*words).expect(1)
    assert without_tachs_own(ours) == without_tachs_own(theirs)


def test_there_are_no_escapes_and_no_returns(project: Project) -> None:
    project.write("test_it.py", SUITE)
    result = project.tach("-v").expect(1)
    assert "\x1b" not in result.out
    assert "\r" not in result.out
    assert result.err == ""


def test_the_summary_names_seed_workers_and_modes(project: Project) -> None:
    project.write("test_it.py", SUITE)
    result = project.tach("--seed", "77", "-n", "2").expect(1)
    assert f"seed 77, 2 workers, engine {ENGINE}, modes: 7 {ISOLATED}" in result.lines
    assert any(re.fullmatch(r"tach: \S+, seed 77", line) for line in result.lines)


def test_sections_of_plugins_are_shown(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_report_header(config): return "a header of ours"

        def pytest_terminal_summary(terminalreporter, exitstatus):
            terminalreporter.section("our section")
            terminalreporter.write_line(f"ended with {int(exitstatus)}")
        """,
    )
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.tach().expect(0, passed=1)
    assert "a header of ours" in result.lines
    assert "ended with 0" in result.lines


def test_durations_are_reported(project: Project) -> None:
    project.write("test_it.py", "import time\ndef test_slow(): time.sleep(0.3)\ndef test_fast(): pass\n")
    result = project.tach("--durations=1").expect(0, passed=2)
    slowest = [line for line in result.lines if line.endswith("call     test_it.py::test_slow")]
    assert len(slowest) == 1
    assert slowest[0].startswith("0.3")


def test_failures_come_in_collection_order(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import time, pytest

        @pytest.mark.parametrize("number", range(8))
        def test_it(number):
            time.sleep(0.1 if number % 2 == 0 else 0)
            assert False
        """,
    )
    result = project.tach("-n", "4", "--tb=line").expect(1, failed=8)
    named = [line.split(" ")[1] for line in result.lines if line.startswith("FAILED ")]
    assert named == [f"test_it.py::test_it[{number}]" for number in range(8)]


def test_colours_can_be_forced(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    assert "\x1b[32m" in project.tach("--color=yes").expect(0).out


def test_version_and_help(project: Project) -> None:
    version = project.tach("--version").expect(0)
    assert re.fullmatch(r"tach-supervisor \d+\.\d+\.\d+\n", version.out)
    usage = project.tach("--help").expect(0)
    assert usage.lines[0].startswith("Usage: tach-supervisor")
    assert len(usage.lines) <= 24
    assert max(map(len, usage.lines)) <= 80
