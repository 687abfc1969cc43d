"""A test that dies is reported as crashed, with its signal; everything else still runs, and once."""

from __future__ import annotations

import signal

import pytest
from runner import Project, forks_layers

FATAL = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL"]


@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_signal_costs_one_test(project: Project, name: str) -> None:
    project.write(
        "test_it.py",
        f"""
        import os, signal
        def test_before(): pass
        def test_dies():
            print("last words", flush=True)
            os.kill(os.getpid(), signal.{name})
        def test_after(): pass
        """,
    )
    report = project.json().expect(1, passed=2, crashed=1)
    test = report.test("::test_dies")
    assert test["outcome"] == "crashed"
    assert name in test["message"]
    assert test["stdout"] == "last words\n"


def test_one_crash_among_a_thousand(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, signal
        import pytest

        @pytest.mark.parametrize("number", range(1000))
        def test_it(number):
            if number == 500:
                os.kill(os.getpid(), signal.SIGSEGV)
        """,
    )
    result = project.tach().expect(1, passed=999, crashed=1)
    assert "CRASHED test_it.py::test_it[500] - " in result.out
    assert "SIGSEGV" in result.out


def test_the_python_stack_is_shown(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import ctypes
        def read_nothing(): ctypes.string_at(0)
        def test_dies(): read_nothing()
        """,
    )
    result = project.tach().expect(1, crashed=1)
    assert "in read_nothing" in result.out
    assert "tach_harness" not in result.out


@pytest.mark.parametrize("code", [0, 1, 77])
def test_leaving_by_exit_is_a_crash(project: Project, code: int) -> None:
    project.write("test_it.py", f"import os\ndef test_leaves(): os._exit({code})\ndef test_b(): pass\n")
    report = project.json().expect(1, passed=1, crashed=1)
    assert str(code) in report.test("::test_leaves")["message"]


def test_a_crash_is_remembered_by_lastfailed(project: Project) -> None:
    project.write("test_it.py", "import os\ndef test_a(): pass\ndef test_dies(): os.abort()\n")
    project.tach().expect(1, passed=1, crashed=1)
    assert list(project.json("--lf").expect(1).outcomes) == ["test_dies"]


@pytest.mark.parametrize("where", ["setup", "teardown"])
def test_dying_in_a_fixture(project: Project, where: str) -> None:
    project.write(
        "test_it.py",
        f"""
        import os, pytest

        @pytest.fixture
        def deadly():
            {"os.abort()" if where == "setup" else "pass"}
            yield
            {"os.abort()" if where == "teardown" else "pass"}

        def test_a(): pass
        def test_dies(deadly): pass
        def test_b(): pass
        """,
    )
    report = project.json().expect(1, passed=2, crashed=1)
    assert report.outcomes["test_dies"] == "crashed"


def test_dying_in_a_wide_fixture_costs_no_other_module(project: Project) -> None:
    project.write(
        "test_deadly.py",
        """
        import os, pytest

        @pytest.fixture(scope="module")
        def deadly(): os.abort()

        def test_a(deadly): pass
        def test_b(deadly): pass
        """,
    )
    project.write("test_good.py", "def test_a(): pass\ndef test_b(): pass\n")
    report = project.json().expect(1)
    assert report.summary == {"passed": 2, "crashed": 2}
    assert len(report.tests) == 4


@forks_layers
def test_dying_under_a_wide_fixture_leaves_its_neighbours_alone(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, pytest

        def log(text):
            with open("log", "a") as file:
                file.write(text + "\\n")

        @pytest.fixture(scope="module")
        def wide():
            log("set up")
            yield
            log("finalised")

        def test_a(wide): pass
        def test_dies(wide): os.abort()
        def test_b(wide): log("b")
        """,
    )
    project.json().expect(1, passed=2, crashed=1)
    assert project.log() == ["set up", "b", "finalised"]


def test_maxfail_counts_crashes(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, pytest

        @pytest.mark.parametrize("number", range(10))
        def test_it(number):
            if number in (2, 5):
                os.abort()
        """,
    )
    report = project.json("--maxfail=2").expect(1, passed=4, crashed=2)
    assert [test["nodeid"] for test in report.tests][-1] == "test_it.py::test_it[5]"
    project.json("-x").expect(1, passed=2, crashed=1)


def test_a_crash_is_run_once(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os\ndef test_dies():\n    with open('log', 'a') as file: file.write('ran\\n')\n    os.abort()\n",
    )
    project.tach().expect(1, crashed=1)
    assert project.log() == ["ran"]


def test_no_core_signal_name_is_lost(project: Project) -> None:
    project.write("test_it.py", "import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGRTMIN + 3)\n")
    report = project.json().expect(1, crashed=1)
    assert str(int(signal.SIGRTMIN) + 3) in report.test("::test_dies")["message"]
