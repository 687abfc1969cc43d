"""Mutate-and-verify pairs: what one test changes in its process, the next one does not see.

For each state, three tests tell what they see and then change it: all must see the same; strict isolation, so that
no second opinion helps.
"""

from __future__ import annotations

import re

import pytest
from runner import HARMLESS_RULES, ISOLATED, Project

# name -> (set-up at import, an expression that is the state, a statement that changes it)
STATES = {
    "globals": ("value = 1", "value", "globals()['value'] = 2"),
    "mutable globals": ("values = []", "list(values)", "values.append(1)"),
    "class attributes": ("class C: x = 1", "C.x", "C.x = 2"),
    "builtins": ("import builtins", "builtins.len is len and hasattr(builtins, 'odd')", "builtins.odd = 1"),
    "default arguments": ("def f(a=[]): return a", "list(f())", "f().append(1)"),
    "a cached function": (
        "import functools\nseen = []\n@functools.lru_cache\ndef f(): return 1",
        "f.cache_info().currsize",
        "f()",
    ),
    "environment": (
        "import os",
        "os.environ.get('ODD'), 'HOME' in os.environ",
        "os.environ['ODD'] = 'x'; os.environ.pop('HOME', 0)",
    ),
    "C environment": ("import os, ctypes", "ctypes.CDLL(None).getenv(b'ODD_C')", "os.putenv('ODD_C', 'x')"),
    "working directory": ("import os", "os.getcwd()", "os.chdir('/')"),
    "sys.path": ("import sys", "list(sys.path)", "sys.path.insert(0, '/odd'); sys.path.pop()"),
    "sys.modules": (
        "import sys",
        "'wave' in sys.modules, 'json' in sys.modules",
        "import wave; sys.modules.pop('json', 0)",
    ),
    "module attributes": ("import json", "json.dumps(1)", "json.dumps = lambda _: 'odd'"),
    "meta path": ("import sys", "len(sys.meta_path)", "sys.meta_path.append(object())"),
    "sys.argv": ("import sys", "list(sys.argv)", "sys.argv.append('odd')"),
    "standard streams": ("import sys", "type(sys.stdin).__name__", "sys.stdin = 1"),
    "excepthook": ("import sys", "sys.excepthook is sys.__excepthook__", "sys.excepthook = print"),
    "recursion limit": ("import sys", "sys.getrecursionlimit()", "sys.setrecursionlimit(5000)"),
    "switch interval": ("import sys", "sys.getswitchinterval()", "sys.setswitchinterval(0.5)"),
    "trace function": ("import sys", "sys.getprofile()", "sys.setprofile(lambda *_: None)"),
    "warnings filters": ("import warnings", "len(warnings.filters)", "warnings.simplefilter('error', ImportWarning)"),
    "logging handlers": (
        "import logging",
        "len(logging.getLogger('odd').handlers)",
        "logging.getLogger('odd').addHandler(logging.NullHandler())",
    ),
    "logging level": (
        "import logging",
        "logging.getLogger().level, logging.root.manager.disable",
        "logging.getLogger().setLevel(1); logging.disable(50)",
    ),
    "signal handlers": (
        "import signal",
        "signal.getsignal(signal.SIGUSR1)",
        "signal.signal(signal.SIGUSR1, lambda *_: None)",
    ),
    "blocked signals": (
        "import signal",
        "signal.pthread_sigmask(0, [])",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
    ),
    "alarms": ("import signal", "signal.getitimer(signal.ITIMER_REAL)", "signal.alarm(1000)"),
    "umask": ("import os", "[os.umask(0o022)] and os.umask(0o022)", "os.umask(0o077)"),
    "resource limits": (
        "import resource",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))",
    ),
    "niceness": ("import os", "os.nice(0)", "os.nice(1)"),
    "affinity": ("import os", "os.sched_getaffinity(0)", "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"),
    "open descriptors": (
        "import os",
        "len(os.listdir('/proc/self/fd'))",
        "os.open('/dev/null', os.O_RDONLY); os.pipe()",
    ),
    "a descriptor's offset": ("file = open(__file__, 'rb', buffering=0)", "file.tell()", "file.read(3)"),
    "a closed file": ("file = open(__file__)", "file.closed", "file.close()"),
    "threads": (
        "import threading, time",
        "threading.active_count()",
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    ),
    "children": (
        "import os, subprocess",
        "open(f'/proc/self/task/{os.getpid()}/children').read()",
        "subprocess.Popen(['sleep', '1000'])",
    ),
    "locale": (
        "import locale",
        "locale.setlocale(locale.LC_ALL)",
        "locale.setlocale(locale.LC_ALL, 'C.UTF-8' if 'UTF' not in locale.setlocale(locale.LC_ALL) else 'C')",
    ),
    "time zone": ("import os, time", "time.tzname, os.environ.get('TZ')", "os.environ['TZ'] = 'XYZ-3'; time.tzset()"),
    "garbage collector": ("import gc", "gc.isenabled(), gc.get_threshold()", "gc.disable(); gc.set_threshold(1, 2, 3)"),
    "decimal context": ("import decimal", "decimal.getcontext().prec", "decimal.getcontext().prec = 3"),
    "context variables": (
        "import contextvars\nvar = contextvars.ContextVar('odd', default=0)",
        "var.get()",
        "var.set(1)",
    ),
    "event loop policy": (
        "import asyncio",
        "asyncio.events._get_running_loop()",
        "asyncio.events._set_running_loop(object())",
    ),
    "codecs' errors": (
        "import codecs",
        "codecs.lookup_error('strict') is codecs.strict_errors",
        "codecs.register_error('strict', codecs.ignore_errors)",
    ),
    "random's state": (
        "import random",
        "isinstance(random.random(), float)",
        "random.seed(1); random.random = lambda: 1",
    ),
    "frozen clock": (
        "import time",
        "time.time() > 1e9, time.monotonic() >= 0",
        "time.time = lambda: 0; time.monotonic = lambda: -1; time.perf_counter = lambda: -1",
    ),
    "a mapping": (
        "import mmap\nmapping = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
        "mapping[0]",
        "mapping[0] = 1",
    ),
    "C memory": ("import ctypes\nbuffer = ctypes.create_string_buffer(8)", "buffer.raw", "ctypes.memset(buffer, 1, 8)"),
}


# What condemns a process that is rewound: under a wide fixture, the next test runs in it as pytest would run it.
CONDEMNING = {"threads", "children", "resource limits"}  # the last without CAP_SYS_RESOURCE


@pytest.mark.parametrize("under", ["alone", "wide"])
def test_pairs(project: Project, under: str) -> None:
    """One run for all states: each test tells what it saw in a file of its own, and all must have seen the same."""
    seen = project.path / "seen"
    seen.mkdir()
    project.write("tach.toml", HARMLESS_RULES)
    leave_out = CONDEMNING if under == "wide" and ISOLATED == "snapshot" else set()
    states = {name: state for name, state in STATES.items() if name not in leave_out}
    for number, (name, (before, state, change)) in enumerate(states.items()):
        if name == "locale":
            before += "\nlocale.setlocale(locale.LC_ALL, 'C')"
        wide = "\n@pytest.fixture(scope='module', autouse=True)\ndef wide(): return []\n" if under == "wide" else ""
        file = project.write(f"test_{number:02}_{re.sub('[^a-z]+', '_', name.lower())}.py")
        body = f"{change}\n" if "\n" not in change else change
        file.write_text(
            f"import pathlib, pytest\n{before}\n{wide}\nPRISTINE = []\n"
            f"def look(): return repr(({state}))\n"
            f"@pytest.mark.parametrize('number', range(3))\n"
            f"def test_pair(number):\n"
            f"    pathlib.Path({str(seen / name)!r} + str(number)).write_text(look())\n"
            f"    {body}"
            f"    assert look() is not None\n"
        )
    report = project.json("--strict-isolation", "-n", "2")
    assert [test for test in report.tests if test["outcome"] != "passed"] == []
    looks = {name: [(seen / f"{name}{number}").read_text() for number in range(3)] for name in states}
    assert {name: different for name, different in looks.items() if len(set(different)) > 1} == {}
    report.expect(0, passed=3 * len(states))
    assert {test["mode"] for test in report.tests} == {ISOLATED}


def test_atexit_callbacks_of_a_test_run_once(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import atexit

        def note(text):
            with open("log", "a") as file: file.write(text + "\\n")

        atexit.register(note, "import")
        def test_a(): atexit.register(note, "test a")
        def test_b(): pass
        """,
    )
    project.tach("-n", "2").expect(0, passed=2)
    assert sorted(project.log()) == ["import", "test a"]


def test_a_thousand_leaked_descriptors(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os
        import pytest
        kept = []

        @pytest.mark.parametrize("number", range(1000))
        def test_it(number):
            assert len(os.listdir("/proc/self/fd")) < 80
            kept.append(os.open("/dev/null", os.O_RDONLY))
        """,
    )
    project.tach("--strict-isolation").expect(0, passed=1000)


def test_a_pending_alarm_does_not_hit_the_next_test(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import signal, time

        def test_sets(): signal.setitimer(signal.ITIMER_REAL, 0.05)
        def test_next(): time.sleep(0.2)
        """,
    )
    project.tach("-n", "1", "--strict-isolation").expect(0, passed=2)


def test_a_frozen_clock_skews_no_duration(project: Project) -> None:
    project.write(
        "test_it.py", "import time\ndef test_a(): time.time = time.perf_counter = lambda: 1e12\ndef test_b(): pass\n"
    )
    report = project.json().expect(0, passed=2)
    assert all(test["duration_s"] < 60 for test in report.tests)


def test_shared_mode_isolates_nothing(project: Project) -> None:
    """The counter-proof: under pytest's own rules the second test sees what the first one did."""
    project.write("test_it.py", "seen = []\ndef test_a(): seen.append(1)\ndef test_b(): assert seen == [1]\n")
    project.tach("--mode", "shared").expect(0, passed=2)
    project.tach("--strict-isolation").expect(1, passed=1, failed=1)


@pytest.mark.parametrize("mode", ["isolated", "fork", "shared"])
def test_a_test_can_recurse_as_deep_as_under_pytest(project: Project, mode: str) -> None:
    project.write(
        "test_it.py",
        """
        import sys
        import pytest

        @pytest.fixture(scope="module")
        def wide(): return 1

        def depth():
            count = 0
            def deeper():
                nonlocal count
                count += 1
                deeper()
            with pytest.raises(RecursionError):
                deeper()
            return count

        def note(name):
            with open("depths", "a") as file:
                print(name, depth(), sys.getrecursionlimit(), file=file)

        def test_alone(): note("alone")
        def test_wide(wide): note("wide")
        def test_raised():
            sys.setrecursionlimit(1500)
            note("raised")
        def test_what_is_refused():
            for wrong in (0, -5, 1 << 31, "many", 1.5):
                with pytest.raises((ValueError, OverflowError, TypeError)):
                    sys.setrecursionlimit(wrong)
            assert repr(sys.getrecursionlimit) == "<built-in function getrecursionlimit>"
        """,
    )
    depths = []
    for run in (project.pytest, lambda *words: project.tach("--mode", mode, *words)):
        run().expect(0, passed=4)
        lines = (project / "depths").read_text().splitlines()
        (project / "depths").unlink()
        depths.append({name: (int(count), int(limit)) for name, count, limit in (line.split() for line in lines)})
    under_pytest, ours = depths
    for name, (count, limit) in under_pytest.items():
        assert ours[name][1] == limit
        # `python -m pytest` has two frames more than the script.
        assert count <= ours[name][0] <= count + 6
