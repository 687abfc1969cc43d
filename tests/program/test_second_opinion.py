"""Second opinions: suites that lean on what one test leaves for the next pass here too, and are told so."""

from __future__ import annotations

import pytest
from runner import Project

CLASS = """
class TestSteps:
    done = []
    def test_first(self): self.done.append(1)
    def test_second(self): assert self.done == [1]; self.done.append(2)
    def test_third(self): assert self.done == [1, 2]
"""
MODULE = """
cache = {}
def test_fills(): cache["key"] = "value"
def test_between(): pass
def test_uses(): assert cache["key"] == "value"
"""
REALLY_FAILS = (
    "def test_fine(): pass\ndef test_fails():\n    with open('runs', 'a') as f: f.write('x\\n')\n    assert False\n"
)


def test_an_order_dependent_class(project: Project) -> None:
    project.write("test_it.py", CLASS)
    project.pytest().expect(0, passed=3)
    report = project.json().expect(0, passed=3)
    note = report.test("::test_second")["note"]
    assert note == "order-dependent: failed alone, needs test_it.py::TestSteps::test_first"
    assert report.test("::test_first")["note"] == ""
    assert report.test("::test_third")["note"].startswith("order-dependent: failed alone")


def test_a_module_cache(project: Project) -> None:
    project.write("test_it.py", MODULE)
    result = project.tach().expect(0, passed=3)
    assert "test_it.py::test_uses: order-dependent: failed alone, needs test_it.py::test_fills" in result.lines


def test_the_prefix_of_the_run(project: Project) -> None:
    project.write("store.py", "values = []\n")
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("test_a.py", "import store\ndef test_plain(): pass\ndef test_fills(): store.values.append(1)\n")
    project.write("test_b.py", "def test_plain(): pass\n")
    project.write("test_c.py", "import store\ndef test_uses(): assert store.values == [1]\n")
    project.pytest().expect(0, passed=4)
    report = project.json().expect(0, passed=4)
    assert report.test("::test_uses")["note"] == "order-dependent: failed alone, needs test_a.py::test_fills"


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("if not cache: pytest.skip('empty')", {"passed": 2}),
        ("pytest.skip('full') if cache else None", {"passed": 1, "skipped": 1}),
        ("assert not cache", {"passed": 2}),
    ],
    ids=["skips alone", "skips in order", "polluted"],
)
def test_outcomes_other_than_failures(project: Project, body: str, summary: dict[str, int]) -> None:
    """A run-time skip that depends on the order is pytest's verdict; a failure that is due to pollution is not."""
    project.write(
        "test_it.py",
        f"import pytest\ncache = {{}}\ndef test_fills(): cache['key'] = 1\ndef test_looks():\n    {body}\n",
    )
    report = project.json()
    if "pytest.skip('full')" in body:
        # Alone it passes, and nothing casts doubt on a pass.
        assert report.summary == {"passed": 2}
    else:
        assert report.summary == summary
    assert report.code == 0


def test_an_xpass_is_doubtful(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest
        cache = {}
        def test_fills(): cache["key"] = 1
        @pytest.mark.xfail(strict=True)
        def test_looks(): assert not cache
        """,
    )
    project.pytest().expect(0, passed=1, xfailed=1)
    project.json().expect(0, passed=1, xfailed=1)


def test_a_real_failure_is_confirmed_and_remembered(project: Project) -> None:
    project.write("test_it.py", REALLY_FAILS)
    project.tach().expect(1, passed=1, failed=1)
    assert project.log("runs") == ["x", "x"]
    project.tach().expect(1, passed=1, failed=1)
    assert project.log("runs") == ["x"] * 3, "a confirmed failure is not run again"
    project.write("test_it.py", REALLY_FAILS + "# changed\n")
    project.tach().expect(1, passed=1, failed=1)
    assert project.log("runs") == ["x"] * 5, "the file has changed"


def test_an_order_dependence_is_remembered(project: Project) -> None:
    project.write("test_it.py", MODULE)
    first = project.json().expect(0, passed=3)
    second = project.json().expect(0, passed=3)
    assert second.test("::test_uses")["note"] == first.test("::test_uses")["note"]
    assert second.data["metrics"]["second_opinion_passes"] <= first.data["metrics"]["second_opinion_passes"]


@pytest.mark.parametrize("words", [["-x"], ["--maxfail=1"]], ids=" ".join)
def test_before_x_acts(project: Project, words: list[str]) -> None:
    project.write("test_it.py", MODULE + "def test_after(): pass\n")
    project.tach(*words).expect(0, passed=4)


def test_x_still_stops_at_a_real_failure(project: Project) -> None:
    project.write("test_it.py", MODULE + "def test_fails(): assert False\ndef test_after(): pass\n")
    theirs = project.pytest("-x")
    project.tach("-x").expect(1, **theirs.counts)


@pytest.mark.parametrize("how", ["--strict-isolation", "--no-second-opinion", "config", "mark"])
def test_switched_off(project: Project, how: str) -> None:
    mark = "import pytest\npytestmark = pytest.mark.no_rerun\n" if how == "mark" else ""
    project.write("test_it.py", mark + MODULE)
    if how == "config":
        project.write("tach.toml", "[second_opinion]\nenabled = false\n")
    words = [how] if how.startswith("-") else ["-W", "ignore"]
    report = project.json(*words).expect(1, passed=2, failed=1)
    assert report.outcomes["test_uses"] == "failed"


def test_no_budget_leaves_it_unconfirmed(project: Project) -> None:
    project.write("tach.toml", "[second_opinion]\nbudget_s = 0\n")
    project.write("test_it.py", MODULE)
    report = project.json().expect(1, passed=2, failed=1)
    assert report.test("::test_uses")["note"] == "unconfirmed"
    result = project.tach().expect(1, passed=2, failed=1)
    assert any("1 test without a second opinion" in line for line in result.lines)


def test_never_for_crashes(project: Project) -> None:
    project.write("test_it.py", "import os\ndef test_dies():\n    open('runs', 'a').write('x\\n')\n    os._exit(1)\n")
    project.tach().expect(1, crashed=1)
    assert project.log("runs") == ["x"]


def test_marks_that_decide_alone_are_not_run_again(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest
        @pytest.fixture(scope="module", autouse=True)
        def wide(): open("runs", "a").write("x\\n")
        @pytest.mark.skip
        def test_a(): pass
        @pytest.mark.xfail(run=False)
        def test_b(): pass
        def test_c(): pass
        """,
    )
    report = project.json().expect(0, passed=1, skipped=1, xfailed=1)
    assert project.log("runs") == ["x"]
    assert report.data["metrics"]["second_opinion_passes"] == 0


def test_crash_during_a_second_opinion(project: Project) -> None:
    """It may die there: then nothing is confirmed, and nothing hangs."""
    project.write(
        "test_it.py",
        "import os\nseen = []\ndef test_a(): seen.append(1)\ndef test_b():\n    if seen: os._exit(3)\n    assert seen\n",
    )
    project.write("test_other.py", "def test_c(): pass\n")
    report = project.json().expect(1, passed=2, failed=1)
    assert report.test("::test_b")["note"] == "unconfirmed"


def test_a_flaky_test_keeps_its_first_verdict(project: Project) -> None:
    """What it left in the file system makes it pass in every later run, its order does not: pytest would fail it."""
    project.write(
        "test_it.py",
        """
        import pathlib

        def test_a(): pass
        def test_flaky():
            seen = pathlib.Path("seen").exists()
            pathlib.Path("seen").touch()
            assert seen
        """,
    )
    report = project.json().expect(1, passed=1, failed=1)
    assert report.test("::test_flaky")["note"] == "flaky: failed at first, otherwise when run again by itself"
    (project / "seen").unlink()
    result = project.tach().expect(1, passed=1, failed=1)
    assert "test_it.py::test_flaky: flaky: failed at first" in result.out


def test_what_is_run_again_writes_to_no_file_that_was_open(project: Project) -> None:
    """Plugins' reports, the suite's own log handlers; what was written there can still be read."""
    project.write(
        "conftest.py",
        """
        import logging

        def pytest_configure(config):
            config.test_trace = open("trace", "a+")
            config.test_both = open("both", "w+")
            handler = logging.FileHandler("app.log")
            logging.getLogger("app").addHandler(handler)

        def pytest_runtest_setup(item):
            item.config.test_trace.write(item.name + "\\n")
            item.config.test_trace.flush()
        """,
    )
    project.write(
        "test_it.py",
        """
        import logging, os, sys
        cache = []

        def test_fills(request):
            cache.append(1)
            request.config.test_both.write("filled")
            request.config.test_both.flush()

        def test_uses(request):
            logging.getLogger("app").warning("uses")
            os.write(2, b"seen on the terminal")
            sys.__stderr__.write("here, too")
            both = request.config.test_both
            both.seek(0)
            assert cache and both.read() == "filled"
        """,
    )
    result = project.tach("--capture", "sys", "-n", "1")  # workers share the position in such a file
    result.expect(0, passed=2)
    assert project.log("trace") == ["test_fills", "test_uses"]
    assert project.log("app.log") == ["uses"]
    assert (result.out + result.err).count("seen on the terminal") == 1


def test_it_is_told_that_it_runs_again(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os\ndef test_fine(): pass\ndef test_a():\n    open('log', 'a').write(os.environ.get('TACH_SECOND_OPINION', '-') + '\\n')\n"
        "    assert False\n",
    )
    project.tach().expect(1, passed=1, failed=1)
    assert project.log() == ["-", "1"]


def test_the_first_test_of_a_run_is_not_run_again(project: Project) -> None:
    project.write(
        "test_it.py", "def test_a():\n    open('runs', 'a').write('x\\n')\n    assert False\ndef test_b(): pass\n"
    )
    report = project.json("-n", "1").expect(1, passed=1, failed=1)
    assert project.log("runs") == ["x"]
    assert report.test("::test_a")["note"] == ""


def test_one_broken_fixture_is_one_cause(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def broken():
            open("runs", "a").write("x\\n")
            raise RuntimeError("no such database")
        """,
    )
    for name in "abc":
        project.write(
            f"test_{name}.py",
            "import pytest\ndef test_fine(): pass\n@pytest.mark.parametrize('n', range(5))\ndef test_it(n, broken): pass\n",
        )
    project.tach("-n", "1").expect(1, passed=3, error=15)
    assert project.log("runs") == ["x"] * (15 + 1 + 5), "the first of all, and the last one's module"


@pytest.mark.parametrize("where", ["a hook", "a fixture"])
def test_a_test_that_gives_up_after_a_failed_one(project: Project, where: str) -> None:
    """By itself it passes; the failure is real, and comes first in the run."""
    if where == "a hook":
        project.write(
            "conftest.py",
            """
            import pytest
            failed = []

            def pytest_runtest_makereport(item, call):
                if call.excinfo is not None:
                    failed.append(item.name)

            def pytest_runtest_setup(item):
                if failed:
                    pytest.xfail("a step before it has failed")
            """,
        )
        project.write("test_it.py", "def test_first(): assert False\ndef test_then(): pass\n")
        counts = {"failed": 1, "xfailed": 1}
    else:
        project.write(
            "test_it.py",
            """
            import pytest
            failed = []

            @pytest.fixture(autouse=True)
            def step():
                if failed:
                    pytest.skip("a step before it has failed")

            def test_first():
                failed.append(1)
                assert False

            def test_then(): pass
            """,
        )
        counts = {"failed": 1, "skipped": 1}
    project.pytest().expect(1, **counts)
    project.tach().expect(1, **counts)
    project.tach().expect(1, **counts)


def test_a_test_that_was_skipped_may_take_its_time(project: Project) -> None:
    """No budget that was made for what is known keeps pytest's verdict from it."""
    project.write(
        "test_it.py",
        """
        import time
        import pytest
        seen = []

        def test_fills(): seen.append(1)

        @pytest.mark.parametrize("n", range(2))
        def test_uses(n):
            if not seen:
                pytest.skip("nothing there")
            time.sleep(1.2)
        """,
    )
    report = project.json().expect(0, passed=3)
    assert all(test["note"].startswith("order-dependent: skipped alone") for test in report.tests[1:])
