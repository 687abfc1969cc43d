"""State that tests gather on purpose is there for whom it is meant; what only could be gathered costs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from runner import ISOLATED, Project, Report, Result

KEPT = (".tach", "__pycache__", ".pytest_cache")


def files_of(project: Project) -> dict[str, bytes]:
    found = [p for p in project.path.rglob("*") if p.is_file() and not any(part in KEPT for part in p.parts)]
    return {str(p.relative_to(project.path)): p.read_bytes() for p in found}


def pytests(project: Project, *words: str) -> tuple[Result, dict[str, bytes]]:
    """What pytest makes of the project, and the files that it leaves, which are removed."""
    before = files_of(project)
    result = project.pytest("-p", "no:cacheprovider", *words)
    after = files_of(project)
    for name in after.keys() - before.keys():
        (project.path / name).unlink()
    for name in before:
        (project.path / name).write_bytes(before[name])
    return result, after


def runs(project: Project, *words: str) -> Iterator[Report]:
    """A first and a second run with one worker and with three, each compared with pytest."""
    expected, files = pytests(project, *words)
    before = files_of(project)
    for workers in ("1", "3"):
        shutil.rmtree(project.path / ".tach", ignore_errors=True)
        for _ in range(2):
            report = project.json("-n", workers, "-p", "no:cacheprovider", *words)
            assert report.code == expected.code, f"{expected}\n{report}"
            assert report.summary == expected.counts, f"{expected}\n{report}"
            assert files_of(project) == files
            for name in files.keys() - before.keys():
                (project.path / name).unlink()
            yield report


def modes(report: Report) -> set[str]:
    return set(report.modes.values())


def test_a_list_in_a_session_fixture(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def results():
            found = []
            yield found
            with open("out", "w") as file: file.write(repr(found))

        @pytest.mark.parametrize("n", range(4))
        def test_n(results, n): results.append(n)

        def test_other(): pass
        """,
    )
    for report in runs(project):
        assert report.modes.pop("test_other") == ISOLATED
        assert {mode for name, mode in report.modes.items() if name != "test_other"} == {"shared"}
        assert "fixture results" in report.test("test_n[0]")["note"]


def test_a_session_fixture_that_judges_what_it_has(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import dataclasses
        import pytest

        @dataclasses.dataclass
        class Calls:
            count: int = 0

        @pytest.fixture(scope="session")
        def calls(request):
            made = Calls()
            request.addfinalizer(lambda: check(made))
            return made

        def check(made): assert made.count == 2

        def test_a(calls): calls.count += 1
        def test_b(calls): calls.count += 1
        def test_c(calls): assert calls.count == 2
        """,
    )
    for report in runs(project):
        report.expect(0, passed=3)


def test_a_module_fixture_writes_out_what_its_tests_gave_it(project: Project) -> None:
    source = """
        import pytest

        @pytest.fixture(scope="module")
        def rows(request):
            found = {}
            yield found
            with open(request.module.__name__ + ".out", "w") as file: file.write(repr(found))

        def test_before(rows): assert rows == {}
        def test_a(rows): rows["a"] = [1]
        def test_b(rows): rows["a"].append(2)
        """
    project.write("test_one.py", source)
    project.write("test_two.py", source)
    for report in runs(project):
        assert report.test("test_one.py::test_before")["mode"] == ISOLATED
        assert report.test("test_two.py::test_b")["mode"] == "shared"


def test_teardown_methods_read_what_their_class_and_module_have(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import unittest

        class TestPlain:
            seen = []
            @classmethod
            def teardown_class(cls): write("class", cls.seen)
            def test_a(self): self.seen.append(1)
            def test_b(self): self.seen.append(2)

        class TestCase(unittest.TestCase):
            count = 0
            @classmethod
            def tearDownClass(cls): write("case", cls.count)
            def test_a(self): type(self).count += 1
            def test_b(self): type(self).count += 1

        total = 0
        def test_c():
            global total
            total += 1
        def teardown_module(): write("module", total)

        def write(name, value):
            with open(name, "w") as file: file.write(repr(value))
        """,
    )
    for report in runs(project):
        report.expect(0, passed=5)


END_READERS = {
    "a module that a hook imports": (
        {"results.py": "rows = []\n", "helper.py": "import results\ndef rows(): return results.rows\n"},
        "import helper\ndef pytest_sessionfinish(session):\n    write(helper.rows())\n    session.exitstatus = 7\n",
        "import results\ndef test_a(): results.rows.append('a')\ndef test_b(): results.rows.append('b')\n",
    ),
    "a counter": (
        {"counter.py": "count = 0\ndef inc():\n    global count\n    count += 1\n"},
        "import counter\ndef pytest_unconfigure(): write(counter.count)\n",
        "import counter\ndef test_a(): counter.inc()\ndef test_b(): counter.inc()\n",
    ),
    "a dict of dicts": (
        {},
        "STATS = {'x': {'n': 0}}\ndef pytest_sessionfinish(): write(STATS)\n",
        "from conftest import STATS\ndef test_a(): STATS['x']['n'] += 1\ndef test_b(): STATS['x']['m'] = 1\n",
    ),
    "a Counter, a defaultdict, a deque and a set": (
        {},
        "from collections import *\nC, D, Q, S = Counter(), defaultdict(list), deque(maxlen=2), set()\n"
        "def pytest_sessionfinish(): write([C, dict(D), list(Q), sorted(S)])\n",
        "from conftest import C, D, Q, S\ndef test_a(): C['a'] += 1\ndef test_b(): D['b'].append(2)\n"
        "def test_c(): Q.append(3)\ndef test_d(): S.add(4)\n",
    ),
    "an exit callback": (
        {},
        "import atexit\nROWS = []\n@atexit.register\ndef at_end(): write(ROWS)\n",
        "from conftest import ROWS\ndef test_a(): ROWS.append(1)\ndef test_b(): ROWS.append(2)\n",
    ),
    "a plugin object": (
        {},
        "class Collector:\n    def __init__(self): self.rows = []\n"
        "    def pytest_runtest_teardown(self, item): self.rows.append(item.name)\n"
        "    def pytest_terminal_summary(self): write(self.rows)\n"
        "def pytest_configure(config): config.pluginmanager.register(Collector())\n",
        "def test_a(): pass\ndef test_b(): pass\n",
    ),
    "an attribute of the config, and its stash": (
        {},
        "import pytest\nKEY = pytest.StashKey()\n"
        "def pytest_configure(config): config.rows, config.stash[KEY] = [], []\n"
        "@pytest.fixture\ndef record(request):\n    request.config.rows.append(1)\n"
        "    request.config.stash[KEY].append(request.node.name)\n"
        "def pytest_unconfigure(config): write((config.rows, config.stash[KEY]))\n",
        "def test_a(record): pass\ndef test_b(record): pass\n",
    ),
    "a session fixture's teardown": (
        {},
        "import pytest\nROWS = []\n@pytest.fixture(scope='session')\ndef used():\n    yield\n    ROWS.append('down')\n"
        "def pytest_sessionfinish(): write(ROWS)\n",
        "def test_a(used): pass\ndef test_b(): pass\n",
    ),
    "slots": (
        {},
        "class Slotted:\n    __slots__ = ('n', 'unset')\n    def __init__(self): self.n = 0\nSLOTTED = Slotted()\n"
        "def pytest_sessionfinish(): write(SLOTTED.n)\n",
        "from conftest import SLOTTED\ndef test_a(): SLOTTED.n += 1\ndef test_b(): SLOTTED.n += 1\n",
    ),
}
WRITE = "def write(value):\n    with open('out', 'w') as file: file.write(repr(value))\n"


@pytest.mark.parametrize("kind", END_READERS)
def test_what_is_read_when_the_session_ends(project: Project, kind: str) -> None:
    modules, conftest, tests = END_READERS[kind]
    for name, source in modules.items():
        project.write(name, source)
    (project.path / "conftest.py").write_text(WRITE + conftest)
    (project.path / "test_it.py").write_text(tests)
    for report in runs(project):
        assert modes(report) == {"shared"}


def test_timings_that_makereport_collects_and_the_summary_prints(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest
        phases = {}

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            phases.setdefault(item.nodeid, []).append(call.when)

        def pytest_terminal_summary(terminalreporter):
            for name, whens in phases.items():
                terminalreporter.write_line(f"{name} {whens}")
        """,
    )
    for name in ("test_a.py", "test_b.py"):
        project.write(name, "import pytest\n@pytest.mark.parametrize('n', range(30))\ndef test_n(n): assert n != 7\n")
    wanted = [line for line in project.pytest().lines if "['setup', 'call', 'teardown']" in line]
    assert len(wanted) == 60
    result = project.tach("-n", "2").expect(1, failed=2, passed=58)
    assert [line for line in result.lines if "['setup', 'call', 'teardown']" in line] == wanted
    # What had been told before it was noticed is not told twice.
    assert sum(line.count(".") for line in result.lines if line.startswith("test_") and "%]" in line) == 58 + 2


def test_verbose_lines_are_told_once_though_the_session_began_anew(project: Project) -> None:
    project.write("conftest.py", WRITE + "ROWS = []\ndef pytest_sessionfinish(): write(ROWS)\n")
    project.write(
        "test_it.py",
        """
        import pytest
        from conftest import ROWS

        @pytest.mark.parametrize("n", range(20))
        def test_n(n):
            if n == 15: ROWS.append(n)
        """,
    )
    result = project.tach("-v").expect(0, passed=20)
    told = [line.split()[0] for line in result.lines if "PASSED" in line]
    assert told == [f"test_it.py::test_n[{n}]" for n in range(20)]
    assert project.log("out") == ["[15]"]


def test_a_log_that_the_controller_had_begun_is_begun_anew(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        ROWS = []
        def pytest_configure(config): config.journal = open("journal", "w")
        def pytest_runtest_logreport(report):
            import conftest
            if report.when == "call": conftest.JOURNAL.write(report.nodeid + "\\n"); conftest.JOURNAL.flush()
        def pytest_sessionstart(session):
            global JOURNAL
            JOURNAL = session.config.journal
        def pytest_sessionfinish():
            with open("out", "w") as file: file.write(repr(ROWS))
        """,
    )
    project.write(
        "test_it.py",
        """
        import pytest
        from conftest import ROWS

        @pytest.mark.parametrize("n", range(6))
        def test_n(n):
            if n == 5: ROWS.append(n)
        """,
    )
    project.tach().expect(0, passed=6)
    assert project.log("journal") == [f"test_it.py::test_n[{n}]" for n in range(6)]
    assert project.log("out") == ["[5]"]


def test_what_only_prints_or_does_not_change_leaves_tests_isolated(project: Project) -> None:
    project.write(
        "app.py",
        """
        class App:
            def __init__(self): self.cache = {}; self.open = True
            def get(self, key): self.cache[key] = 1
            def close(self): self.open = False
        """,
    )
    project.write(
        "conftest.py",
        """
        import pytest
        from app import App

        current = None
        known = {"a": 1}

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_call(item):
            global current
            current = item
            yield

        @pytest.fixture(scope="session")
        def app():
            made = App()
            yield made
            made.close()

        def pytest_terminal_summary(terminalreporter): terminalreporter.write_line(f"known {known}")
        """,
    )
    project.write("test_it.py", "def test_a(app): app.get(1)\ndef test_b(app): app.get(2)\ndef test_c(): pass\n")
    for report in runs(project):
        assert modes(report) == {ISOLATED}


def test_the_first_failure_ends_a_session_that_began_anew(project: Project) -> None:
    project.write("conftest.py", WRITE + "ROWS = []\ndef pytest_sessionfinish(): write(ROWS)\n")
    project.write(
        "test_it.py",
        """
        from conftest import ROWS
        def test_a(): ROWS.append("a")
        def test_b(): assert not ROWS
        def test_c(): ROWS.append("c")
        """,
    )
    for report in runs(project, "-x"):
        report.expect(1, failed=1, passed=1)


def test_a_crash_in_a_session_that_began_anew(project: Project) -> None:
    project.write("conftest.py", "ROWS = []\ndef pytest_sessionfinish(): print(ROWS)\n")
    project.write(
        "test_it.py",
        """
        import os
        from conftest import ROWS
        def test_a(): ROWS.append("a")
        def test_b(): os.abort()
        def test_c(): ROWS.append("c")
        """,
    )
    project.json().expect(1, passed=2, crashed=1)


def test_a_test_that_needs_what_another_one_gathered(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def found():
            rows = []
            yield rows
            assert rows == ["a", "b"]

        @pytest.mark.parametrize("n", range(8))
        def test_n(found, n): pass
        def test_a(found): found.append("a")
        def test_needs_it(found): assert found == ["a"]
        def test_b(found): found.append("b")
        """,
    )
    for report in runs(project):
        report.expect(0, passed=11)


def test_what_is_remembered_is_forgotten_with_the_source(project: Project) -> None:
    conftest = WRITE + "ROWS = []\ndef pytest_sessionfinish(): write(ROWS)\n"
    (project.path / "conftest.py").write_text(conftest)
    project.write("test_it.py", "from conftest import ROWS\ndef test_a(): ROWS.append(1)\n")
    assert modes(project.json()) == {"shared"}
    (project.path / "conftest.py").write_text(conftest + "# changed\n")
    project.write("test_it.py", "from conftest import ROWS\ndef test_a(): assert not ROWS\n")
    assert modes(project.json()) == {ISOLATED}
