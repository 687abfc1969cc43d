""".pytest_cache is compatible in both directions: what pytest wrote, tach reads, and the other way round."""

from __future__ import annotations

import json

import pytest
from runner import Project, Result

SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    assert str(number) not in os.environ.get("FAILING", "")
"""
RUNNERS = [("pytest", "tach"), ("tach", "pytest"), ("tach", "tach")]


def run(project: Project, runner: str, *words: str, failing: str = "") -> Result:
    method = project.tach if runner == "tach" else project.pytest
    return method(*words, env={"FAILING": failing})


def counts(result: Result) -> dict[str, int]:
    """Without those that were not even collected: whether pytest says so depends on its version."""
    return {kind: count for kind, count in result.counts.items() if kind != "deselected"}


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("test_it.py", SUITE)
    return project


@pytest.mark.parametrize(("first", "second"), RUNNERS)
def test_last_failed(suite: Project, first: str, second: str) -> None:
    run(suite, first, failing="14").expect(1, passed=4, failed=2)
    assert counts(run(suite, second, "--lf", failing="4").expect(1)) == {"passed": 1, "failed": 1}
    assert counts(run(suite, first, "--lf").expect(0)) == {"passed": 1}
    run(suite, second, "--lf").expect(0, passed=6)


@pytest.mark.parametrize(("first", "second"), RUNNERS)
def test_failed_first(suite: Project, first: str, second: str) -> None:
    run(suite, first, failing="3").expect(1, passed=5, failed=1)
    result = run(suite, second, "--ff", "-v", "--color=no", failing="3").expect(1, passed=5, failed=1)
    order = [line.split("[")[1][0] for line in result.lines if line.startswith("test_it.py::test_it[")]
    assert order == ["3", "0", "1", "2", "4", "5"]


@pytest.mark.parametrize(("first", "second"), RUNNERS)
def test_stepwise(suite: Project, first: str, second: str) -> None:
    run(suite, first, "--sw", failing="2").expect(2, passed=2, failed=1)
    run(suite, second, "--sw", failing="4").expect(2, passed=2, failed=1, deselected=2)
    run(suite, first, "--sw").expect(0, passed=2, deselected=4)


def test_the_files_are_the_same(project: Project) -> None:
    """Node ids and failures are stored alike, whoever ran the tests."""
    project.write("test_it.py", SUITE)
    contents = []
    for runner in ("pytest", "tach"):
        run(project, runner, "--cache-clear", failing="25")
        directory = project / ".pytest_cache" / "v" / "cache"
        contents.append({file.name: json.loads(file.read_text()) for file in directory.iterdir()})
    assert contents[0] == contents[1]
    assert contents[0]["lastfailed"] == {"test_it.py::test_it[2]": True, "test_it.py::test_it[5]": True}


def test_values_of_the_suite_are_kept(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_sessionfinish(session):
            session.config.cache.set("ours/runs", session.config.cache.get("ours/runs", 0) + 1)
        """,
    )
    project.write("test_it.py", "def test_a(cache): cache.set('ours/test', [1, 2])\n")
    project.tach().expect(0, passed=1)
    project.tach().expect(0, passed=1)
    stored = project / ".pytest_cache" / "v" / "ours"
    assert json.loads((stored / "runs").read_text()) == 2
    assert json.loads((stored / "test").read_text()) == [1, 2]


def test_no_cache_provider(suite: Project) -> None:
    run(suite, "tach", "-p", "no:cacheprovider", failing="1").expect(1, passed=5, failed=1)
    assert not (suite / ".pytest_cache").exists()


def test_a_spoilt_memory_is_as_good_as_none(suite: Project) -> None:
    run(suite, "tach", failing="1").expect(1)
    spoilt = [file for file in suite.path.rglob("*") if file.is_file() and "tach" in str(file.relative_to(suite.path))]
    assert spoilt
    for file in spoilt:
        file.write_bytes(b"\x00{[nonsense" * 100)
    run(suite, "tach", failing="1").expect(1, passed=5, failed=1)
