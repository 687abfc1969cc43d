"""docs/examples: make and ninja redo what depends on a change, and nothing else."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from runner import ANALYZER, COMPILER, ENGINE, ROOT, SUPERVISOR, Project, Result, Run, clean_environment

EXAMPLES = ROOT / "docs" / "examples"
NOTHING = {"make": "Nothing to be done for 'all'", "ninja": "no work to do"}


@dataclass
class Build:
    tool: str
    project: Project

    def __call__(self) -> Result:
        words = ["ninja", "-v"] if self.tool == "ninja" else ["make"]
        environment = clean_environment(
            TACH_ANALYZER=str(ANALYZER),
            TACH_SUPERVISOR=str(SUPERVISOR),
            TACH_COMPILER=str(COMPILER),
            TACH_PYTHON=self.project.python,
            TACH_FLAGS=f"--engine {ENGINE} -q",
        )
        return Run(words, self.project.path, environment).finish().expect(0)

    def expect(self, analyses: int, tests: int) -> None:
        """What one run does."""
        result = self()
        assert result.out.count(" --depfile ") == analyses, str(result)
        assert result.out.count(" -o cache_dir") == tests, str(result)
        assert result.out.count(" --analysis ") == (1 if analyses and tests else 0), str(result)
        assert (NOTHING[self.tool] in result.out) == (analyses == 0), str(result)

    def expect_nothing(self) -> None:
        self.expect(analyses=0, tests=0)

    @property
    def ran(self) -> list[str]:
        return self.project.log()


@pytest.fixture(params=["make", "ninja"])
def build(request: pytest.FixtureRequest, project: Project) -> Build:
    tool = str(request.param)
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    shutil.copy(EXAMPLES / ("Makefile" if tool == "make" else "build.ninja"), project.path)
    project.write("pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = ['tests']\npythonpath = ['src']\n")
    project.write("src/lib.py", "def answer(): return 42\n")
    project.write(
        "tests/test_a.py",
        f"""
        import lib
        def test_a():
            assert lib.answer() == 42
            with open({str(project / "log")!r}, "a") as log: log.write("a\\n")
        """,
    )
    project.write("log")  # or it would be a new file in the project
    settle(project.path)
    return Build(tool, project)


def settle(path: Path) -> None:
    """Everything is as if it were written an hour ago, so that no clock's step is in the way."""
    for file in [path, *path.rglob("*")]:
        if ".tach" not in file.parts:
            age(file)


def age(file: Path) -> None:
    before = file.stat().st_mtime_ns - 3_600_000_000_000
    os.utime(file, ns=(before, before))


def touch(file: Path) -> None:
    os.utime(file)


def test_the_second_run_does_nothing(build: Build) -> None:
    build.expect(analyses=1, tests=1)
    assert build.ran == ["a"]
    build.expect_nothing()
    assert build.ran == ["a"]


def test_a_touched_source_is_looked_at_and_no_test_runs(build: Build) -> None:
    build()
    touch(build.project / "src/lib.py")
    build.expect(analyses=1, tests=0)
    build.expect_nothing()


def test_a_changed_source_runs_the_tests(build: Build) -> None:
    build()
    build.project.write("src/lib.py", "def answer(): return 6 * 7\n")
    build.expect(analyses=1, tests=1)
    build.expect_nothing()
    assert build.ran == ["a", "a"]


def test_a_changed_configuration_runs_the_tests(build: Build) -> None:
    build()
    build.project.write("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = ['src']\nmarkers = ['slow']\n")
    build.expect(analyses=1, tests=1)
    build.expect_nothing()


def test_a_new_source_is_noticed(build: Build) -> None:
    build()
    build.project.write("tests/below/test_b.py", "def test_b(): pass\n")
    build.expect(analyses=1, tests=1)
    build.expect_nothing()
    touch(build.project / "tests/below/test_b.py")
    build.expect(analyses=1, tests=0)


def test_a_deleted_source_is_no_error(build: Build) -> None:
    build.project.write("tests/test_b.py", "def test_b(): pass\n")
    build()
    (build.project / "tests/test_b.py").unlink()
    build.expect(analyses=1, tests=1)
    build.expect_nothing()


def test_a_source_with_an_odd_name_is_an_input(build: Build) -> None:
    odd = build.project.write("src/odd $name #1: x.py", "x = 1\n")
    build()
    build.expect_nothing()
    touch(odd)
    build.expect(analyses=1, tests=0)
    odd.unlink()
    build.expect(analyses=1, tests=1)


def test_a_failed_test_is_run_again(build: Build) -> None:
    broken = build.project.write("src/lib.py", "def answer(): return 41\n")
    with pytest.raises(AssertionError, match="exit code [12]"):
        build()
    with pytest.raises(AssertionError, match="exit code [12]"):
        build()
    broken.write_text("def answer(): return 42\n", encoding="utf-8")
    build.expect(analyses=1, tests=1)


def test_a_deleted_analysis_is_made_again(build: Build) -> None:
    build()
    (build.project / ".tach/analysis").unlink()
    build.expect(analyses=1, tests=1)
    build.expect_nothing()
