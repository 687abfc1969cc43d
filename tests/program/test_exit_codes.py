"""Exit codes are pytest's."""

from __future__ import annotations

import pytest
from runner import Project

SUITES = {
    "all pass": ("def test_a(): pass\n", [], 0),
    "one fails": ("def test_a(): assert False\ndef test_b(): pass\n", [], 1),
    "set-up error": ("def test_a(nothing_of_this_name): pass\n", [], 1),
    "only skipped": ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", [], 0),
    "interrupted": ("def test_a(): raise KeyboardInterrupt\n", [], 2),
    "collection error": ("import nothing_of_this_name\n", [], 2),
    "unknown option": ("def test_a(): pass\n", ["--no-such-option"], 4),
    "no such path": ("def test_a(): pass\n", ["missing.py"], 4),
    "no tests": ("x = 1\n", [], 5),
    "all deselected": ("def test_a(): pass\n", ["-k", "nothing"], 5),
    "pytest.exit": ("import pytest\ndef test_a(): pytest.exit('enough', returncode=7)\n", [], 7),
}


@pytest.mark.parametrize("name", SUITES)
def test_exit_code_is_pytests(project: Project, name: str) -> None:
    content, words, code = SUITES[name]
    project.write("test_it.py", content)
    assert project.pytest(*words).code == code
    project.tach(*words).expect(code)


def test_a_crashed_test_makes_one(project: Project) -> None:
    project.write("test_it.py", "import os\ndef test_a(): os.abort()\ndef test_b(): pass\n")
    project.tach().expect(1, passed=1, crashed=1)


def test_internal_error_in_a_hook_makes_three(project: Project) -> None:
    project.write("conftest.py", "def pytest_collection_modifyitems(): raise RuntimeError('hook broke')\n")
    project.write("test_it.py", "def test_a(): pass\n")
    assert project.pytest().code == 3
    result = project.tach().expect(3)
    assert "INTERNALERROR> RuntimeError: hook broke" in result.out + result.err


def test_the_session_hook_changes_the_exit_code(project: Project) -> None:
    project.write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 11\n")
    project.write("test_it.py", "def test_a(): pass\n")
    assert project.pytest().code == 11
    project.tach().expect(11, passed=1)


def test_collection_errors_may_be_passed_over(project: Project) -> None:
    project.write("test_bad.py", "import nothing_of_this_name\n")
    project.write("test_good.py", "def test_a(): pass\n")
    assert project.pytest("--continue-on-collection-errors").code == 1
    project.tach("--continue-on-collection-errors").expect(1, passed=1, error=1)
