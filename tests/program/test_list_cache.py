"""--list shows the ids again without an interpreter, as long as nothing has changed that they depend on."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runner import Project, Result, temporary_mode

SUITE = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_it(number):
    pass
"""
SAME = "tach: nothing that the ids depend on has changed since they were last listed"
NOT_KEPT = "tach: the ids are not remembered for the next --list: "


class Suite(Project):
    """A project whose interpreter writes a line whenever it is started."""

    def __init__(self, path: Path, log: Path) -> None:
        super().__init__(path, str(log.with_suffix(".sh")))
        self.starts_log = log
        Path(self.python).write_text(f'#!/bin/sh\necho started >> {log}\nexec {sys.executable} "$@"\n')
        Path(self.python).chmod(0o755)

    @property
    def starts(self) -> int:
        return len(self.starts_log.read_text().splitlines()) if self.starts_log.exists() else 0

    def listing(self, *words: str, env: dict[str, str] | None = None) -> tuple[Result, bool]:
        """The result, and whether an interpreter was started for it."""
        before = self.starts
        result = self.tach("--list", "-v", *words, env=env)
        return result, self.starts > before

    def ids(self, *words: str, env: dict[str, str] | None = None) -> list[str]:
        listed, _ = self.listing(*words, env=env)
        return [line for line in listed.lines if "::" in line]

    def theirs(self, *words: str, env: dict[str, str] | None = None) -> list[str]:
        result = Project(self.path).pytest("--collect-only", "-q", *words, env=env)
        return [line for line in result.lines if "::" in line]

    def expect_again(self, *words: str, env: dict[str, str] | None = None) -> Result:
        """Listed once with an interpreter and once without; the same."""
        first, started = self.listing(*words, env=env)
        assert started and first.code == 0 and first.err == "", str(first)
        again, started = self.listing(*words, env=env)
        assert not started and again.code == 0, str(again)
        assert again.out == first.out
        assert again.err.splitlines() == [SAME]
        return again

    def expect_afresh(self, *words: str, env: dict[str, str] | None = None) -> None:
        """Listed with an interpreter, and as pytest does."""
        theirs = self.theirs(*words, env=env)
        listed, started = self.listing(*words, env=env)
        assert started, str(listed)
        assert [line for line in listed.lines if "::" in line] == theirs

    def expect_not_kept(self, why: str) -> None:
        for _ in range(2):
            listed, started = self.listing()
            assert started and listed.code == 0, str(listed)
            assert listed.err.startswith(NOT_KEPT), str(listed)
            assert why in listed.err


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "project").mkdir()
    suite = Suite(tmp_path / "project", tmp_path / "starts")
    suite.write("pytest.ini", "[pytest]\n")
    suite.write("test_it.py", SUITE)
    return suite


def test_the_second_list_starts_no_interpreter(suite: Suite) -> None:
    result = suite.expect_again()
    assert [line for line in result.lines if "::" in line] == suite.theirs()
    # Also where pytest has compiled and cached what it can.
    suite.tach().expect(0, passed=2)
    assert suite.ids() == suite.theirs()


def test_nothing_is_said_without_v(suite: Suite) -> None:
    first = suite.tach("--list").expect(0)
    again = suite.tach("--list").expect(0)
    assert suite.starts == 1
    assert (again.out, again.err) == (first.out, "")


def test_each_command_line_has_its_own(suite: Suite) -> None:
    suite.expect_again()
    suite.expect_again("-k", "1")
    _, started = suite.listing()
    assert not started
    assert suite.ids("-k", "1") == ["test_it.py::test_it[1]"]


def test_in_a_terminal(suite: Suite) -> None:
    outputs = [suite.terminal("--list").expect(0).out for _ in range(2)]
    assert outputs[0] == outputs[1] and "test_it.py::test_it[1]" in outputs[0]
    assert suite.starts == 1
    suite.tach("--list").expect(0)
    assert suite.starts == 2


def test_from_a_directory_below_the_root(suite: Suite) -> None:
    suite.write("below/test_more.py", "def test_more(): pass\n")
    for _ in range(2):
        listed = suite.tach("--list", cwd=suite / "below").expect(0)
        assert "below/test_more.py::test_more" in listed.lines
    assert suite.starts == 1
    assert not (suite / "below" / ".tach").exists()


def test_a_root_below_the_directory(suite: Suite) -> None:
    for _ in range(2):
        suite.tach("--list", "project/test_it.py", cwd=suite.path.parent).expect(0)
    assert suite.starts == 1


# --- what changes the ids -----------------------------------------------------------------------------------------


def edit(suite: Suite) -> None:
    suite.write("test_it.py", SUITE + "\ndef test_new(): pass\n")


def edit_in_secret(suite: Suite) -> None:
    """Neither size nor modification time tell of it."""
    file = suite / "test_it.py"
    before = file.stat()
    file.write_text(file.read_text().replace("[1, 2]", "[3, 4]"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    # pytest goes by these two, too, in what it has compiled.
    for compiled in (suite / "__pycache__").iterdir():
        compiled.unlink()


def another_file(suite: Suite) -> None:
    suite.write("test_other.py", "def test_other(): pass\n")


def another_file_below(suite: Suite) -> None:
    suite.write("below/deeper/test_other.py", "def test_other(): pass\n")


def a_file_less(suite: Suite) -> None:
    (suite / "below" / "test_below.py").unlink()


def a_conftest(suite: Suite) -> None:
    suite.write("conftest.py", "collect_ignore = ['below']\n")


def an_ini(suite: Suite) -> None:
    suite.write("pytest.ini", "[pytest]\npython_functions = test_b*\n")


def addopts(suite: Suite) -> None:
    suite.write("pytest.ini", "[pytest]\naddopts = --deselect test_it.py::test_it[1]\n")


def an_ini_that_goes_before(suite: Suite) -> None:
    suite.write(".pytest.ini", "[pytest]\npython_functions = test_b*\n")
    (suite / "pytest.ini").unlink()


def a_doctest(suite: Suite) -> None:
    suite.write("test_text.txt", ">>> 1\n1\n")


def a_helper(suite: Suite) -> None:
    suite.write("below/numbers_of_it.py", "NUMBERS = [7, 8, 9]\n")


@pytest.mark.parametrize(
    "change",
    [
        edit,
        edit_in_secret,
        another_file,
        another_file_below,
        a_file_less,
        a_conftest,
        an_ini,
        addopts,
        an_ini_that_goes_before,
        a_doctest,
        a_helper,
    ],
)
def test_a_change_of_the_project(suite: Suite, change: Callable[[Suite], None]) -> None:
    suite.write("below/numbers_of_it.py", "NUMBERS = [5, 6]\n")
    suite.write(
        "below/test_below.py",
        "import numbers_of_it, pytest\n@pytest.mark.parametrize('n', numbers_of_it.NUMBERS)\ndef test_below(n): pass\n",
    )
    suite.expect_again()
    before = suite.ids()
    change(suite)
    suite.expect_afresh()
    assert suite.ids() != before


def test_what_looks_changed_and_is_not(suite: Suite) -> None:
    suite.expect_again()
    content = (suite / "test_it.py").read_text()
    (suite / "test_it.py").unlink()
    (suite / "test_it.py").write_text(content)
    os.utime(suite / "pytest.ini")
    suite.write("notes.txt").unlink()
    _, started = suite.listing()
    assert not started


@pytest.mark.parametrize(
    ("way", "before", "after"),
    [
        ("json.load(open(HERE / 'data.json'))", "[1]", "[1, 2]"),
        ("json.loads((HERE / 'data.json').read_text())", "[1]", "[2]"),
        ("sorted(p.name for p in HERE.iterdir() if p.suffix == '.case')", None, "a.case"),
        ("sorted(p.name for p in HERE.glob('*.case'))", None, "a.case"),
        ("sorted(os.listdir(HERE / 'cases'))", None, "cases/new"),
        ("['with', 'flag'] if (HERE / 'flag').exists() else ['without']", None, "flag"),
        ("['with', 'flag'] if os.path.isfile('flag') else ['without']", None, "flag"),
        ("['with', 'flag'] if os.access('flag', os.F_OK) else ['without']", None, "flag"),
    ],
)
def test_a_file_that_is_looked_at_on_import(suite: Suite, way: str, before: str | None, after: str) -> None:
    (suite / "cases").mkdir()
    if before is not None:
        suite.write("data.json", before)
    suite.write("cases/old")
    suite.write("old.case")
    suite.write(
        "test_data.py",
        "import json, os, pathlib, pytest\nHERE = pathlib.Path(__file__).parent\n"
        f"@pytest.mark.parametrize('case', {way})\ndef test_data(case): pass\n",
    )
    suite.expect_again()
    shown = suite.ids()
    suite.write("data.json" if before is not None else after, after)
    suite.expect_afresh()
    assert suite.ids() != shown


def test_the_environment(suite: Suite) -> None:
    suite.write(
        "test_env.py",
        "import os, pytest\n@pytest.mark.parametrize('n', os.environ.get('CASES', 'a').split())\ndef test_env(n): pass\n",
    )
    suite.expect_again()
    suite.expect_afresh(env={"CASES": "b c"})
    suite.expect_afresh(env={"PYTEST_ADDOPTS": "-k env"})
    suite.expect_afresh(env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    _, started = suite.listing(env={"SHLVL": "7", "SSH_TTY": "/dev/pts/1"})
    assert not started


def test_another_interpreter(suite: Suite) -> None:
    suite.expect_again()
    suite.python = sys.executable
    listed, started = suite.listing()
    assert not started and listed.err == "", str(listed)  # an interpreter that keeps no log


def test_a_changed_interpreter(suite: Suite) -> None:
    suite.expect_again()
    Path(suite.python).write_text(Path(suite.python).read_text().replace("started", "started anew"))
    _, started = suite.listing()
    assert started


@pytest.fixture
def site_packages(suite: Suite, tmp_path: Path) -> Iterator[Path]:
    """A directory of installed packages beside the interpreter's own, as --user is."""
    base = tmp_path / "user"
    directory = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(base)}))
    directory.mkdir(parents=True)
    Path(suite.python).write_text(
        Path(suite.python).read_text().replace("exec ", f"PYTHONUSERBASE={base} PYTHONPATH={directory} exec ")
    )
    yield directory


def test_another_plugin_is_installed(suite: Suite, site_packages: Path) -> None:
    suite.expect_again()
    (site_packages / "naming.py").write_text("def pytest_make_parametrize_id(val): return f'number {val}'\n")
    metadata = site_packages / "naming-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: naming\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\nnaming = naming\n")
    listed, started = suite.listing()
    assert started and "test_it.py::test_it[number 1]" in listed.lines, str(listed)
    suite.expect_again("--no-header")
    (metadata / "entry_points.txt").write_text("[other]\nnaming = naming\n")
    listed, started = suite.listing("--no-header")
    assert started and "test_it.py::test_it[1]" in listed.lines, str(listed)


def test_an_installed_plugin_is_edited(suite: Suite, site_packages: Path) -> None:
    (site_packages / "naming.py").write_text("def pytest_make_parametrize_id(val): return f'number {val}'\n")
    suite.expect_again("-p", "naming")
    (site_packages / "naming.py").write_text("def pytest_make_parametrize_id(val): return f'numeral {val}'\n")
    listed, started = suite.listing("-p", "naming")
    assert started and "test_it.py::test_it[numeral 1]" in listed.lines, str(listed)


# --- what cannot be compared later ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("import subprocess\nsubprocess.run(['true'])", "asks a program (subprocess.Popen)"),
        ("import os\nos.system('true')", "asks a program (os.system)"),
        ("import socket\nsocket.socket(socket.AF_UNIX).connect_ex('/nowhere')", "asks the network (socket.connect)"),
        ("import random\nCASES = [random.random()]", "random numbers"),
        ("import datetime\nTODAY = datetime.date.today()", "asks for the time or for chance (today)"),
        ("import time\nclass Cases: start = time.time()", "asks for the time or for chance (time.time)"),
        ("from uuid import uuid4\nCASES = [uuid4() for _ in range(1)]", "asks for the time or for chance (uuid4)"),
        ("open('written', 'w').close()", "writes "),
        ("import os\nos.makedirs('made', exist_ok=True)", "changes "),
        ("print(open('/proc/uptime').read())", "reads /proc/uptime"),
    ],
)
def test_a_listing_that_is_not_kept(suite: Suite, content: str, why: str) -> None:
    suite.write("test_more.py", content + "\ndef test_more(): pass\n")
    suite.expect_not_kept(why)


def test_a_plugin_that_prints(suite: Suite) -> None:
    suite.write("conftest.py", "def pytest_sessionstart(): print('hello')\n")
    suite.expect_not_kept("something else than pytest's own reporter prints")


def test_a_warning_is_shown_again(suite: Suite) -> None:
    suite.write("test_more.py", "import warnings\nwarnings.warn('look here')\ndef test_more(): pass\n")
    assert "look here" in suite.expect_again().out


def test_a_warning_of_the_compiler(suite: Suite) -> None:
    """pytest gives it once, as long as what was compiled is cached."""
    suite.write("test_more.py", "def test_more(): return 1 is 1\n")
    first, _ = suite.listing()
    assert "SyntaxWarning" in first.out and NOT_KEPT in first.err
    assert "SyntaxWarning" not in suite.expect_again().out


@pytest.mark.parametrize("content", ["import nowhere\n", "def broken(:\n"], ids=["import", "syntax"])
def test_errors_are_found_again(suite: Suite, content: str) -> None:
    suite.write("test_broken.py", content)
    for _ in range(2):
        listed, started = suite.listing()
        assert started and listed.code == suite.pytest("--collect-only", "-q").code != 0
    suite.write("test_broken.py", "def test_mended(): pass\n")
    listed, _ = suite.listing()
    assert "/lastfailed" in listed.err  # which said that the file is broken
    suite.expect_again()


def test_last_failed(suite: Suite) -> None:
    """What pytest's own cache says is a file as any other."""
    suite.write("test_it.py", "import os\ndef test_a(): assert 'FAIL' not in os.environ\ndef test_b(): pass\n")
    suite.tach(env={"FAIL": "1"}).expect(1)
    assert suite.ids("--lf") == suite.ids("--lf") == ["test_it.py::test_a"]
    suite.tach().expect(0)
    assert suite.ids("--lf") == ["test_it.py::test_a", "test_it.py::test_b"] == suite.theirs("--lf")


def test_json_is_no_listing(suite: Suite) -> None:
    for _ in range(2):
        suite.json("--list").expect(0)
    assert suite.starts == 2


# --- the file --------------------------------------------------------------------------------------------------------


def kept(suite: Suite) -> Path:
    (file,) = (suite / ".tach" / "list").iterdir()
    return file


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"test_it[1]", b"test_it[9]"),
        lambda content: b"\xff\x00" * 1000,
        lambda content: content + b"more\n",
    ],
    ids=["empty", "cut", "changed", "binary", "longer"],
)
def test_a_damaged_file(suite: Suite, damage: Callable[[bytes], bytes]) -> None:
    suite.expect_again()
    kept(suite).write_bytes(damage(kept(suite).read_bytes()))
    suite.expect_afresh()
    _, started = suite.listing()
    assert not started


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(suite: Suite) -> None:
    with temporary_mode(suite.path, 0o555):
        suite.expect_not_kept("Permission denied")


def test_no_room_for_it(suite: Suite) -> None:
    suite.write(".tach", "a file, where a directory is wanted\n")
    suite.expect_not_kept("/.tach")


def test_old_ones_are_thrown_away(suite: Suite) -> None:
    suite.write(".tach/list/old")
    for number in range(40):
        os.utime(suite.write(f".tach/list/{number:032x}"), (number, number))
    suite.expect_again()
    assert len(list((suite / ".tach" / "list").iterdir())) == 32
    _, started = suite.listing()
    assert not started
