"""Bugs that were fixed, each with the suite that showed it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from runner import MARKER, SUPERVISOR, Project, assert_nothing_left, clean_environment


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH is new in 3.11")
def test_safe_path_keeps_the_scripts_off_sys_path(project: Project) -> None:
    project.write("test_it.py", "import sys\nopen('log', 'w').write(sys.path[0])\ndef test_a(): pass\n")
    for safe in ({}, {"PYTHONSAFEPATH": "1"}):
        script = subprocess.run(
            [sys.executable.replace("/python", "/pytest"), "-p", "no:cacheprovider", "--import-mode=importlib"],
            cwd=project.path, env=clean_environment(**safe), capture_output=True, check=True,
        )  # fmt: skip
        assert script.returncode == 0
        theirs = project.log()
        project.tach("--import-mode=importlib", env=safe).expect(0, passed=1)
        assert project.log() == theirs


@pytest.mark.parametrize("overriding", ["db", "other, db"])
def test_a_function_fixture_that_overrides_a_session_fixture_is_set_up_per_test(
    project: Project, overriding: str
) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def db():
            with open("log", "a") as file: file.write("db up\\n")
            yield []
            with open("log", "a") as file: file.write("db down\\n")

        @pytest.fixture
        def other(): return 1
        """,
    )
    project.write(
        "test_it.py",
        f"""
        import pytest

        @pytest.fixture
        def db({overriding}):
            with open("log", "a") as file: file.write("own up\\n")
            yield db
            with open("log", "a") as file: file.write("own down\\n")

        @pytest.mark.parametrize("number", range(3))
        def test_it(db, number):
            assert db == []
            db.append(number)
        """,
    )
    project.tach("-n", "1", "--strict-isolation").expect(0, passed=3)
    assert project.log() == ["db up", *["own up", "own down"] * 3, "db down"]


def test_a_session_fixture_that_skips_does_not_keep_the_others_from_being_set_up(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def absent(): pytest.skip("not here")
        @pytest.fixture(scope="session")
        def present():
            with open("log", "a") as file: file.write("up\\n")

        def test_skipped(absent, present): pass
        def test_runs(present): pass
        """,
    )
    theirs = project.pytest().expect(0, passed=1, skipped=1)
    (project / "log").unlink()
    project.tach().expect(0, **theirs.counts)
    assert project.log() == ["up"]


def test_a_report_that_carries_what_only_the_worker_knows(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        class Refuses:
            def __reduce__(self): return (make_only_in, (__import__("os").getpid(),))

        def make_only_in(pid):
            if pid != __import__("os").getpid(): raise RuntimeError("not here")
            return Refuses()

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item):
            outcome = yield
            outcome.get_result().extra = Refuses()
            outcome.get_result().local = lambda: None
        """,
    )
    tests = "import pytest\ndef test_a(): pass\ndef test_b(): assert [1] == [2]\ndef test_c(): pytest.skip('because')\n"
    project.write("test_it.py", tests)
    result = project.tach("-rs", "--no-second-opinion").expect(1, passed=1, failed=1, skipped=1)
    assert "[1] == [2]" in result.out
    assert "because" in result.out


def test_what_x_makes_unwanted_is_ended_even_if_it_ignores_interrupts(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import signal, time, pathlib

        def test_fails():
            while not pathlib.Path("other").exists(): time.sleep(0.01)
            assert False
        """,
    )
    project.write(
        "test_other.py",
        """
        import signal, time, pathlib

        def test_deaf():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            pathlib.Path("other").touch()
            time.sleep(1000)
        """,
    )
    result = project.tach("-x", "-n", "2", "--no-second-opinion").expect(1, failed=1)
    assert "test_deaf" not in result.out


@pytest.mark.parametrize("file", ["conftest.py", "test_it.py"])
def test_system_exit_while_collecting_ends_as_under_pytest(project: Project, file: str) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    project.write(file, "import sys\nsys.exit('not on this machine')\n")
    theirs, ours = project.pytest(), project.tach()
    assert ours.code == theirs.code
    assert ("not on this machine" in ours.out + ours.err) == ("not on this machine" in theirs.out + theirs.err)


def test_a_reader_that_went_away_changes_no_verdict(project: Project) -> None:
    project.write(
        "test_it.py", "import pytest\n@pytest.mark.parametrize('n', range(50))\ndef test_it(n): assert n != 40\n"
    )
    command = f"({SUPERVISOR} --python {sys.executable} -v; echo $? >code) | head -n 3"
    env = clean_environment(**{MARKER: "reader"})
    subprocess.run(["sh", "-c", command], cwd=project.path, env=env, check=True, capture_output=True, timeout=60)
    assert project.log("code") == ["1"]
    assert_nothing_left("reader")


def test_a_kept_test_finalises_what_its_worker_had_set_up(project: Project) -> None:
    """Session fixtures of a worker of its own (the suite asks for worker_id), and a test that adds one late."""
    project.write(
        "conftest.py",
        """
        import pytest

        def log(text):
            with open("log", "a") as file: file.write(text + "\\n")

        @pytest.fixture(scope="session")
        def worker_id(): return "mine"

        @pytest.fixture(scope="session")
        def early(worker_id):
            log("early up")
            yield
            log("early down")

        @pytest.fixture(scope="session")
        def late():
            log("late up")
            yield
            log("late down")
        """,
    )
    project.write(
        "test_it.py",
        """
        def test_uses(early): pass
        def test_asks(early, request): request.getfixturevalue("la" + "te")
        """,
    )
    project.tach("-n", "1").expect(0, passed=2)
    assert sorted(project.log()) == ["early down", "early up", "late down", "late up"]
    assert project.log().index("late down") < project.log().index("early down")


def test_a_unit_whose_later_tests_need_more_session_fixtures_is_not_split(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def first(): pass
        @pytest.fixture(scope="session")
        def second(): pass

        @pytest.fixture(scope="module")
        def wide():
            with open("log", "a") as file: file.write("up\\n")

        def test_a(wide, first): pass
        def test_b(wide, second): pass
        """,
    )
    project.tach("-n", "2").expect(0, passed=2)
    assert project.log() == ["up"]


@pytest.mark.parametrize("words", [["-n", "4"], ["--mode", "shared"]], ids=" ".join)
def test_warnings_of_the_collection_are_told_once(project: Project, words: list[str]) -> None:
    project.write(
        "test_it.py",
        """
        import os, warnings
        import pytest
        warnings.warn("while collecting")

        @pytest.mark.parametrize("number", range(8))
        def test_it(number):
            if number in (2, 5): os.abort()
        """,
    )
    project.tach(*words).expect(1, passed=6, crashed=2, warning=1)


@pytest.mark.parametrize("words", [[], ["--mode", "shared"]], ids=["fork", "shared"])
def test_without_pytests_terminal(project: Project, words: list[str]) -> None:
    project.write(
        "test_it.py",
        """
        import pytest
        @pytest.fixture
        def broken(): assert 0
        def test_a(): pass
        def test_b(): assert 0
        def test_c(): pytest.skip("x")
        @pytest.mark.xfail
        def test_d(): assert 0
        def test_e(broken): pass
        """,
    )
    report = project.json("-p", "no:terminal", "-p", "no:capture", *words)
    report.expect(1, passed=1, failed=1, skipped=1, xfailed=1, error=1)
    project.tach("-p", "no:terminal", "-p", "no:skipping", *words)


def test_an_open_file_whose_name_is_no_utf8(project: Project) -> None:
    project.write("conftest.py", "file = open(b'caf\\xe9', 'w')\n")
    project.write(
        "test_it.py",
        "import pytest\n@pytest.fixture(scope='module')\ndef wide(): yield open(b'bar\\xe9', 'w')\ndef test_a(wide): pass\n",
    )
    project.tach().expect(0, passed=1)


def test_garbage_of_the_collection_is_finalised_once(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import gc
        import pytest

        class Cycle:
            def __init__(self): self.me = self
            def __del__(self):
                with open("log", "a") as file: file.write("x\\n")

        Cycle()
        @pytest.mark.parametrize("number", range(6))
        def test_it(number): gc.collect()
        """,
    )
    project.tach("-n", "2").expect(0, passed=6)
    assert project.log() == ["x"]


def test_an_object_that_says_it_is_an_open_file(project: Project) -> None:
    """As the proxies of werkzeug do, which stand for whatever is current."""
    project.write(
        "test_it.py",
        """
        import io, pytest

        class Proxy:
            __slots__ = ("held",)  # no weak references
            __class__ = property(lambda self: io.TextIOWrapper)
            def __getattr__(self, name): raise RuntimeError("there is nothing that it stands for")

        proxies = [Proxy() for _ in range(3)]
        file = open("written", "w")

        def test_a(): file.write("a")
        def test_b(): file.write("b")
        """,
    )
    project.tach().expect(0, passed=2)


def test_what_cannot_travel_keeps_its_shape(project: Project) -> None:
    """A subtest's arguments (pytest 9.0) may be anything; who prints the report asks them for their parts."""
    project.write(
        "conftest.py",
        """
        import dataclasses, itertools, pytest

        @dataclasses.dataclass(frozen=True)
        class Context:
            text: str
            values: dict

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.context = Context("it", {"function": len, "lambda": lambda: 0, "iterator": itertools.count(3), "n": 1})
            return report

        def pytest_runtest_logreport(report):
            if report.when == "call":
                values = report.context.values
                print(report.context.text, sorted(values), values["function"]("four"), values["n"], values["iterator"])
        """,
    )
    project.write(
        "test_it.py",
        """
        import warnings

        def test_it():
            warnings.warn("heard")
        """,
    )
    result = project.tach("-s", "-W", "error::DeprecationWarning").expect(0, passed=1, warning=1)
    assert "it ['function', 'iterator', 'lambda', 'n'] 4 1 count(3)" in result.out
    assert "DeprecationWarning" not in result.out
