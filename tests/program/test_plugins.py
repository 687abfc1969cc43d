"""Plugins and conftest hooks: those of reports and of the session run once, in one process; stateful ones are noticed."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project

HOOKS = """
import os

def log(*words):
    with open(os.path.join(os.path.dirname(__file__), "log"), "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

def pytest_configure(config): log("configure")
def pytest_sessionstart(session): log("sessionstart")
def pytest_collection_finish(session): log("collected", len(session.items))
def pytest_runtest_logstart(nodeid, location): log("logstart", nodeid)
def pytest_runtest_logreport(report): log("logreport", report.nodeid, report.when, report.outcome)
def pytest_runtest_logfinish(nodeid, location): log("logfinish", nodeid)
def pytest_warning_recorded(warning_message, when, nodeid): log("warning", nodeid, when, warning_message.message)
def pytest_sessionfinish(session, exitstatus): log("sessionfinish", int(exitstatus))
def pytest_terminal_summary(terminalreporter): log("summary", len(terminalreporter.getreports("failed")))
def pytest_unconfigure(config): log("unconfigure")
"""
TESTS = """
import warnings
import pytest

@pytest.fixture(scope="module")
def wide(): return 1

def test_a(wide): pass
def test_b(): assert False
@pytest.mark.skip
def test_c(): pass
def test_d(wide): warnings.warn("mind")
"""


@pytest.mark.parametrize("words", [["-n", "1"], ["-n", "3"], ["--mode", "shared"]], ids=" ".join)
def test_each_hook_runs_once_and_in_pytests_order(project: Project, words: list[str]) -> None:
    project.write("conftest.py", HOOKS)
    project.write("test_it.py", TESTS)
    project.write("test_two.py", TESTS)
    project.pytest().expect(1, passed=4, failed=2, skipped=2, warning=2)
    theirs = project.log()
    (project / "log").unlink()
    project.tach(*words).expect(1, passed=4, failed=2, skipped=2, warning=2)
    assert project.log() == theirs


def test_one_process_hears_of_the_reports(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os
        pids = set()
        def pytest_runtest_logreport(report): pids.add(os.getpid())
        def pytest_sessionfinish():
            with open("log", "a") as file: file.write(f"{len(pids)} {pids == {os.getpid()}}\\n")
        """,
    )
    project.write("test_it.py", TESTS)
    report = project.json("-n", "2").expect(1)
    assert project.log() == ["1 True"]
    assert set(report.modes.values()) == {ISOLATED}


STATEFUL = """
import pytest

calls = []

@pytest.hookimpl
def pytest_runtest_call(item): calls.append(item.name)

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"calls: {len(calls)}")
"""


def test_a_stateful_conftest_makes_the_session_shared_and_says_so(project: Project) -> None:
    project.write("conftest.py", STATEFUL)
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): pass\n")
    result = project.tach().expect(0, passed=2)
    assert "calls: 2" in result.lines
    said = [line for line in result.lines if line.startswith("tach: no test is isolated")]
    assert len(said) == 1
    assert "conftest.py" in said[0]
    assert "pytest_terminal_summary" in said[0]
    assert {test["mode"] for test in project.json().tests} == {"shared"}


def test_what_is_declared_rewindable_runs_isolated(project: Project) -> None:
    project.write("conftest.py", STATEFUL)
    project.write("tach.toml", '[plugins]\nrewindable = ["conftest.py"]\n')
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): pass\n")
    assert set(project.json().expect(0, passed=2).modes.values()) == {ISOLATED}


def test_a_fixture_of_a_stateful_conftest(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest
        seen = []
        @pytest.fixture
        def recorder(): return seen.append
        def pytest_sessionfinish():
            with open("log", "w") as file: file.write(str(seen))
        """,
    )
    project.write("test_it.py", "def test_a(recorder): recorder(1)\ndef test_b(recorder): recorder(2)\n")
    project.tach().expect(0, passed=2)
    assert project.log() == ["[1, 2]"]


def test_hooks_that_change_a_test(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items.reverse()
            items[0].add_marker(pytest.mark.xfail(reason="marked later"))

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            outcome.get_result().sections.append(("Ours", f"of {item.name}"))

        def pytest_runtest_setup(item):
            if "skipped" in item.name:
                pytest.skip("by the hook")

        def pytest_assertrepr_compare(op, left, right):
            return ["compared our way"]
        """,
    )
    project.write(
        "test_it.py",
        "def test_skipped(): pass\ndef test_compares(): assert 1 == 2\ndef test_last(): assert False\n",
    )
    theirs = project.pytest("-rs")
    result = project.tach("-rs").expect(1, **theirs.counts)
    assert "of test_compares" in result.out
    assert "compared our way" in result.out


def test_generated_tests_and_own_items(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_generate_tests(metafunc):
            if "number" in metafunc.fixturenames:
                metafunc.parametrize("number", [1, 2], ids=["uno", "due"])

        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".check":
                return CheckFile.from_parent(parent, path=file_path)

        class CheckFile(pytest.File):
            def collect(self):
                for line in self.path.read_text().split():
                    yield CheckItem.from_parent(self, name=line)

        class CheckItem(pytest.Item):
            def runtest(self): assert self.name != "bad"
            def repr_failure(self, excinfo): return f"{self.name} is bad indeed"
            def reportinfo(self): return self.path, 0, f"check: {self.name}"
        """,
    )
    project.write("things.check", "good bad fine")
    project.write("test_it.py", "def test_it(number): assert number in (1, 2)\n")
    result = project.tach().expect(1, passed=4, failed=1)
    assert "bad is bad indeed" in result.lines


def test_a_hook_that_raises(project: Project) -> None:
    project.write("conftest.py", "def pytest_runtest_logreport(report): raise LookupError('in a hook')\n")
    project.write("test_it.py", "def test_a(): pass\n")
    assert project.pytest().code == 3
    result = project.tach().expect(3)
    assert "INTERNALERROR> LookupError: in a hook" in result.out + result.err


def test_doctest_unittest_and_subtests(project: Project) -> None:
    project.write("mod.py", '"""\n>>> 1 + 1\n2\n"""\ndef f():\n    """\n    >>> f()\n    3\n    """\n    return 4\n')
    project.write(
        "test_unit.py",
        """
        import unittest

        class TestIt(unittest.TestCase):
            def test_plain(self): self.assertEqual(1, 1)
            @unittest.skip("not this")
            def test_skip(self): pass
            @unittest.expectedFailure
            def test_expected(self): self.fail()
            def test_parts(self):
                for n in range(3):
                    with self.subTest(n=n): self.assertNotEqual(n, 7)
        """,
    )
    theirs = project.pytest("--doctest-modules")
    project.tach("--doctest-modules").expect(1, **theirs.counts)
