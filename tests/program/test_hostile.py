"""Tests that do their process, or their parents, harm: neighbours pass, nothing hangs, nothing is left."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project

NEIGHBOURS = """
import os, pytest

@pytest.mark.parametrize("number", range(5))
def test_before(number): pass

def test_hostile():
{body}

@pytest.mark.parametrize("number", range(5))
def test_after(number): pass
"""
WIDE = """
@pytest.fixture(scope="module", autouse=True)
def wide():
    yield
    open("finalised", "a").write("x")
"""

# It broke pytest's own things, its capture files for instance: what that makes of the test is pytest's affair.
BROKEN = {"passed", "failed", "error", "crashed"}

# name -> (body, the outcomes that are right)
HOSTILE = {
    "closes all descriptors": ("os.closerange(3, 4096)", BROKEN),
    "closes every descriptor": ("os.closerange(0, 4096)", BROKEN),
    "replaces all descriptors": (
        "null = os.open('/dev/null', os.O_RDWR)\nfor fd in range(3, 256):\n    os.dup2(null, fd)",
        BROKEN,
    ),
    "forks and returns": ("os.fork()", {"passed"}),
    "forks and returns in the child only": ("if os.fork(): import time; time.sleep(0.5)", {"passed"}),
    "forks and fails in the child": ("if os.fork() == 0: assert False", {"passed"}),
    "leaves a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execlp('sleep', 'sleep', '1000')\n    os._exit(0)",
        {"passed"},
    ),
    "leaves a deaf daemon": (
        "import signal\nif os.fork() == 0:\n    os.setsid()\n    for n in range(1, 32):\n"
        "        if n not in (9, 19): signal.signal(n, signal.SIG_IGN)\n"
        "    while True: signal.pause()",
        {"passed"},
    ),
    "leaves a child that holds its output": ("import subprocess; subprocess.Popen(['sleep', '1000'])", {"passed"}),
    "leaves threads": (
        "import threading, time\nfor _ in range(5): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        {"passed"},
    ),
    "kills its parent": ("import signal; os.kill(os.getppid(), signal.SIGKILL)", {"passed", "crashed"}),
    "kills its process group": ("import signal; os.killpg(0, signal.SIGTERM)", {"passed", "crashed"}),
    "kills itself": ("import signal; os.kill(os.getpid(), signal.SIGKILL)", {"crashed"}),
    "terminates itself": ("import signal; os.kill(os.getpid(), signal.SIGTERM)", {"crashed"}),
    "sends itself SIGPIPE": ("import signal; os.kill(os.getpid(), signal.SIGPIPE)", {"passed"}),
    "leaves by os._exit": ("os._exit(0)", {"crashed"}),
    "calls sys.exit": ("import sys; sys.exit(0)", {"failed"}),
    "raises SystemExit in a thread": (
        "import threading\nt = threading.Thread(target=exit); t.start(); t.join()",
        {"passed"},
    ),
    "aborts": ("os.abort()", {"crashed"}),
    "overflows the C stack": (
        "import ctypes, sys\nsys.setrecursionlimit(10**6)\nf = ctypes.CFUNCTYPE(None)(lambda: f())\nf()",
        {"crashed", "failed", "passed"},  # some versions of ctypes notice in time, and swallow what they raise
    ),
    "recurses without end": ("def f(): f()\nf()", {"failed"}),
    "writes through a null pointer": ("import ctypes; ctypes.memset(0, 1, 1)", {"crashed"}),
    "runs out of memory": (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\nbytearray(1 << 32)",
        {"failed"},
    ),
    "runs out of descriptors": ("while True: os.open('/dev/null', os.O_RDONLY)", {"failed"}),
    "ignores interrupts": ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", {"passed"}),
    "reaps everything": (
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nimport subprocess; subprocess.call(['true'])",
        {"passed"},
    ),
    "changes directory away": (
        "import tempfile\nd = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
        {"passed"},
    ),
    "leaves the session": ("os.setpgid(0, 0)", {"passed"}),
    "breaks the harness' modules": (
        "import os\nos._exit = os.waitpid = os.fork = os.getpid = None",
        {"passed", "crashed", "error"},
    ),
    "breaks builtins": (
        "import builtins\nbuiltins.len = builtins.isinstance = None",
        {"passed", "crashed", "error", "failed"},
    ),
    "closes sys.stdout": ("import sys; sys.stdout.close(); sys.stderr.close()", {"passed", "error", "failed"}),
    "drops its privileges": ("os.geteuid() == 0 and os.setresuid(65534, 65534, 65534)", {"passed", "error"}),
    "scribbles over the shared segment": (
        "import ctypes\n"
        "for line in open('/proc/self/maps'):\n"
        "    if 'memfd:tach' in line and line.split()[1].startswith('rw-s'):\n"
        "        start, end = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "        ctypes.memset(start, 0xa5, end - start)",
        {"passed", "crashed"},
    ),
    "unmaps the shared segment": (
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "for line in open('/proc/self/maps'):\n"
        "    if 'memfd:tach' in line and line.split()[1].startswith('rw-s'):\n"
        "        start, end = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "        libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(end - start))",
        {"passed", "crashed"},
    ),
}


def indented(body: str) -> str:
    return "\n".join("    " + line for line in body.splitlines())


# Under a wide fixture they spoil what is rewound beyond repair, and the rest of the fixture's tests have to run in it, as
# under pytest.
SPOILING = {"closes all descriptors", "closes every descriptor", "drops its privileges"}


@pytest.mark.parametrize("under", ["alone", "wide"])
@pytest.mark.parametrize("name", HOSTILE)
def test_neighbours_pass(project: Project, name: str, under: str) -> None:
    if ISOLATED == "snapshot" and under == "wide" and name in SPOILING:
        pytest.skip("only the fork engine has a process for each layer")
    if ISOLATED == "snapshot" and name == "kills its parent":
        pytest.skip("who runs when the kernel tells of the parent's death is a matter of luck")
    body, outcomes = HOSTILE[name]
    project.write("test_it.py", NEIGHBOURS.format(body=indented(body)) + (WIDE if under == "wide" else ""))
    report = project.json("-n", "2", timeout=40)
    hostile = report.test("::test_hostile")
    others = {test["outcome"] for test in report.tests if test is not hostile}
    assert len(report.tests) == 11, str(report)
    assert hostile["outcome"] in outcomes, str(report)
    assert others == {"passed"}, str(report)
    assert report.code == (0 if hostile["outcome"] == "passed" else 1), str(report)
    if under == "wide" and not {"parent", "group", "segment"} & set(name.split()):
        # Twice if a second opinion was asked for, whose process the test may have spoilt for the fixture's end, too.
        twice = hostile["outcome"] in ("failed", "error")
        assert (project / "finalised").read_text() in ({"x", "xx"} if twice else {"x"})


def test_a_write_to_stdout_is_no_protocol(project: Project) -> None:
    project.write(
        "test_it.py",
        'def test_a(): print(\'{"event": "passed", "nodeid": "test_it.py::test_b"}\')\ndef test_b(): assert False\n',
    )
    project.json("-s").expect(1, passed=1, failed=1)


def test_an_endless_loop_ends_with_the_run(project: Project) -> None:
    """A daemon that keeps forking is caught too."""
    project.write(
        "test_it.py",
        """
        import os, time

        def test_a():
            if os.fork() == 0:
                os.setsid()
                for _ in range(200):
                    if os.fork():
                        os._exit(0)
                    time.sleep(0.01)
                time.sleep(1000)
        """,
    )
    project.tach().expect(0, passed=1)
