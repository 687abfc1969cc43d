"""Rewinding: hard cases, each between two looks at what it changes, with the oracle watching after every rewind."""

from __future__ import annotations

import os

import pytest
from runner import ENGINE, HARMLESS_RULES, Project, Report

# The same for all tests: on an older kernel, or where a container denies it, there is nothing to test here.
pytestmark = pytest.mark.usefixtures("engine")

SNAPSHOTS = ("--engine", "wp-async" if ENGINE == "fork" else ENGINE)
VERIFY = (*SNAPSHOTS, "--verify-snapshots", "--strict-isolation")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where this machine cannot rewind."""
    refused = Project(tmp_path_factory.mktemp("probe")).tach(*SNAPSHOTS)
    if refused.err.startswith(f"tach: engine {SNAPSHOTS[1]} ("):
        pytest.skip(refused.err)


LOG = """
def log(text):
    with open("log", "a") as file:
        print(text, file=file)
"""


# Each case comes twice a round, before and after each of its neighbours. TACH_TEST_ROUNDS=28 makes a thousand
# rewinds.
ROUNDS = int(os.environ.get("TACH_TEST_ROUNDS", "1"))


def verified(project: Project, passed: int, *words: str) -> Report:
    """Run, and assert that all passed, all were rewound and the oracle found nothing."""
    report = project.json(*VERIFY, *words, timeout=60 * ROUNDS).expect(0, passed=passed)
    assert "--verify-snapshots" not in report.err, str(report)
    assert set(report.modes.values()) == {"snapshot"}, str(report)
    return report


HARD_CASES = '''
import asyncio, builtins, contextvars, ctypes, decimal, faulthandler, functools, gc, importlib.util, locale, logging, mmap, multiprocessing, os, pathlib
import resource, signal, socket, subprocess, sys, sysconfig, threading, time, warnings
import pytest

page = 4096
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
golden_list = list(range(100_000))
golden_bytes = bytearray(300_000)
golden_map = mmap.mmap(-1, 256 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
golden_file = open(__file__)
address = ctypes.addressof(ctypes.c_char.from_buffer(golden_map))
context = decimal.getcontext().prec
variable = contextvars.ContextVar("variable", default=0)
kept = []

@functools.lru_cache
def cached(value): return value

class Counter:
    count = 0

def look():
    """All that the cases change, as it was."""
    assert len(golden_list) == 100_000 and len(golden_bytes) == 300_000 and not any(golden_bytes)
    assert golden_map[0] == 0 and golden_map[256 * page - 1] == 0
    golden_map[255 * page] = 0
    assert Counter.count == 0 and cached.cache_info().currsize == 0 and not kept
    assert threading.active_count() == 1 and os.listdir("/proc/self/task") == [str(os.getpid())]
    assert golden_file.tell() == 0 and golden_file.readline().startswith("ROUNDS")
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert os.getcwd() == os.path.dirname(__file__) and "ODD" not in os.environ and gc.isenabled()
    assert variable.get() == 0
    assert "VmLck:\\t       0 kB" in pathlib.Path("/proc/self/status").read_text()
    assert "json" in sys.modules and callable(open) and sys.gettrace() is None and decimal.getcontext().prec == context
    assert not any(type(handler) is logging.StreamHandler for handler in logging.getLogger().handlers)

def a_list_and_a_bytearray_grow():
    golden_list.extend(range(1_000_000))
    golden_bytes.extend(bytes(10_000_000))
    golden_bytes[5] = 1

def golden_pages_are_dropped():
    golden_map[0] = 1
    golden_map.madvise(mmap.MADV_DONTNEED)

def golden_pages_are_freed_lazily():
    golden_map[0] = 1
    golden_map.madvise(mmap.MADV_FREE)

def a_gigabyte_comes_and_goes():
    big = bytearray(1 << 30)
    big[::page] = b"x" * len(big[::page])

def the_heap_grows(): libc.sbrk(ctypes.c_ssize_t(10 << 20))

def a_new_extension_module():
    # By its path: what many tests import is imported beforehand.
    path = next(pathlib.Path(sysconfig.get_config_var("DESTSHARED")).glob("_lsprof.*"))
    assert str(path) not in pathlib.Path("/proc/self/maps").read_text()
    specification = importlib.util.spec_from_file_location("_lsprof", path)
    importlib.util.module_from_spec(specification)
    assert str(path) in pathlib.Path("/proc/self/maps").read_text()

def memory_is_unmapped(): libc.munmap(ctypes.c_void_p(address + page), ctypes.c_size_t(100 * page))

def memory_is_replaced():
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(256 * page))
    libc.mmap.restype = ctypes.c_void_p
    got = libc.mmap(ctypes.c_void_p(address), ctypes.c_size_t(256 * page), 3, 0x32, -1, ctypes.c_long(0))
    assert got == address
    golden_map[7] = 7

def memory_is_protected():
    golden_map[1] = 1
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(256 * page), 1) == 0

def memory_is_locked():
    assert libc.mlock(ctypes.c_void_p(address + 100 * page), ctypes.c_size_t(4 * page)) == 0

def code_is_patched():
    function = ctypes.cast(libc.sethostname, ctypes.c_void_p).value
    start = ctypes.c_void_p(function & ~(page - 1))
    assert libc.mprotect(start, ctypes.c_size_t(2 * page), 7) == 0
    ctypes.memset(function, 0xC3, 1)
    assert libc.mprotect(start, ctypes.c_size_t(2 * page), 5) == 0

def the_stack_grows():
    sys.setrecursionlimit(100_000)

    class Deep:
        inner = None
        def __repr__(self): return repr(self.inner)

    deep = Deep()
    for _ in range(2000):
        outer = Deep()
        outer.inner = deep
        deep = outer
    try:
        repr(deep)
    except RecursionError:
        pass
    kept.append(deep)

def things_are_left_behind():
    def generator():
        try:
            yield 1
        finally:
            kept.append("never")

    kept.extend([generator(), open(__file__), socket.socket(), asyncio.new_event_loop(), socket.socketpair()])
    next(kept[0])
    golden_file.read(100)

def an_alarm_is_pending():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0001)

def the_interpreters_state():
    os.chdir("/"); os.umask(0); os.environ["ODD"] = "1"; gc.disable(); sys.setrecursionlimit(5000)
    logging.getLogger().addHandler(logging.StreamHandler()); cached(1); Counter.count += 1
    sys.intern("odd string %d" % time.time_ns()); warnings.warn("odd"); locale.setlocale(locale.LC_ALL, "C")
    faulthandler.enable(); decimal.getcontext().prec = 3; del sys.modules["json"]
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    sys.settrace(lambda *_: None)
    builtins.open = None

def a_context_variable():
    variable.set(1)
    contextvars.copy_context().run(variable.set, 2)

def an_event_loop_and_its_threads():
    async def main():
        await asyncio.sleep(0.001)
        return await asyncio.gather(*(asyncio.to_thread(lambda: 1) for _ in range(3)))

    assert asyncio.run(main()) == [1, 1, 1]

def child_processes():
    subprocess.run(["true"], check=True)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]

def a_fork():
    if os.fork() == 0:
        os._exit(3)
    assert os.wait()[1] == 3 << 8

def an_unfinished_fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

import json

CASES = [value for name, value in list(globals().items()) if callable(value) and "_" in name and name not in
         ("golden_list",) and getattr(value, "__module__", None) == __name__]

@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [*CASES, *CASES[::-1]] * ROUNDS, ids=lambda case: case.__name__)
def test_case(case):
    look()
    case()
'''


@pytest.mark.parametrize("under", ["alone", "wide"])
def test_hard_cases(project: Project, under: str) -> None:
    wide = "\n@pytest.fixture(scope='module', autouse=True)\ndef wide(): return []\n" if under == "wide" else ""
    project.write("tach.toml", HARMLESS_RULES)
    project.write("test_it.py").write_text(f"ROUNDS = {ROUNDS}\n{HARD_CASES}{wide}")
    verified(project, 2 * 20 * ROUNDS, "-n", "2")


NATIVE_CASES = """
import functools
import greenlet
import numpy
import pandas
import pytest

golden = numpy.ones(500_000)
frame = pandas.DataFrame({"a": range(1000), "b": [n % 7 for n in range(1000)]})

def look():
    assert golden.shape == (500_000,) and golden.sum() == 500_000
    assert list(frame.columns) == ["a", "b"] and frame.a.sum() == 499_500

def an_array_is_freed_and_another_one_takes_its_place():
    global golden
    golden = None
    golden = numpy.zeros(500_000)

def an_array_is_changed(): golden[:] = 2

def a_frame_is_changed():
    frame["c"] = 1
    frame["a"] = 0

def grouping(): assert frame.groupby("b").a.sum().sum() == 499_500

def linear_algebra():
    square = numpy.random.rand(300, 300)
    assert (square @ numpy.linalg.inv(square)).shape == (300, 300)

def a_greenlet_is_left():
    global left
    left = greenlet.greenlet(lambda: greenlet.getcurrent().parent.switch(1))
    assert left.switch() == 1

CASES = [an_array_is_freed_and_another_one_takes_its_place, an_array_is_changed, a_frame_is_changed, grouping,
         linear_algebra, a_greenlet_is_left]

@pytest.mark.parametrize("case", [*CASES, *CASES[::-1]] * ROUNDS, ids=lambda case: case.__name__)
def test_case(case):
    look()
    case()
"""


def test_native_libraries(project: Project) -> None:
    project.write("test_it.py").write_text(f"ROUNDS = {ROUNDS}\n{NATIVE_CASES}")
    verified(project, 12 * ROUNDS, "-n", "1")


def test_a_thousand_rewinds_of_one_worker(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os
        import pytest
        seen = {}

        def measure():
            with open("/proc/self/maps") as maps, open("/proc/self/smaps_rollup") as rollup:
                dirty = next(line.split()[1] for line in rollup if line.startswith("Private_Dirty:"))
                return len(maps.readlines()), len(os.listdir("/proc/self/fd")), dirty

        @pytest.mark.parametrize("number", range(1100))
        def test_it(number):
            assert not seen
            seen.update({str(n): [n] * 10 for n in range(200)})
            if number in (100, 1000):
                with open("measured", "a") as file:
                    print(*measure(), file=file)
        """,
    )
    report = project.json(*SNAPSHOTS, "-n", "1", "--strict-isolation").expect(0, passed=1100)
    assert "fresh_processes" not in report.data["metrics"]
    early, late = ([int(n) for n in line.split()] for line in (project / "measured").read_text().splitlines())
    assert late[:2] == pytest.approx(early[:2], rel=0.01)
    # Each test writes to memory of its own item, which is then no longer shared with the zygote.
    assert late[2] - early[2] <= 900 * (12 if "cow" in SNAPSHOTS else 8)


ALLOCATING = """
import sys, threading
import pytest

golden = [object() for _ in range(300_000)]
places = [None] * 600_000


def fill():
    for place in range(600_000):
        places[place] = object()


def empty():
    for place in range(300_000):
        golden[place] = None


def descend(depth=300):
    # Before 3.11 the process' stack would grow.
    return depth and sys.version_info >= (3, 11) and descend(depth - 1)


def in_a_thread():
    worker = threading.Thread(target=lambda: [bytearray(50_000) for _ in range(20)])
    worker.start()
    worker.join()


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.parametrize("allocate", [
    fill,
    lambda: (descend(), fill()),
    empty,
    lambda: (empty(), fill()),
    MORE
])
def test_allocate(allocate, turn):
    assert None not in golden
    allocate()
"""


@pytest.mark.skipif(ENGINE == "missing", reason="with that engine the allocators are left as they are")
def test_ordinary_allocations_leave_the_mappings_as_they_are(project: Project) -> None:
    project.write("test_allocate.py", ALLOCATING.replace("MORE", ""))
    report = verified(project, 20, "-n1")
    assert report.data["metrics"]["map_repairs"] == 0


def test_a_test_sees_that_memory_is_given_back(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        def resident():
            with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096

        def test_it():
            before = resident()
            things = [bytes(400) for _ in range(300_000)]
            assert resident() - before > 100_000_000
            things = None
            assert resident() - before < 20_000_000
        """,
    )
    project.pytest().expect(0, passed=1)
    assert set(project.json(*SNAPSHOTS, "--strict-isolation").expect(0, passed=1).modes.values()) == {"snapshot"}


def test_allocations_beyond_what_is_reserved_are_put_back(project: Project) -> None:
    objects, buffers = "[object() for _ in range(6_000_000)]", "[bytearray(3_000_000) for _ in range(12)]"
    more = f"in_a_thread, lambda: {objects}, lambda: {buffers}, golden.clear"
    project.write("test_allocate.py", ALLOCATING.replace("MORE", more))
    report = verified(project, 40, "-n1")
    assert report.data["metrics"]["map_repairs"] > 0


def test_a_worn_out_process_is_replaced_between_runs(project: Project) -> None:
    project.write("tach.toml", "[snapshot]\nmax_resets = 7\n")
    project.write("helper.py", LOG)
    project.write(
        "test_it.py",
        """
        import pytest
        from helper import log

        @pytest.fixture(scope="session")
        def once():
            log("set up")
            yield []
            log("finalised")

        @pytest.fixture(scope="class")
        def wide(once): log("class")

        class TestWide:
            @pytest.mark.parametrize("number", range(20))
            def test_it(self, number, wide, once): once.append(number)

        @pytest.mark.parametrize("number", range(20))
        def test_it(number, once): assert once == []
        """,
    )
    report = project.json(*SNAPSHOTS, "-n", "1", "--strict-isolation").expect(0, passed=40)
    assert set(report.modes.values()) == {"snapshot"}
    assert report.data["metrics"]["fresh_processes"] >= 3
    assert sorted(project.log()) == ["class", "finalised", "set up"]


@pytest.mark.skipif(ENGINE == "missing", reason="that engine has copies of what was only read")
def test_a_worker_has_little_memory_of_its_own(project: Project) -> None:
    """Beyond what a forked test writes; what the zygote has imported is shared by all."""
    project.write(
        "test_it.py",
        """
        def test_it():
            with open("/proc/self/smaps_rollup") as file:
                fields = dict(line.split()[:2] for line in file if ":" in line)
            with open("memory", "a") as file:
                print(fields["Private_Dirty:"], fields["Rss:"], file=file)
        """,
    )
    project.json("--engine", "fork").expect(0, passed=1)
    project.json(*SNAPSHOTS).expect(0, passed=1)
    forked, rewound = ([int(n) for n in line.split()] for line in (project / "memory").read_text().splitlines())
    assert rewound[0] - forked[0] < 0.3 * forked[1]


def test_what_cannot_be_undone_has_a_note_and_harms_nobody(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import threading, time
        import pytest

        def test_before(): assert threading.active_count() == 1
        def test_leaks_a_thread(): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        def test_after(): assert threading.active_count() == 1
        """,
    )
    report = project.json(*SNAPSHOTS, "-n", "1", "--strict-isolation").expect(0, passed=3)
    assert report.test("::test_leaks_a_thread")["note"] == "it left a thread running: its process is replaced"
    assert report.test("::test_after")["note"] == ""
    assert report.data["metrics"]["condemned.it left a thread running"] == 1


def test_under_a_wide_fixture_the_rest_runs_shared_and_is_finalised(project: Project) -> None:
    project.write("helper.py", LOG)
    project.write(
        "test_it.py",
        """
        import threading, time
        import pytest
        from helper import log

        @pytest.fixture(scope="module")
        def wide():
            log("set up")
            yield []
            log("finalised")

        def test_before(wide): wide.append(1)
        def test_leaks_a_thread(wide):
            assert wide == []
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        def test_after(wide): assert threading.active_count() == 2
        """,
    )
    report = project.json(*SNAPSHOTS, "--strict-isolation").expect(0, passed=3)
    assert report.modes == {"test_before": "snapshot", "test_leaks_a_thread": "snapshot", "test_after": "shared"}
    assert project.log() == ["set up", "finalised"]


def test_exit_callbacks_of_a_test_run_once_and_those_of_a_fixture_at_its_end(project: Project) -> None:
    project.write("helper.py", LOG)
    project.write(
        "test_it.py",
        """
        import atexit
        import pytest
        from helper import log

        @pytest.fixture(scope="module")
        def wide(): atexit.register(log, "fixture")

        def test_a(wide): atexit.register(log, "a")
        def test_b(wide): log("b")
        def test_c(wide): atexit.register(log, "c")
        """,
    )
    verified(project, 3, "-n", "1")
    assert project.log() == ["a", "b", "c", "fixture"]


def test_what_must_be_random_stays_random(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, random, secrets, ssl, tempfile, uuid
        import pytest

        @pytest.mark.parametrize("number", range(10))
        def test_it(number):
            drawn = [uuid.uuid4().hex, secrets.token_hex(8), os.urandom(8).hex(), ssl.RAND_bytes(8).hex(),
                     random.random(), tempfile.mktemp()]
            with open("drawn", "a") as file:
                print(*drawn, sep="\\n", file=file)
        """,
    )
    project.json(*SNAPSHOTS, "-n", "1").expect(0, passed=10)
    drawn = (project / "drawn").read_text().splitlines()
    assert len(set(drawn)) == len(drawn) == 60


def test_an_unknown_engine_is_refused(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.tach("--engine", "no-such-engine")
    assert result.code == 4
    assert "no-such-engine" in result.err


def test_a_crash_is_told_with_its_last_words_and_its_stack(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os

        def test_before(): pass
        def test_dies():
            print("last words")
            os.abort()
        def test_after(): pass
        """,
    )
    report = project.json(*SNAPSHOTS, "-n", "1").expect(1, passed=2, crashed=1)
    crashed = report.test("::test_dies")
    assert "last words" in crashed["stdout"]
    assert "in test_dies" in crashed["longrepr"]
    assert set(report.modes.values()) == {"snapshot"}
