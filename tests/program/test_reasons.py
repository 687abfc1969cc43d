"""What is not isolated has its reason: a line for each cause in the summary, and a note of each test."""

from __future__ import annotations

import pytest
from runner import ENGINE, Project

pytestmark = pytest.mark.skipif(ENGINE == "fork", reason="a forked test leaves nothing that the next ones run beside")

THREAD = """
import threading, time
import pytest

@pytest.fixture(scope="module")
def wide(): return 1

def test_leaves_a_thread(wide):
    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()

@pytest.mark.parametrize("number", range(4))
def test_plain(wide, number): pass

def test_alone(): pass
"""
CAUSE = "shared after test_it.py::test_leaves_a_thread: it left a thread running"


def test_the_rest_of_a_fixtures_tests_names_the_test_that_spoilt_it(project: Project) -> None:
    project.write("test_it.py", THREAD)
    report = project.json("-n", "2").expect(0, passed=6)
    notes = {name: report.test(f"::{name}")["note"] for name in ("test_plain[0]", "test_plain[3]", "test_alone")}
    assert notes == {"test_plain[0]": CAUSE, "test_plain[3]": CAUSE, "test_alone": CAUSE}


@pytest.mark.parametrize("words", [(), ("-q",)])
def test_a_cause_has_one_line_with_the_number_of_tests(project: Project, words: tuple[str, ...]) -> None:
    project.write("test_it.py", THREAD)
    result = project.tach("--mode", "isolated", *words)
    assert [line for line in result.lines if "shared after" in line] == [f"{CAUSE} (5 tests)"]


def test_what_the_user_asks_for_needs_no_reason(project: Project) -> None:
    project.write("test_it.py", THREAD)
    report = project.json("--mode", "shared").expect(0, passed=6)
    assert {test["note"] for test in report.tests} == {""}
