"""What is selected: paths, node ids, -k, -m, --deselect, --ignore, -x, --maxfail, --list."""

from __future__ import annotations

import pytest
from runner import Project


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\nmarkers =\n    slow: takes long\n")
    project.write(
        "a/test_one.py",
        """
        import pytest

        def test_plain(): pass

        @pytest.mark.slow
        def test_slow(): pass

        @pytest.mark.parametrize("value", [1.5, "é", "a b", None], ids=["float", "accent", "a space", "none"])
        def test_many(value): pass

        class TestClass:
            def test_method(self): pass
        """,
    )
    project.write("b/test_two.py", "def test_plain(): pass\ndef test_other(): pass\n")
    return project


SELECTIONS = [
    [],
    ["a"],
    ["b/test_two.py", "a/test_one.py"],
    ["b/test_two.py::test_other"],
    ["a/test_one.py::TestClass::test_method", "b"],
    ["a/test_one.py::test_many[a space]"],
    ["-k", "plain or method"],
    ["-k", "not many"],
    ["-m", "slow"],
    ["-m", "not slow", "-k", "plain"],
    ["--deselect", "b/test_two.py::test_plain"],
    ["--ignore=a"],
    ["--ignore-glob=*one*"],
    ["--pyargs", "b"],
]


@pytest.mark.parametrize("words", SELECTIONS, ids=" ".join)
def test_the_same_tests_run_as_under_pytest(suite: Project, words: list[str]) -> None:
    theirs = suite.pytest(*words)
    report = suite.json(*words).expect(theirs.code)
    assert report.summary == {k: n for k, n in theirs.counts.items() if k != "warning"}
    listed = suite.pytest("--collect-only", "-q", *words).lines
    assert [test["nodeid"] for test in report.tests] == [line for line in listed if "::" in line]


def test_list_prints_what_pytest_lists(suite: Project) -> None:
    theirs = suite.pytest("--collect-only", "-q")
    ours = suite.tach("--list").expect(0)
    assert [line for line in ours.lines if "::" in line] == [line for line in theirs.lines if "::" in line]
    assert len([line for line in ours.lines if "::" in line]) == 9


def test_list_runs_no_test(project: Project) -> None:
    project.write("test_it.py", "def test_a(): open('ran', 'w')\n")
    assert "test_it.py::test_a" in project.tach("--list").expect(0).lines
    assert not (project / "ran").exists()


def test_odd_ids_are_listed_like_pytest_lists_them(project: Project) -> None:
    project.write(
        "test_it.py",
        r"""
        import enum, pytest

        class Colour(enum.Enum):
            RED = 1

        @pytest.mark.parametrize("a", [1.0, 1e100, Colour.RED, "x\n", "ü", b"\xff", object, None, "", "dup", "dup"])
        @pytest.mark.parametrize("b", [-0.0, True])
        def test_odd(a, b): pass
        """,
    )
    theirs = [line for line in project.pytest("--collect-only", "-q").lines if "::" in line]
    assert len(theirs) == 22
    assert [line for line in project.tach("--list").expect(0).lines if "::" in line] == theirs
    assert [test["nodeid"] for test in project.json().expect(0).tests] == theirs


FAILING = """
import pytest

@pytest.mark.parametrize("number", range(20))
def test_it(number):
    assert number not in (3, 7, 11)
"""


@pytest.mark.parametrize(
    ("words", "passed", "failed"),
    [(["-x"], 3, 1), (["--maxfail=2"], 6, 2), (["--maxfail", "3"], 9, 3), ([], 17, 3)],
)
def test_stops_at_the_first_failures_in_collection_order(
    project: Project, words: list[str], passed: int, failed: int
) -> None:
    project.write("test_it.py", FAILING)
    theirs = project.pytest(*words)
    assert theirs.counts == {"passed": passed, "failed": failed}
    result = project.tach("-n", "4", *words).expect(1, passed=passed, failed=failed)
    stopping = [line for line in theirs.lines if "stopping after" in line]
    assert [line for line in result.lines if "stopping after" in line] == stopping


def test_options_in_addopts_have_their_meaning(suite: Project) -> None:
    suite.write("pytest.ini", "[pytest]\naddopts = -k plain --strict-markers\nmarkers =\n    slow: takes long\n")
    suite.tach().expect(0, passed=2, deselected=7)


def test_an_option_of_the_conftest_is_passed_through_in_order(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_addoption(parser):
            parser.addoption("--thing", action="append", default=[])

        @pytest.fixture
        def things(request):
            return request.config.getoption("--thing")
        """,
    )
    project.write("test_it.py", "def test_a(things): assert things == ['one', '-n', 'three']\n")
    project.tach("--thing", "one", "--thing=-n", "test_it.py", "--thing", "three").expect(0, passed=1)


def test_a_node_id_that_does_not_exist(suite: Project) -> None:
    words = ["a/test_one.py::test_nothing"]
    theirs = suite.pytest(*words)
    result = suite.tach(*words).expect(theirs.code)
    message = [line for line in (theirs.out + theirs.err).splitlines() if "not found" in line]
    assert message
    assert message[0] in result.out + result.err
