"""Coverage under tach is what it is under pytest: in parallel, rewound, and with whatever starts it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runner import ISOLATED, Project, clean_environment, needs_plugin

pytestmark = needs_plugin("pytest_cov", "coverage")

CORE = """
    import threading

    def size(x):
        if x > 1:
            return "big"
        elif x < 0:
            return "negative"
        return "small"

    def even(n):
        for i in range(n):
            if i % 2:
                continue
            yield i

    class Guard:
        def __init__(self, f):
            self.f = f

        def call(self):
            try:
                return self.f()
            except ValueError:
                return None
            finally:
                self.f = None

    def _work(found):
        found.append(1)
        if not found:
            found.append(2)

    def in_a_thread():
        found = []
        thread = threading.Thread(target=_work, args=(found,))
        thread.start()
        thread.join()
        return found

    def never():
        return 1
"""
TESTS = """
    import subprocess, sys
    import pytest
    from app import core

    @pytest.mark.parametrize("x", [0, 1, 2])
    def test_size(x): assert core.size(x)
    def test_generator(): assert list(core.even(3)) == [0, 2]
    def test_raises():
        def fail(): raise ValueError
        assert core.Guard(fail).call() is None
    def test_thread(): assert core.in_a_thread() == [1]
    def test_imports():
        from app import late
        assert late.first() == 1
    def test_imports_again():
        from app import late
        assert late.second() == 2
    def test_child(): assert subprocess.run([sys.executable, "-m", "app.child"]).returncode == 0
"""
FIXTURES = """
    import pytest
    from app import wide
    wide.while_collecting()

    @pytest.fixture(scope="session")
    def session():
        yield wide.session_up()
        wide.session_down()

    @pytest.fixture(scope="module")
    def module():
        yield wide.module_up()
        wide.module_down()
"""
TESTS_WITH_FIXTURES = """
    from app import core, wide
    def test_session(session): assert session == "session"
    def test_module(module): assert core.size(-1) == "negative"
    def test_module_again(module): assert module == "module"
    def test_fails(): wide.fails()
"""
WIDE = """
    def while_collecting(): return 1
    def session_up():
        return "session"
    def session_down():
        return 1
    def module_up():
        return "module"
    def module_down():
        return 1
    def fails():
        x = 1
        assert x == 2
        return x
"""


@pytest.fixture
def plugins_project(plugins_project: Project) -> Project:
    """Without the other plugins."""
    plugins_project.write("pytest.ini", "[pytest]\naddopts = -p no:rerunfailures -p no:django -p no:allure_pytest\n")
    return plugins_project


@pytest.fixture
def package(plugins_project: Project) -> Project:
    """A project of many kinds of code."""
    plugins_project.write("app/__init__.py")
    plugins_project.write("app/core.py", CORE)
    plugins_project.write("app/wide.py", WIDE)
    plugins_project.write("app/late.py", "X = 1\ndef first():\n    return X\ndef second():\n    return 2\n")
    plugins_project.write("app/never.py", "def f():\n    return 1\n")
    plugins_project.write("app/child.py", "import sys\nif len(sys.argv) > 5:\n    print(1)\nelse:\n    print(2)\n")
    plugins_project.write("conftest.py", FIXTURES)
    plugins_project.write("test_a.py", TESTS)
    plugins_project.write("test_b.py", TESTS_WITH_FIXTURES)
    return plugins_project


def coverage(project: Project, *words: str) -> str:
    command = [project.python, "-m", "coverage", *words]
    done = subprocess.run(command, cwd=project.path, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def take(project: Project) -> dict[str, Any]:
    """What the run has measured, file by file; its data is removed."""
    if len(data_files(project)) > 1 or data_files(project) != [".coverage"]:
        coverage(project, "combine", "-q")
    coverage(project, "json", "-q", "--show-contexts", "-o", "measured.json")
    (project / "measured.json").rename(project / "taken.json")
    for name in data_files(project):
        (project / name).unlink()
    measured: dict[str, Any] = json.loads((project / "taken.json").read_text())["files"]
    return measured


def data_files(project: Project) -> list[str]:
    names = (path.name for path in project.path.iterdir())
    return sorted(name for name in names if name.startswith(".coverage") and name != ".coveragerc")


@pytest.mark.parametrize(("workers", "branch"), [("2", []), ("1", ["--cov-branch"]), ("4", ["--cov-branch"])])
def test_pytest_cov(package: Project, workers: str, branch: list[str]) -> None:
    package.pytest("--cov=app", *branch).expect(1, passed=12, failed=1)
    theirs = take(package)
    report = package.json("-n", workers, "--cov=app", *branch).expect(1, passed=12, failed=1)
    assert set(report.modes.values()) == {ISOLATED}, report.err
    assert data_files(package) == [".coverage"]
    assert take(package) == theirs


def test_the_harness_is_not_measured(package: Project) -> None:
    package.pytest("--cov").expect(1)
    theirs = take(package)
    package.tach("--cov").expect(1)
    assert take(package) == theirs


def test_contexts(package: Project) -> None:
    """Wide fixtures are of the tests that pytest sets them up and finalises them for."""
    words = ("--cov", "--cov-branch", "--cov-context=test")
    # Not of what two tests import: being rewound, they both execute it.
    package.write("test_a.py", TESTS.partition("def test_imports")[0])
    package.pytest(*words).expect(1)
    theirs = take(package)
    package.tach("-n", "3", *words).expect(1)
    ours = take(package)
    for name, file in theirs.items():
        contexts = {line: sorted(names) for line, names in file["contexts"].items()}
        assert {line: sorted(names) for line, names in ours[name]["contexts"].items()} == contexts, name


def test_reports_and_the_limit(package: Project) -> None:
    words = ["--cov=app", "--cov-branch", "--cov-fail-under=99", "--cov-report=term-missing", "--cov-report=lcov"]
    package.write("test_b.py", TESTS_WITH_FIXTURES.replace("wide.fails()", "pass"))

    def shown(output: str) -> list[str]:
        return [line for line in output.splitlines() if line.startswith(("app/", "TOTAL", "FAIL "))]

    theirs = package.pytest(*words).expect(1)
    report = (package / "coverage.lcov").read_text()
    ours = package.tach(*words).expect(1)
    assert shown(ours.out) == shown(theirs.out) != []
    assert (package / "coverage.lcov").read_text() == report


@pytest.mark.parametrize("patch", ["", "_exit, fork, subprocess"])
def test_coverage_that_the_environment_starts(package: Project, patch: str) -> None:
    settings = f"[run]\nbranch = true\nsource = app\nparallel = true\npatch = {patch}\n"
    file = package.write(".coveragerc", settings)
    # With coverage 7.11 and later it is there already; to start it twice does nothing.
    environment = {"COVERAGE_PROCESS_START": str(file)}
    package.write("test_b.py", TESTS_WITH_FIXTURES.replace("wide.fails()", "pass"))
    package.pytest("-p", "no:cov", env=environment).expect(0)
    files = len(data_files(package))
    theirs = take(package)
    package.tach("-n", "2", "-p", "no:cov", env=environment).expect(0)
    assert len(data_files(package)) == files
    assert take(package) == theirs


@pytest.mark.parametrize("where", ["conftest", "fixture"])
def test_coverage_that_the_suite_starts_itself(plugins_project: Project, where: str) -> None:
    plugins_project.write("app.py", "def f():\n    return 1\ndef g():\n    return 2\n")
    started = "import coverage\nmeasured = coverage.Coverage(include=['app.py'])\n"
    if where == "conftest":
        started += "measured.start()\ndef pytest_unconfigure():\n    measured.stop()\n    measured.save()\n"
    else:
        started += (
            "import pytest\n@pytest.fixture(scope='session', autouse=True)\ndef own():\n"
            "    measured.start()\n    yield\n    measured.stop()\n    measured.save()\n"
        )
    plugins_project.write("conftest.py", started)
    plugins_project.write("test_it.py", "import app\ndef test_f(): app.f()\ndef test_g(): app.g()\n")
    plugins_project.pytest("-p", "no:cov").expect(0)
    theirs = take(plugins_project)
    report = plugins_project.json("-n", "2", "-p", "no:cov").expect(0, passed=2)
    assert set(report.modes.values()) == {"shared" if where == "fixture" else ISOLATED}, report.err
    assert take(plugins_project) == theirs


def test_a_child_that_a_test_forks(plugins_project: Project) -> None:
    plugins_project.write("app.py", "def f():\n    return 1\ndef g():\n    return 2\n")
    plugins_project.write(
        "test_it.py",
        """
        import multiprocessing, os
        import app

        def test_forks():
            pid = os.fork()
            if pid == 0:
                app.f()
                os._exit(0)
            os.waitpid(pid, 0)

        def test_process():
            process = multiprocessing.get_context("fork").Process(target=app.g)
            process.start()
            process.join()
            assert process.exitcode == 0
        """,
    )
    for settings in ("[run]\n", "[run]\nconcurrency = multiprocessing\n"):
        plugins_project.write(".coveragerc", settings)
        plugins_project.pytest("--cov=app").expect(0)
        theirs = take(plugins_project)
        plugins_project.tach("--cov=app").expect(0)
        assert data_files(plugins_project) == [".coverage"]
        assert take(plugins_project) == theirs


def test_what_ran_before_a_crash_counts(plugins_project: Project) -> None:
    plugins_project.write("app.py", "def f():\n    return 1\ndef g():\n    return 2\n")
    plugins_project.write(
        "test_it.py",
        """
        import os
        import app
        def test_before(): app.f()
        def test_crash(): os.abort()
        def test_after(): app.g()
        """,
    )
    plugins_project.tach("--cov=app").expect(1, passed=2, crashed=1)
    assert take(plugins_project)["app.py"]["missing_lines"] == []


def test_a_test_that_closes_all_descriptors(plugins_project: Project) -> None:
    plugins_project.write("app.py", "def f():\n    return 1\ndef g():\n    return 2\n")
    plugins_project.write(
        "test_it.py",
        """
        import os
        import app
        def test_closes():
            os.closerange(3, 4096)
            app.f()
        def test_after(): app.g()
        """,
    )
    plugins_project.tach("-n", "1", "-s", "--cov=app")
    assert take(plugins_project)["app.py"]["missing_lines"] == []


def test_a_coverage_that_is_not_known_makes_the_session_shared(plugins_project: Project) -> None:
    plugins_project.write("app.py", "def f():\n    return 1\n")
    plugins_project.write(
        "conftest.py",
        """
        import coverage
        def pytest_collection_finish():
            del coverage.Coverage.current()._collector.should_trace_cache
        """,
    )
    plugins_project.write("test_it.py", "import app\ndef test_it(): app.f()\n")
    report = plugins_project.json("--cov=app").expect(0, passed=1)
    assert set(report.modes.values()) == {"shared"}
    assert "is not known to tach: Collector has no should_trace_cache" in json.dumps(report.data) + report.err


def test_a_coverage_of_the_suites_own(plugins_project: Project, tmp_path: Path) -> None:
    """What a test measures itself interrupts what measures the session."""
    plugins_project.write("app.py", "def f():\n    return 1\ndef g():\n    return 2\ndef h():\n    return 3\n")
    plugins_project.write(
        "test_it.py",
        """
        import app, coverage
        def test_own():
            app.f()
            own = coverage.Coverage(data_file=None)
            own.start()
            app.g()
            own.stop()
            app.h()
            assert 4 in own.get_data().lines(app.__file__)
        """,
    )
    plugins_project.pytest("--cov=app").expect(0)
    theirs = take(plugins_project)
    plugins_project.tach("--cov=app").expect(0)
    assert take(plugins_project) == theirs
