"""session.testsfailed: what tests, hooks and the teardown of fixtures see of the failures before them."""

from __future__ import annotations

import pytest
from runner import Project, needs_plugin

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
CONFTEST = """
    import pytest

    def note(request):
        with open("log", "a") as file:
            file.write(f"{request.scope} {request.session.testsfailed} {request.session.testscollected}\\n")

    @pytest.fixture(scope="session")
    def wide(request):
        yield
        note(request)

    @pytest.fixture(scope="module")
    def medium(request):
        yield
        note(request)
    """


@WORKERS
def test_fixtures_that_end_see_all(project: Project, workers: str) -> None:
    project.write("conftest.py", CONFTEST)
    project.write(
        "test_it.py", "def test_a(wide, medium): assert 0\ndef test_b(wide): assert 0\ndef test_c(wide): pass\n"
    )
    project.pytest().expect(1, failed=2, passed=1)
    expected = project.log()
    (project / "log").unlink()
    # A second opinion, where the module's fixture ends once more, has a count of its own.
    project.tach("-n", workers, "--strict-isolation").expect(1, failed=2, passed=1)
    assert sorted(project.log()) == sorted(expected) == ["module 2 3", "session 2 3"]


def test_hooks_of_a_test_see_those_before_it(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        seen = []

        def pytest_runtest_setup(item): seen.append(item.session.testsfailed)

        def pytest_runtest_teardown(item): seen.append(item.session.testsfailed)

        def pytest_runtest_logfinish(nodeid):
            with open("log", "a") as file: file.write(f"{seen[-2:]}\\n")
        """,
    )
    project.write("test_it.py", "def test_a(): assert 0\ndef test_b(): pass\ndef test_c(): assert 0\n")
    project.pytest().expect(1, failed=2, passed=1)
    expected = project.log()
    (project / "log").unlink()
    project.tach("-n", "1").expect(1, failed=2, passed=1)
    assert project.log() == expected == ["[0, 1]", "[1, 1]", "[1, 2]"]


@needs_plugin("pytest_rerunfailures")  # where pytest 9 is
@pytest.mark.parametrize("maxfail", [1, 2])
def test_a_failed_subtest_ends_its_test_where_pytest_would_stop(plugins_project: Project, maxfail: int) -> None:
    plugins_project.write(
        "test_it.py",
        """
        def test_parts(subtests):
            for number in range(4):
                with subtests.test(number=number): assert number % 2

        def test_other(): pass
        """,
    )
    words = ("-n", "1", f"--maxfail={maxfail}")
    theirs = plugins_project.pytest(*words[2:])
    plugins_project.tach(*words).expect(theirs.code, **theirs.counts)
