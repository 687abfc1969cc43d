"""Wide fixtures are set up inside all hooks of the first test that needs them, and finalised inside those of the last.

What hooks, fixtures and tests do is written into a file, which has to be pytest's.
"""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project

LOG = """
import pytest

def log(*words):
    with open("log", "a") as file:
        print(*words, file=file)
"""
HOOKS = """
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    log("protocol", item.name, "before", nextitem and nextitem.name)
    yield
    log("protocol of", item.name, "ends")

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    log("setup", item.name)
    if "kept_out" in item.name:
        pytest.skip("by a hook")
    outcome = yield
    log("setup of", item.name, "ends", outcome.excinfo is not None)

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item, nextitem):
    log("teardown", item.name)
    yield
    log("teardown of", item.name, "ends")
"""
FIXTURE = """
@pytest.fixture(scope="{scope}"{more})
def wide(request):
    log("set up", getattr(request, "param", ""))
    yield 1
    log("finalised", getattr(request, "param", ""))
"""
TESTS = """
from conftest import log
import pytest

@pytest.fixture
def narrow():
    log("narrow")
    yield
    log("narrow ends")

class TestIt:
    def test_kept_out(self, wide): pass
    def test_first(self, wide, narrow): log("first")
    def test_second(self, wide): log("second")
    def test_last(self, wide, narrow): log("last")
"""


def compare(project: Project, code: int, *words: str, **counts: int) -> None:
    """The same file and the same outcomes, in the first run and in the second."""
    project.pytest(*words).expect(code, **counts)
    expected = project.log()
    assert expected
    for _ in range(2):
        (project / "log").unlink()
        project.tach("-n", "1", "--strict-isolation", *words).expect(code, **counts)
        assert project.log() == expected


@pytest.mark.parametrize("scope", ["module", "class", "package"])
def test_each_hook_runs_once(project: Project, scope: str) -> None:
    project.write("conftest.py", LOG + HOOKS)
    project.write("unit/__init__.py")
    project.write(
        "unit/conftest.py", "from conftest import log\nimport pytest\n" + FIXTURE.format(scope=scope, more="")
    )
    project.write("unit/test_it.py", TESTS)
    compare(project, 0, passed=3, skipped=1)


def test_each_hook_runs_once_with_parameters(project: Project) -> None:
    project.write("conftest.py", LOG + HOOKS + FIXTURE.format(scope="module", more=", params=[1, 2]"))
    project.write("test_it.py", TESTS)
    compare(project, 0, passed=6, skipped=2)


@pytest.mark.parametrize("how", ["raise ValueError('wide')", "pytest.skip('wide')"])
def test_a_fixture_that_does_not_come_up(project: Project, how: str) -> None:
    project.write("conftest.py", LOG + HOOKS)
    project.write(
        "test_it.py",
        f"""
        from conftest import log
        import pytest

        @pytest.fixture(scope="module")
        def other():
            log("other")
            yield
            log("other ends")

        @pytest.fixture(scope="module")
        def wide(other):
            log("wide")
            {how}

        def test_a(wide): pass
        def test_b(wide): pass
        def test_c(other): pass
        """,
    )
    counts = {"error": 2} if "raise" in how else {"skipped": 2}
    compare(project, 1 if "raise" in how else 0, passed=1, **counts)


def test_what_it_prints_logs_and_warns_of_is_the_first_tests(project: Project) -> None:
    project.write("conftest.py", LOG)
    project.write(
        "test_it.py",
        """
        import logging, warnings
        import pytest
        from conftest import log

        @pytest.fixture(scope="module")
        def wide():
            print("printed")
            logging.getLogger("wide").warning("logged")
            warnings.warn("warned")

        def messages(caplog): return [record.getMessage() for record in caplog.get_records("setup")]
        def test_a(wide, caplog): log("a", messages(caplog)); assert False
        def test_b(wide, caplog): log("b", messages(caplog)); assert False
        def test_c(wide): pass
        """,
    )
    compare(project, 1, failed=2, passed=1, warning=1)
    result = project.tach("-n", "1", "--strict-isolation")
    assert result.out.count("Captured stdout setup") == result.out.count("Captured log setup") == 1, str(result)


@pytest.mark.parametrize("scope", ["session", "module"])
def test_what_a_hook_prepares_is_there(project: Project, scope: str) -> None:
    project.write(
        "conftest.py",
        f"""
        import logging
        import pytest

        prepared = []

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup(item):
            prepared.append(item.name)

        @pytest.fixture(scope="{scope}")
        def wide():
            logging.getLogger("wide").warning("logged")
            return list(prepared)
        """,
    )
    project.write(
        "test_it.py",
        """
        def test_a(wide, caplog):
            assert wide == ["test_a"]
            assert [record.getMessage() for record in caplog.get_records("setup")] == ["logged"]

        def test_b(wide, caplog):
            assert wide == ["test_a"]
            assert caplog.get_records("setup") == []
        """,
    )
    for workers in ("1", "2"):
        report = project.json("-n", workers, "--strict-isolation").expect(0, passed=2)
        assert set(report.modes.values()) == {ISOLATED}, str(report)


def test_a_session_fixture_is_there_though_the_first_test_is_skipped(project: Project) -> None:
    project.write("conftest.py", LOG + FIXTURE.format(scope="session", more=""))
    project.write(
        "test_it.py",
        """
        import pytest
        @pytest.mark.skip
        def test_a(wide): pass
        def test_b(wide): pass
        def test_c(wide): pass
        """,
    )
    report = project.json("-n", "2").expect(0, passed=2, skipped=1)
    assert report.modes["test_b"] == report.modes["test_c"] == ISOLATED, str(report)
    assert project.log() == ["set up ", "finalised "]


def test_an_interval_timer_of_a_hook_runs_on(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import signal
        import pytest

        def ring(*_): pytest.fail("too long")

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(item):
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 1)
            yield
            signal.setitimer(signal.ITIMER_REAL, 0)
        """,
    )
    project.write(
        "test_it.py",
        """
        import time
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            yield
            time.sleep(30)

        @pytest.fixture(scope="module")
        def slow():
            time.sleep(30)

        def test_body(wide): time.sleep(30)
        def test_set_up(slow): pass
        def test_passes(wide): pass
        """,
    )
    counts = {"failed": 1, "passed": 1, "error": 2}
    project.pytest().expect(1, **counts)
    project.tach("-n", "1", "--strict-isolation").expect(1, **counts)
