"""Wide fixtures whose functions ask for other ones while they run: each function runs once, and to its end."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project

LOG = """
import pytest

def log(text):
    with open("log", "a") as file:
        file.write(text + "\\n")
"""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("outer", ["session", "module", "class"])
@pytest.mark.parametrize("inner", ["session", "module"])
def test_each_function_runs_once(project: Project, outer: str, inner: str, workers: str) -> None:
    if (outer, inner) == ("session", "module"):
        pytest.skip("pytest refuses that")
    project.write(
        "test_it.py",
        LOG
        + f"""
@pytest.fixture(scope="{inner}")
def inner():
    log("inner")
    yield 1
    log("inner ends")

@pytest.fixture(scope="{outer}")
def outer(request):
    log("outer begins")
    value = request.getfixturevalue("inner")
    log("outer goes on")
    yield value
    log("outer ends")

class TestIt:
    def test_one(self, outer): assert outer == 1
    def test_two(self, outer): assert outer == 1
""",
    )
    project.pytest().expect(0, passed=2)
    expected = project.log()
    for _ in range(2):
        (project / "log").unlink()
        project.tach("-n", workers).expect(0, passed=2)
        assert project.log() == expected


def test_what_a_session_fixture_has_set_up_early_is_there_for_all(project: Project) -> None:
    project.write(
        "conftest.py",
        LOG
        + """
@pytest.fixture(scope="session")
def inner():
    log("inner")
    yield 1
    log("inner ends")

@pytest.fixture(scope="session")
def outer(request):
    yield request.getfixturevalue("in" + "ner")
    log("outer ends")
""",
    )
    project.write("test_a.py", "def test_outer(outer): assert outer == 1\n")
    project.write("test_b.py", "def test_plain(): pass\ndef test_inner(inner): assert inner == 1\n")
    for _ in range(2):
        report = project.json("-n", "2").expect(0, passed=3)
        assert report.modes["test_inner"] == ISOLATED, str(report)
        assert project.log() == ["inner", "outer ends", "inner ends"]
        (project / "log").unlink()


def test_a_hook_around_a_fixture_asks_for_another_one(project: Project) -> None:
    project.write(
        "conftest.py",
        LOG
        + """
@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname == "outer":
        log("hook begins")
        request.getfixturevalue("inner")
    yield
    if fixturedef.argname == "outer":
        log("hook ends")

@pytest.fixture(scope="session")
def outer():
    log("outer")

@pytest.fixture(scope="session")
def inner():
    log("inner")
""",
    )
    project.write("test_it.py", "def test_it(outer): pass\n")
    project.pytest().expect(0, passed=1)
    expected = project.log()
    (project / "log").unlink()
    project.tach().expect(0, passed=1)
    assert project.log() == expected
