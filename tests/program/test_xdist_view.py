"""What suites see of xdist: nothing, unless they use it themselves; `-n` in addopts is tach's."""

from __future__ import annotations

import importlib.util
import json

import pytest
from runner import Project

HAS_XDIST = importlib.util.find_spec("xdist") is not None
VIEW = """
import json, os

def test_it(request):
    config = request.config
    names = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
    seen = {name: os.environ.get(name) for name in names}
    seen["input"] = getattr(config, "workerinput", None)
    seen["has output"] = hasattr(config, "workeroutput")
    print(json.dumps({k: v for k, v in seen.items() if v}))

def test_other(request): test_it(request)
"""


def views(project: Project, *words: str) -> list[dict[str, object]]:
    return [json.loads(test["stdout"]) for test in project.json(*words).expect(0, passed=2).tests]


def assert_seen_as_under_xdist(seen: list[dict[str, object]]) -> None:
    for view in seen:
        assert view["PYTEST_XDIST_WORKER"] in ("gw0", "gw1")
        assert view["PYTEST_XDIST_WORKER_COUNT"] == "2"
        assert view["has output"] is True
        given = view["input"]
        assert isinstance(given, dict)
        assert given["workerid"] == view["PYTEST_XDIST_WORKER"]
        assert given["workercount"] == 2
        assert given["testrunuid"] == view["PYTEST_XDIST_TESTRUNUID"]
    assert len({view["PYTEST_XDIST_TESTRUNUID"] for view in seen}) == 1


@pytest.mark.parametrize("words", [["-n", "1"], ["-n", "2"], ["-n", "0"], ["--mode", "shared"]], ids=" ".join)
def test_nothing_is_seen(project: Project, words: list[str]) -> None:
    project.write("test_it.py", VIEW)
    assert views(project, *words) == [{}, {}]


def test_tests_that_act_on_it_do_as_under_pytest(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os
        import pytest

        @pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="not in parallel")
        def test_by_mark(): pass

        def test_while_it_runs():
            if "PYTEST_XDIST_WORKER" in os.environ: pytest.skip("not in parallel")

        def test_config(request): assert not hasattr(request.config, "workerinput")

        def test_of_subprocesses():
            import subprocess
            assert subprocess.check_output(["sh", "-c", "echo $PYTEST_XDIST_WORKER"]) == b"\\n"
        """,
    )
    project.tach("-n", "2").expect(0, passed=4)


def test_a_suite_that_wants_to_be_split_sees_all(project: Project) -> None:
    project.write("tach.toml", "[parallel]\nsplit_wide = true\n")
    project.write("test_it.py", VIEW)
    assert_seen_as_under_xdist(views(project, "-n", "2"))


def test_plugins_with_something_for_each_worker_know_its_name(project: Project) -> None:
    """As pytest-django names its databases; the test beside it sees nothing."""
    project.write(
        "pytest_redis/__init__.py",
        """
        import os
        import pytest

        @pytest.fixture
        def server(request):
            yield os.environ["PYTEST_XDIST_WORKER"] + request.config.workerinput["workerid"]
            assert os.environ["PYTEST_XDIST_WORKER"]
        """,
    )
    project.write("conftest.py", "pytest_plugins = ['pytest_redis']\n")
    project.write(
        "test_it.py",
        """
        import os

        def test_it(server, request):
            assert server in ("gw0gw0", "gw1gw1")
            assert "PYTEST_XDIST_WORKER" not in os.environ and not hasattr(request.config, "workerinput")

        def test_other(server, request): test_it(server, request)
        """,
    )
    project.tach("-n", "2", env={"PYTHONPATH": str(project.path)}).expect(0, passed=2)


@pytest.mark.skipif(not HAS_XDIST, reason="needs pytest-xdist in the interpreter")
class TestWithXdist:
    def test_n_in_addopts_is_the_number_of_workers(self, project: Project) -> None:
        project.write("pytest.ini", "[pytest]\naddopts = -n 2 --dist loadfile\n")
        project.write("test_it.py", VIEW)
        report = project.json().expect(0, passed=2)
        assert report.data["workers"] == 2
        assert_seen_as_under_xdist([json.loads(test["stdout"]) for test in report.tests])

    def test_the_command_line_wins(self, project: Project) -> None:
        project.write("pytest.ini", "[pytest]\naddopts = -n 4\n")
        project.write("test_it.py", VIEW)
        assert project.json("-n", "1").expect(0, passed=2).data["workers"] == 1

    def test_its_fixtures_work(self, project: Project) -> None:
        project.write(
            "test_it.py",
            "def test_a(worker_id, testrun_uid): assert worker_id in ('gw0', 'gw1')\ndef test_b(worker_id): pass\n",
        )
        project.tach("-n", "2").expect(0, passed=2)
        project.write("test_it.py", "def test_a(worker_id): assert worker_id == 'master'\n")
        project.tach("-n", "1").expect(0, passed=1)


@pytest.mark.skipif(HAS_XDIST, reason="is about an interpreter without pytest-xdist")
def test_n_in_addopts_without_xdist_is_what_pytest_says(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\naddopts = -n 2\n")
    project.write("test_it.py", VIEW)
    theirs = project.pytest()
    result = project.tach().expect(theirs.code)
    assert "unrecognized arguments: -n" in theirs.err
    assert "unrecognized arguments: -n" in result.err


def test_split_wide_spreads_a_module(project: Project) -> None:
    project.write("tach.toml", "[parallel]\nsplit_wide = true\n")
    project.write(
        "test_it.py",
        """
        import os, time
        import pytest

        @pytest.fixture(scope="session")
        def wide():
            with open("log", "a") as file: file.write(f"set {os.environ['PYTEST_XDIST_WORKER']}\\n")
            yield
            with open("log", "a") as file: file.write(f"end {os.environ['PYTEST_XDIST_WORKER']}\\n")

        @pytest.mark.parametrize("number", range(6))
        def test_it(wide, number): time.sleep(0.2)
        """,
    )
    report = project.json("-n", "2").expect(0, passed=6)
    assert {test["worker"] for test in report.tests} == {0, 1}
    assert sorted(project.log()) == ["end gw0", "end gw1", "set gw0", "set gw1"]
