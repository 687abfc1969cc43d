"""Python's garbage collector: what a suite sees of it, and who hears what it finalises."""

from __future__ import annotations

import gc

import pytest
from _pytest import unraisableexception
from runner import Project

# Before pytest 8.4, what it hears of a collection's garbage depends on how much the interpreter has made until then.
QUEUES = hasattr(unraisableexception, "collect_unraisable")

LATE = """
    class Loop:
        def __init__(self): self.me = self
        def __del__(self): raise ValueError("late")
"""
# What collection leaves, one with a destructor that raises, and a file that nobody closed. Found at once: when Python
# would look by itself depends on the hash seed.
LEAVES_GARBAGE = (
    LATE
    + """
    class Keeper: pass

    def pytest_collection_modifyitems():
        import gc
        Loop()
        keeper = Keeper()
        keeper.me, keeper.file = keeper, open(__file__)
        del keeper
        gc.collect()
"""
)
FOUR_TESTS = """
    import gc
    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_it(number): gc.collect()
"""


@pytest.mark.parametrize("words", [(), ("-W", "error"), ("-W", "error::ResourceWarning")])
@pytest.mark.parametrize("mode", ["isolated", "fork", "shared"])
def test_what_collection_could_not_raise_is_charged_to_one_test(
    project: Project, words: tuple[str, ...], mode: str
) -> None:
    project.write("conftest.py", LEAVES_GARBAGE)
    project.write("test_it.py", FOUR_TESTS)
    theirs = project.pytest(*words)
    ours = project.tach("--mode", mode, *words)
    if QUEUES:
        assert ours.counts == theirs.counts
        assert ours.code == theirs.code
        assert ("ERROR test_it.py::test_it[0]" in str(ours)) == ("ERROR test_it.py::test_it[0]" in str(theirs))
    assert ours.counts.get("passed", 0) >= 3


@pytest.mark.parametrize("scope", ["class", "module", "session"])
@pytest.mark.parametrize("words", [(), ("-W", "error")])
def test_what_a_wide_fixture_could_not_raise_is_charged_to_the_test_that_it_was_set_up_for(
    project: Project, words: tuple[str, ...], scope: str
) -> None:
    project.write("late.py", LATE)
    project.write(
        "test_it.py",
        f"""
        import gc
        import pytest

        from late import Loop

        @pytest.fixture(scope="{scope}")
        def wide():
            Loop()
            gc.collect()

        def test_before(): pass

        @pytest.mark.parametrize("number", range(3))
        class TestIt:
            def test_it(self, wide, number): gc.collect()
        """,
    )
    theirs, ours = project.pytest(*words), project.tach(*words)
    assert (ours.code, ours.counts) == (theirs.code, theirs.counts)


def test_a_hook_that_a_wide_fixture_installs_hears_what_it_would(project: Project) -> None:
    project.write("late.py", LATE)
    project.write(
        "test_it.py",
        """
        import gc
        import sys
        import threading
        import pytest

        from late import Loop

        heard = []

        @pytest.fixture(scope="module")
        def own():
            before = sys.unraisablehook
            sys.unraisablehook = heard.append
            Loop()
            gc.collect()
            assert len(heard) == 1
            yield
            sys.unraisablehook = before

        @pytest.fixture(scope="module")
        def dying_thread():
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()

        def test_unraisable(own): assert len(heard) == 1
        def test_thread(dying_thread): pass
        def test_after(dying_thread): pass
        """,
    )
    for words in ((), ("-W", "error")):
        theirs, ours = project.pytest(*words), project.tach(*words)
        assert (ours.code, ours.counts) == (theirs.code, theirs.counts)


def test_the_settings_are_those_of_the_interpreter(project: Project) -> None:
    project.write(
        "test_it.py",
        f"""
        import gc

        def test_it():
            assert gc.isenabled()
            assert gc.get_threshold() == {gc.get_threshold()}
            assert gc.get_freeze_count() <= {gc.get_freeze_count()}
            assert not gc.callbacks
        """,
    )
    for mode in ("isolated", "fork", "shared"):
        project.tach("--mode", mode).expect(0, passed=1)


@pytest.mark.parametrize("setting", ["gc.set_threshold(4321)", "gc.disable()", "gc.set_threshold(0)", "gc.freeze()"])
def test_the_settings_of_a_suite_stay(project: Project, setting: str) -> None:
    project.write("conftest.py", f"import gc\n{setting}\n")
    project.write(
        "test_it.py",
        """
        import gc

        def test_it():
            with open("log", "a") as file:
                print(gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 1000, file=file)
        """,
    )
    project.pytest().expect(0, passed=1)
    for mode in ("isolated", "fork", "shared"):
        project.tach("--mode", mode).expect(0, passed=1)
    assert len(project.log()) == 4
    assert len(set(project.log())) == 1


def test_what_is_made_while_modules_are_imported_is_found_where_it_always_was(project: Project) -> None:
    project.write("conftest.py", "class Thing: pass\nthing = Thing()\n")
    project.write(
        "test_it.py",
        """
        import gc
        import conftest
        import logging

        def test_it():
            assert conftest.thing in gc.get_referrers(conftest.Thing)
            assert any(item is logging.root for item in gc.get_objects())
        """,
    )
    project.tach().expect(0, passed=1)


def test_tests_that_look_at_all_objects_cost_a_worker_one_process(project: Project) -> None:
    project.write("test_it.py", FOUR_TESTS.replace("range(4)", "range(40)"))
    report = project.json("-n", "1").expect(0, passed=40)
    assert report.data["metrics"]["fresh_processes"] == 1
    assert set(report.modes.values()) <= {"snapshot", "fork"}


def test_tests_under_a_wide_fixture_that_look_at_all_objects_cost_a_worker_one_process(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import gc
        import pytest

        @pytest.fixture(scope="class")
        def wide(): return []

        @pytest.mark.parametrize("number", range(5))
        class TestOne:
            def test_it(self, wide, number): gc.collect()

        @pytest.mark.parametrize("number", range(5))
        class TestTwo:
            def test_it(self, wide, number): gc.collect()

        class TestThree:
            def test_it(self, wide): pass
        """,
    )
    report = project.json("-n", "1").expect(0, passed=11)
    assert report.data["metrics"]["fresh_processes"] == 1


def test_a_suite_that_asks_for_the_threshold_is_told_the_usual_one(project: Project) -> None:
    project.write("conftest.py", "import gc\nfirst, *rest = gc.get_threshold()\ngc.set_threshold(first * 2, *rest)\n")
    project.write(
        "test_it.py",
        f"""
        import gc
        import conftest
        from gc import get_threshold

        def test_it():
            assert (conftest.first, *conftest.rest) == {gc.get_threshold()}
            assert gc.get_threshold() == get_threshold() == {(gc.get_threshold()[0] * 2, *gc.get_threshold()[1:])}
        """,
    )
    for mode in ("isolated", "fork", "shared"):
        project.tach("--mode", mode).expect(0, passed=1)


def test_what_is_made_and_forgotten_is_freed_while_tests_are_collected(project: Project) -> None:
    """Each holds a descriptor, and what it has made meanwhile makes Python see it more than once."""
    project.write(
        "test_it.py",
        """
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))

        class Document:
            def __init__(self):
                self.file, self.me = open(__file__), self
                self.lines = [[number] for number in range(400)]

        total = sum(len(Document().lines) for _ in range(1500))

        def test_it(): assert total == 1500 * 400
        """,
    )
    project.pytest("-W", "ignore").expect(0, passed=1)
    project.tach("-W", "ignore").expect(0, passed=1)


@pytest.mark.parametrize("ageing", ["gc.collect()", "keep = [[] for _ in range(1_000_000)]"])
@pytest.mark.parametrize("mode", ["isolated", "fork"])
def test_garbage_that_was_old_is_finalised_once(project: Project, mode: str, ageing: str) -> None:
    project.write(
        "conftest.py",
        f"""
        import gc

        class Thing:
            def __init__(self): self.me = self
            def __del__(self):
                with open({str(project / "log")!r}, "a") as file: file.write("freed\\n")
                raise ValueError("late")

        thing = Thing()
        {ageing}
        del thing
        """,
    )
    project.write("test_it.py", FOUR_TESTS)
    result = project.tach("--mode", mode, "-n", "2", "-W", "error")
    assert project.log() == ["freed"]
    if QUEUES:
        assert (result.code, result.counts) == (1, {"passed": 3, "error": 1})


def test_what_is_left_at_the_end_is_found_by_whoever_looks(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import gc
        import weakref

        class Thing:
            def __init__(self): self.me = self
            def __del__(self): raise ValueError("late")
        class Quiet:
            def __init__(self): self.me = self

        holder = [Thing(), Quiet()]
        reference = weakref.ref(holder[1])

        def pytest_sessionfinish(session):
            assert any(thing is holder for thing in gc.get_objects())
            del holder[1]
            gc.collect()
            assert reference() is None
            holder.clear()
        """,
    )
    project.write("test_it.py", "def test_it(): pass\n")
    for words in ((), ("-W", "error")):
        theirs, ours = project.pytest(*words), project.tach(*words)
        assert (ours.code, ours.counts) == (theirs.code, theirs.counts)
        assert ours.err.count("PytestUnraisable") == theirs.err.count("PytestUnraisable")


@pytest.mark.parametrize(
    "deed", ["resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))", "os.closerange(600, 1024)"]
)
def test_a_test_that_looks_at_all_objects_and_may_not_write_costs_no_other(project: Project, deed: str) -> None:
    project.write(
        "test_it.py",
        f"""
        import gc
        import os
        import resource
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_before(number): pass

        def test_it():
            {deed}
            gc.collect()

        @pytest.mark.parametrize("number", range(3))
        def test_after(number): pass
        """,
    )
    result = project.tach("-n", "1").expect(0, passed=7)
    assert "Traceback" not in str(result)


def test_what_collection_could_not_raise_is_told_once_though_the_process_dies(project: Project) -> None:
    project.write("conftest.py", LEAVES_GARBAGE)
    project.write(
        "test_it.py",
        """
        import os
        import signal

        def test_first(): pass
        def test_second(): os.kill(os.getpid(), signal.SIGKILL)
        def test_third(): pass
        """,
    )
    result = project.tach("--mode", "shared", "-W", "error")
    assert result.counts == ({"passed": 1, "error": 1, "crashed": 1} if QUEUES else {"passed": 2, "crashed": 1})


@pytest.mark.skipif(not QUEUES, reason="before pytest 8.4 nobody looks for garbage at the session's end")
@pytest.mark.parametrize("words", [(), ("-W", "error")])
def test_what_a_tests_garbage_could_not_raise_is_there_when_the_session_ends(
    project: Project, words: tuple[str, ...]
) -> None:
    project.write(
        "test_it.py",
        """
        import os
        import pytest

        class Node:
            def __init__(self):
                self.me = self
                self.file = open(os.devnull)

        class Broken:
            def __init__(self): self.me = self
            def __del__(self): raise ValueError("broken in its end")

        def test_leaks(): Node()

        @pytest.mark.parametrize("n", range(3))
        def test_others(n): pass

        def test_breaks(): Broken()
        """,
    )
    expected = project.pytest(*words)
    for workers in ("1", "2"):
        result = project.tach("-n", workers, *words)
        assert (result.code, result.counts) == (expected.code, expected.counts), f"{expected}\n{result}"
        for said in ("broken in its end", "unclosed file"):
            count = (expected.out + expected.err).count(said)
            assert bool((result.out + result.err).count(said)) == bool(count), f"{expected}\n{result}"
