"""pytest's log file: its lines are those that pytest would have written, whatever ran where, and how often."""

from __future__ import annotations

import pytest
from runner import Project

INI = "[pytest]\nlog_file = out.txt\nlog_file_level = INFO\nlog_file_format = %(message)s\n"
SUITE = """
import logging
import pytest

log = logging.getLogger("app")
seen = []

@pytest.fixture(scope="session", autouse=True)
def everything():
    log.info("session up")
    yield
    log.info("session down")

@pytest.fixture(scope="module")
def module():
    log.info("module up")
    yield
    log.info("module down")

@pytest.fixture
def each():
    log.info("each up")
    yield
    log.info("each down")

@pytest.mark.parametrize("n", range(3))
def test_case(n, each): log.info("case %s", n)
def test_wide(module): log.info("wide")
def test_leaves(): seen.append(1); log.info("leaves")
def test_needs(): log.info("needs %s", seen); assert seen
def test_fails(): log.info("fails"); assert False
"""


@pytest.mark.parametrize("workers", ["1", "2", "4"])
def test_it_has_pytests_lines(project: Project, workers: str) -> None:
    project.write("pytest.ini", INI)
    project.write("test_a.py", SUITE)
    project.write("test_b.py", SUITE)
    project.pytest().expect(1, passed=12, failed=2)
    theirs = project.log("out.txt")
    assert theirs.count("needs [1]") == 2
    for _ in range(2):
        (project / "out.txt").unlink()
        project.tach("-n", workers).expect(1, passed=12, failed=2)
        assert project.log("out.txt") == theirs


def test_what_a_dying_test_had_logged_is_in_it(project: Project) -> None:
    project.write("pytest.ini", INI)
    project.write(
        "test_it.py",
        "import logging, os\ndef test_dies():\n    logging.getLogger('app').info('last words')\n    os._exit(1)\n",
    )
    project.tach().expect(1, crashed=1)
    assert project.log("out.txt") == ["last words"]


def test_a_session_that_is_not_isolated_writes_it_itself(project: Project) -> None:
    project.write("pytest.ini", INI)
    project.write("test_it.py", "import logging\ndef test_a(): logging.getLogger('app').info('here')\n")
    project.tach("--mode", "shared").expect(0, passed=1)
    assert project.log("out.txt") == ["here"]
