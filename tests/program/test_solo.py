"""Sessions that run in one process: --mode shared, threads after import; a crash there costs one test."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project


def test_mode_shared_is_plain_pytest(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os\npid = []\ndef test_a(): pid.append(os.getpid())\ndef test_b(): assert pid == [os.getpid()]\n",
    )
    report = project.json("--mode", "shared", "-n", "4").expect(0, passed=2)
    assert set(report.modes.values()) == {"shared"}
    assert report.data["workers"] == 1


def test_mode_shared_says_nothing_about_isolation(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.tach("--mode", "shared").expect(0, passed=1)
    assert "isolated" not in result.out


def test_a_crash_in_shared_mode_goes_on_with_the_rest(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(10))
        def test_it(number):
            with open("log", "a") as file: file.write(f"{number}\\n")
            if number in (3, 6): os.abort()
            assert number != 8
        """,
    )
    result = project.tach("--mode", "shared").expect(1, passed=7, failed=1, crashed=2)
    assert project.log() == [str(number) for number in range(10)]
    assert "CRASHED test_it.py::test_it[3] - " in result.out
    assert result.out.count("test session starts") == 1


def test_several_crashes_in_a_row_in_shared_mode(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os, pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_it(n):\n    if n < 5: os.abort()\n",
    )
    project.tach("--mode", "shared").expect(1, passed=1, crashed=5)


def test_a_thread_at_import_names_the_module(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write(
        "background.py",
        "import threading, time\ndef work(): time.sleep(1000)\nthreading.Thread(target=work, daemon=True).start()\n",
    )
    project.write("test_it.py", "import background\ndef test_a(): pass\ndef test_b(): pass\n")
    result = project.tach().expect(0, passed=2)
    said = [line for line in result.lines if line.startswith("tach: no test is isolated")]
    assert len(said) == 1
    assert "module background started thread" in said[0]
    assert "modes: 2 shared" in result.out


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("import subprocess; child = subprocess.Popen(['sleep', '1000'])", "child"),
        ("import socket; connection = socket.socketpair()", "socket"),
        ("import os; ends = os.pipe()", "pipe"),
        ("import mmap; memory = mmap.mmap(-1, 4096)", "shared memory"),
        ("import multiprocessing; number = multiprocessing.Value('i', 0)", "shared memory"),
        ("import select; poll = select.epoll()", "descriptor"),
    ],
    ids=["child", "socket", "pipe", "shared memory", "a number of processes", "epoll"],
)
def test_other_things_left_at_import(project: Project, statement: str, word: str) -> None:
    project.write("test_it.py", f"{statement}\ndef test_a(): pass\n")
    result = project.tach().expect(0, passed=1)
    said = [line for line in result.lines if line.startswith("tach: no test is isolated")]
    assert len(said) == 1
    assert word in said[0]


def test_a_lock_for_processes_is_no_reason(project: Project) -> None:
    project.write(
        "test_it.py",
        "import multiprocessing\nlock = multiprocessing.Lock()\ndef test_a():\n    with lock: pass\ntest_b = test_a\n",
    )
    assert set(project.json().expect(0, passed=2).modes.values()) == {ISOLATED}


def test_a_thread_that_ended_is_no_reason(project: Project) -> None:
    project.write(
        "test_it.py", "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\ndef test_a(): pass\n"
    )
    assert project.json().expect(0, passed=1).modes == {"test_a": "fork"}  # by the sources, which do not see it end
    assert project.json().expect(0, passed=1).modes == {"test_a": ISOLATED}


def test_a_thread_with_a_crash(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, threading, time
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        def test_a(): pass
        def test_dies(): os.abort()
        def test_b(): pass
        """,
    )
    project.tach().expect(1, passed=2, crashed=1)


def test_exitfirst_and_lastfailed_in_shared_mode(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): assert False\ndef test_c(): pass\n")
    project.tach("--mode", "shared", "-x").expect(1, passed=1, failed=1)
    assert list(project.json("--mode", "shared", "--lf").expect(1).outcomes) == ["test_b"]


@pytest.mark.parametrize("option", ["--setup-show", "--setup-plan", "--setup-only", "--fixtures", "--markers"])
def test_options_that_show_an_order(project: Project, option: str) -> None:
    project.write("conftest.py", "import pytest\n@pytest.fixture\ndef thing():\n    '''A thing.'''\n")
    project.write("test_it.py", "def test_a(thing): pass\n")
    theirs, ours = project.pytest(option), project.tach(option)
    assert ours.code == theirs.code == 0
    wanted = [line for line in theirs.lines if "thing" in line]
    assert [line for line in ours.lines if "thing" in line] == wanted
