"""Wide fixtures: exactly once per run, finalised once, in pytest's order, in the process that set them up."""

from __future__ import annotations

import pytest
from runner import Project, forks_layers

LOGGING = """
import os

def log(*words):
    with open(os.path.join(os.path.dirname(__file__), "log"), "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")
"""
CONFTEST = """
import os
import pytest
from helper import log

def wide(scope):
    @pytest.fixture(scope=scope, name=scope + "_fixture")
    def fixture(request):
        log("set", scope, os.getpid(), request.node.name)
        yield os.getpid()
        log("end", scope, os.getpid(), request.node.name)
    return fixture

session = wide("session")
package = wide("package")
module = wide("module")
klass = wide("class")
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
class TestFirst:
    def test_it(self, session_fixture, package_fixture, module_fixture, class_fixture, number): pass

class TestSecond:
    def test_it(self, class_fixture, module_fixture): pass

def test_module(module_fixture): pass
def test_package(package_fixture): pass
def test_session(session_fixture): pass
def test_plain(): pass
"""


@pytest.fixture
def wide_suite(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("helper.py", LOGGING)
    project.write("conftest.py", CONFTEST)
    for name in ("one", "two"):
        project.write(f"{name}/__init__.py")
        project.write(f"{name}/test_a.py", TESTS)
        project.write(f"{name}/test_b.py", TESTS)
    return project


def take_log(project: Project) -> list[list[str]]:
    lines = [line.split(" ") for line in project.log()]
    (project / "log").unlink()
    return lines


@pytest.mark.parametrize("workers", ["1", "3"])
def test_once_and_in_one_process(wide_suite: Project, workers: str) -> None:
    wide_suite.pytest().expect(0, passed=32)
    theirs = take_log(wide_suite)
    wide_suite.tach("-n", workers).expect(0, passed=32)
    ours = take_log(wide_suite)

    def events(lines: list[list[str]]) -> list[tuple[str, str, str]]:
        return sorted((what, scope, name) for what, scope, _, name in lines)

    assert events(ours) == events(theirs)
    opened: dict[tuple[str, str], list[str]] = {}
    for what, scope, pid, name in ours:
        if what == "set":
            opened.setdefault((scope, name), []).append(pid)
        else:
            assert pid in opened[scope, name]
    assert [scope for what, scope, *_ in ours if what == "end"][-1] == "session"


def test_the_order_with_one_worker_is_pytests(wide_suite: Project) -> None:
    """Session fixtures may be set up earlier than pytest would; all else has its place."""
    orders = []
    for runner, words in ((wide_suite.pytest, ()), (wide_suite.tach, ("-n", "1"))):
        runner(*words).expect(0)
        orders.append([(what, scope, name) for what, scope, _, name in take_log(wide_suite) if scope != "session"])
    assert orders[1] == orders[0]


@forks_layers
def test_finalised_when_a_test_dies_or_the_last_one_fails(project: Project) -> None:
    project.write(
        "test_it.py",
        LOGGING
        + """
import pytest

@pytest.fixture(scope="session")
def wide():
    log("set session")
    yield
    log("end session")

@pytest.fixture(scope="class")
def group():
    log("set class")
    yield
    log("end class")

class TestGroup:
    def test_a(self, wide, group): pass
    def test_b(self, wide, group): os.abort()
    def test_c(self, wide, group): assert False
""",
    )
    project.tach("-n", "2", "--no-second-opinion").expect(1, passed=1, failed=1, crashed=1)
    assert sorted(project.log()) == ["end class", "end session", "set class", "set session"]
    assert project.log()[-1] == "end session"


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_teardown_error_is_charged_where_pytest_charges_it(project: Project, scope: str) -> None:
    project.write("pkg/__init__.py")
    project.write(
        "conftest.py",
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def breaks():
            yield
            print("last words")
            raise LookupError("no teardown")
        """,
    )
    tests = "class TestA:\n    def test_a(self, breaks): pass\n    def test_b(self, breaks): pass\ndef test_c(): pass\n"
    project.write("pkg/test_one.py", tests)
    project.write("pkg/test_two.py", "def test_z(): pass\n")
    project.write("test_zz.py", "def test_last(): pass\n")
    theirs = project.pytest("-rA", "--color=no")
    ours = project.tach("-rA", "--color=no").expect(1, **theirs.counts)
    errors = [line for line in theirs.lines if line.startswith("ERROR ")]
    assert errors
    assert [line for line in ours.lines if line.startswith("ERROR ")] == errors
    assert ours.out.count("last words") == theirs.out.count("last words")


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_a_setup_error_is_every_users_and_happens_once(project: Project, scope: str) -> None:
    project.write(
        "test_it.py",
        LOGGING
        + f"""
import pytest

@pytest.fixture(scope="{scope}")
def broken():
    log("tried")
    raise LookupError("no set-up")

class TestA:
    def test_a(self, broken): pass
    def test_b(self, broken): pass
    def test_c(self): pass
""",
    )
    project.pytest().expect(1, error=2, passed=1)
    assert project.log() == ["tried"]
    (project / "log").unlink()
    project.tach("--no-second-opinion").expect(1, error=2, passed=1)
    assert project.log() == ["tried"]


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_parametrized_wide_fixture(project: Project, scope: str) -> None:
    project.write(
        "test_it.py",
        LOGGING
        + f"""
import pytest

@pytest.fixture(scope="{scope}", params=["x", "y"])
def wide(request):
    log("set", request.param)
    yield request.param
    log("end", request.param)

def test_a(wide): log("a", wide)
def test_b(wide): log("b", wide)
""",
    )
    project.pytest().expect(0, passed=4)
    theirs = project.log()
    (project / "log").unlink()
    project.tach("-n", "2").expect(0, passed=4)
    assert project.log() == theirs == ["set x", "a x", "b x", "end x", "set y", "a y", "b y", "end y"]


def test_each_test_starts_from_the_fixture_as_it_was_set_up(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def basket(): return ["egg"]

        @pytest.mark.parametrize("number", range(5))
        def test_it(basket, number):
            assert basket == ["egg"]
            basket.append(number)
        """,
    )
    project.tach("--strict-isolation").expect(0, passed=5)


def test_xunit_and_unittest_set_up_once(project: Project) -> None:
    project.write(
        "test_it.py",
        LOGGING
        + """
import unittest

def setup_module(): log("set module")
def teardown_module(): log("end module")

class TestPlain:
    @classmethod
    def setup_class(cls): log("set plain")
    @classmethod
    def teardown_class(cls): log("end plain")
    def setup_method(self): log("set method")
    def teardown_method(self): log("end method")
    def test_a(self): log("a")
    def test_b(self): log("b")

class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls): log("set unit")
    @classmethod
    def tearDownClass(cls): log("end unit")
    def test_c(self): log("c")
    def test_d(self): self.addClassCleanup(log, "clean-up")
""",
    )
    project.pytest().expect(0, passed=4)
    theirs = project.log()
    (project / "log").unlink()
    project.tach("-n", "2").expect(0, passed=4)
    ours = project.log()
    assert [line for line in ours if line != "clean-up"] == [line for line in theirs if line != "clean-up"]


def test_overriding_fixtures(project: Project) -> None:
    project.write("conftest.py", "import pytest\n@pytest.fixture(scope='session')\ndef value(): return ['session']\n")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def value(value): return [*value, "module"]

        class TestInner:
            @pytest.fixture
            def value(self, value): return [*value, "function"]
            def test_inner(self, value): assert value == ["session", "module", "function"]

        def test_outer(value): assert value == ["session", "module"]
        """,
    )
    project.write("test_other.py", "def test_plain(value): assert value == ['session']\n")
    project.tach().expect(0, passed=3)
