"""What suites see of xdist: everything with several workers, nothing with one; `-n` in addopts is tach's."""

from __future__ import annotations

import importlib.util

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
    import json

    return [json.loads(test["stdout"]) for test in project.json(*words).expect(0, passed=2).tests]


def test_with_two_workers(project: Project) -> None:
    project.write("test_it.py", VIEW)
    seen = views(project, "-n", "2")
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


@pytest.mark.parametrize("words", [["-n", "1"], ["-n", "0"], ["--mode", "shared"]], ids=" ".join)
def test_with_one(project: Project, words: list[str]) -> None:
    project.write("test_it.py", VIEW)
    assert views(project, *words) == [{}, {}]


def test_the_controller_is_no_worker(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os

        def pytest_sessionfinish(session):
            with open("log", "a") as file:
                file.write(f"{os.environ.get('PYTEST_XDIST_WORKER')} {hasattr(session.config, 'workerinput')}\\n")
        """,
    )
    project.write("test_it.py", VIEW)
    project.tach("-n", "2").expect(0, passed=2)
    assert project.log() == ["None False"]


def test_subprocesses_see_it_too(project: Project) -> None:
    project.write(
        "test_it.py",
        "import subprocess\ndef test_a(): print(subprocess.getoutput('echo $PYTEST_XDIST_WORKER'))\ndef test_b(): test_a()\n",
    )
    report = project.json("-n", "2").expect(0, passed=2)
    assert {test["stdout"].strip() for test in report.tests} <= {"gw0", "gw1"}


@pytest.mark.skipif(not HAS_XDIST, reason="needs pytest-xdist in the interpreter")
class TestWithXdist:
    def test_n_in_addopts_is_the_number_of_workers(self, project: Project) -> None:
        project.write("pytest.ini", "[pytest]\naddopts = -n 2 --dist loadfile\n")
        project.write("test_it.py", VIEW)
        report = project.json().expect(0, passed=2)
        assert report.data["workers"] == 2

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
