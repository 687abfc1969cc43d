"""Wide fixtures that a test sets up while it runs: still once per run, finalised once."""

from __future__ import annotations

import pytest
from runner import Project

SUITE = """
import pytest

def log(text):
    with open("log", "a") as file:
        file.write(text + "\\n")

@pytest.fixture(scope="{scope}")
def late():
    log("set up")
    yield [1]
    log("finalised")

def test_before(): pass

def test_asks(request):
    name = "late" if {told} else "".join(["la", "te"])
    assert request.getfixturevalue(name) == [1]

def test_asks_again(request):
    assert request.getfixturevalue("late") == [1]

def test_needs(late): assert late == [1]
"""


@pytest.mark.parametrize("scope", ["module", "session"])
@pytest.mark.parametrize("told", [True, False], ids=["named", "computed"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_set_up_once(project: Project, scope: str, told: bool, workers: str) -> None:
    project.write("test_it.py", SUITE.format(scope=scope, told=told))
    project.write("test_other.py", "def test_other(): pass\n")
    project.tach("-n", workers).expect(0, passed=5)
    assert project.log() == ["set up", "finalised"]


def test_the_second_run_remembers(project: Project) -> None:
    project.write("test_it.py", SUITE.format(scope="session", told=False))
    for _ in range(2):
        project.tach("-n", "2").expect(0, passed=4)
    assert project.log() == ["set up", "finalised"] * 2


def test_across_modules(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os, pytest

        @pytest.fixture(scope="session")
        def late():
            with open("log", "a") as file: file.write("set up\\n")
            yield os.getpid()
            with open("log", "a") as file: file.write("finalised\\n")
        """,
    )
    asks = "def test_it(request): assert request.getfixturevalue('late')\ndef test_plain(): pass\n"
    for name in "abc":
        project.write(f"test_{name}.py", asks)
    project.pytest().expect(0, passed=6)
    assert project.log() == ["set up", "finalised"]
    (project / "log").unlink()
    project.tach("-n", "2").expect(0, passed=6)
    assert project.log() == ["set up", "finalised"]


def test_a_finaliser_on_a_wide_node_is_kept(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        def finalise():
            with open("log", "a") as file: file.write("finalised\\n")

        class TestA:
            def test_adds(self, request): request.node.parent.addfinalizer(finalise)
            def test_b(self): pass
        """,
    )
    project.pytest().expect(0, passed=2)
    assert project.log() == ["finalised"]
    (project / "log").unlink()
    project.tach("-n", "1").expect(0, passed=2)
    assert project.log() == ["finalised"]


def test_a_late_fixture_that_fails(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def late():
            yield
            raise LookupError("no teardown")

        def test_a(request): request.getfixturevalue("late")
        def test_b(): pass
        """,
    )
    theirs = project.pytest("-rA", "--color=no")
    ours = project.tach("-rA", "--color=no").expect(1, **theirs.counts)
    errors = [line for line in theirs.lines if line.startswith("ERROR ")]
    assert [line for line in ours.lines if line.startswith("ERROR ")] == errors
