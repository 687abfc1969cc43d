"""Wide fixtures that a test sets up while it runs: still once per run, finalised once."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, needs_plugin

NAMED, COMPUTED = "'late'", "''.join(['la', 'te'])"
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
    assert request.getfixturevalue({name}) == [1]

def test_asks_again(request):
    assert request.getfixturevalue("late") == [1]

def test_needs(late): assert late == [1]
"""


@pytest.mark.parametrize("scope", ["module", "session"])
@pytest.mark.parametrize("name", [NAMED, COMPUTED], ids=["named", "computed"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_set_up_once(project: Project, scope: str, name: str, workers: str) -> None:
    project.write("test_it.py", SUITE.format(scope=scope, name=name))
    project.write("test_other.py", "def test_other(): pass\n")
    project.tach("-n", workers).expect(0, passed=5)
    assert project.log() == ["set up", "finalised"]


@pytest.mark.parametrize("scope", ["module", "session"])
def test_the_second_run_remembers(project: Project, scope: str) -> None:
    asks = SUITE.format(scope=scope, name=COMPUTED).partition("def test_asks_again")[0]
    project.write("test_it.py", asks + "def test_after(): pass\n")
    for why in ("it set up late while it ran", "it asks for late while it runs"):
        result = project.tach("-n", "2").expect(0, passed=3)
        told = [line for line in result.lines if line.startswith("shared from test_it.py::test_")]
        assert len(told) == 1 and f" on: {why}" in told[0], str(result)
    assert project.log() == ["set up", "finalised"] * 2


def test_what_another_test_needs_anyway_is_there_before(project: Project) -> None:
    project.write("test_it.py", SUITE.format(scope="session", name=NAMED))
    report = project.json("-n", "2", "--strict-isolation").expect(0, passed=4)
    assert set(report.modes.values()) == {ISOLATED}, str(report)
    assert project.log() == ["set up", "finalised"]


def test_one_that_is_there_before_and_one_that_is_not(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os, pytest

        @pytest.fixture(scope="session")
        def first():
            yield 1

        @pytest.fixture(scope="session")
        def second():
            os.mkdir("made")
            yield 2
            os.rmdir("made")
            with open("log", "a") as file: file.write("finalised\\n")
        """,
    )
    project.write(
        "test_b.py",
        """
        def test_first(request): assert request.getfixturevalue("first") == 1
        def test_second(request): assert request.getfixturevalue("second") == 2
        def test_needs(first): pass
        """,
    )
    project.write("test_c.py", 'def test_second(request): assert request.getfixturevalue("second") == 2\n')
    for _ in range(2):
        project.tach("-n", "2").expect(0, passed=4)
        assert project.log() == ["finalised"]
        (project / "log").unlink()


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


EXCLUSIVE = """
import os
import pytest

@pytest.fixture(scope="session")
def exclusive():
    os.mkdir("taken")
    yield 1
    os.rmdir("taken")

def ask(request, name): return request.getfixturevalue(name)

@pytest.fixture
def asked(request): return ask(request, "exclusive")
"""


@pytest.mark.parametrize("workers", ["1", "2", "4"])
def test_one_that_nothing_foretells_is_alive_in_one_process_at_a_time(project: Project, workers: str) -> None:
    project.write("conftest.py", EXCLUSIVE)
    tests = "import time\n" + "".join(f"def test_{n}(asked): time.sleep(0.05)\n" for n in range(3))
    for name in "abc":
        project.write(f"test_{name}.py", tests)
    for _ in range(2):
        report = project.json("-n", workers).expect(0, passed=9)
        assert [test["note"] for test in report.tests if "order" in test["note"]] == [], str(report)
        assert not (project / "taken").exists()


def test_a_live_base_asks_for_one_that_another_process_has(project: Project) -> None:
    project.write("conftest.py", EXCLUSIVE)
    project.write(
        "test_it.py",
        """
        import threading
        import pytest

        @pytest.fixture(scope="session")
        def live():
            stop = threading.Event()
            thread = threading.Thread(target=stop.wait)
            thread.start()
            yield
            stop.set()
            thread.join()

        def test_a(asked): pass
        def test_b(live, asked): pass
        """,
    )
    for _ in range(2):
        project.tach("-n", "2", "--strict-isolation").expect(0, passed=2)


@needs_plugin("pytest_lazy_fixtures")
def test_a_lazy_fixture_is_planned(plugins_project: Project) -> None:
    project = plugins_project
    project.write(
        "test_it.py",
        """
        import pytest
        from pytest_lazy_fixtures import lf

        def log(text):
            with open("log", "a") as file: file.write(text + "\\n")

        @pytest.fixture(scope="session")
        def base():
            log("base")
            yield []
            log("base ends")

        @pytest.fixture(scope="module")
        def upper(base):
            log("upper")
            yield base
            log("upper ends")

        @pytest.mark.parametrize("store", [lf("base"), lf("upper"), [lf("upper")]])
        def test_store(store):
            assert not store or store == [[]]
            store.append(1)
        """,
    )
    report = project.json("-n", "2", "-p", "no:django", "-p", "no:rerunfailures").expect(0, passed=3)
    assert set(report.modes.values()) == {ISOLATED}, str(report)
    assert project.log() == ["base", "upper", "upper ends", "base ends"]
