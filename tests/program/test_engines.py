"""Which engine is chosen, what doctor says of it, and how a container that denies userfaultfd is dealt with."""

from __future__ import annotations

import sys

import pytest
from runner import SUPERVISOR, Project, Result, Run, clean_environment

# Runs a command under a seccomp filter that denies one system call with EPERM, as a container's profile does.
DENYING = """
import ctypes, os, struct, sys
LOAD, EQUAL, RETURN, ALLOW, EPERM = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, int(sys.argv[1])), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))

class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]

libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(Filter(len(steps), ctypes.addressof(program))), 0, 0) == 0  # PR_SET_SECCOMP
os.execvp(sys.argv[2], sys.argv[2:])
"""
# x86-64's numbers
USERFAULTFD, PIDFD_OPEN = 323, 434


def denied(project: Project, call: int, *words: str) -> Result:
    command = [sys.executable, "-c", DENYING, str(call), str(SUPERVISOR), *words, "--python", project.python]
    return Run(command, project.path, clean_environment()).finish()


@pytest.fixture
def rewinds(project: Project) -> None:
    """Skip where this machine has no engine but fork."""
    if "engine wp-async       works" not in project.tach("doctor").out:
        pytest.skip("this machine cannot rewind by userfaultfd")


def test_doctor_tells_what_was_found_and_chosen(project: Project) -> None:
    result = project.tach("doctor")
    assert result.code == 0
    subjects = [line[:20].strip() for line in result.out.splitlines()]
    assert subjects[0] == "tach"
    assert subjects[-4:] == ["engine wp-async", "engine cow", "engine missing", "engine fork"]
    assert result.out.count("is chosen") == 1
    assert project.python in result.out


def test_a_directory_called_doctor_is_a_path(project: Project) -> None:
    project.write("doctor/test_it.py", "def test_a(): pass\n")
    project.write("test_other.py", "def test_b(): pass\n")
    project.tach("doctor").expect(0, passed=1)


@pytest.mark.usefixtures("rewinds")
def test_the_best_engine_is_the_default(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    assert "engine wp-async, modes: 1 snapshot" in project.tach("--engine", "auto").out


@pytest.mark.usefixtures("rewinds")
def test_where_userfaultfd_is_denied_cow_is_chosen(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest
        seen = []

        @pytest.fixture(scope="module")
        def wide(): return []

        @pytest.mark.parametrize("number", range(50))
        def test_it(number, wide):
            assert seen == wide == []
            seen.append(number)
            wide.append([0] * number)
        """,
    )
    result = denied(project, USERFAULTFD, "--strict-isolation").expect(0, passed=50)
    assert "engine cow, modes: 50 snapshot" in result.out
    doctor = denied(project, USERFAULTFD, "doctor").out
    assert "allow userfaultfd in the container's seccomp profile" in doctor
    assert "engine cow            works, is chosen" in doctor


@pytest.mark.usefixtures("rewinds")
def test_an_engine_that_was_asked_for_is_never_replaced(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = denied(project, USERFAULTFD, "--engine", "wp-async")
    assert result.code == 4
    assert result.err.startswith("tach: engine wp-async (command line): userfaultfd: Operation not permitted; ")
    assert result.err.count("\n") == 1


@pytest.mark.usefixtures("rewinds")
def test_cow_needs_a_process_for_the_image_and_says_so(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = denied(project, PIDFD_OPEN, "--engine", "cow")
    assert result.code == 4
    assert "engine cow (command line): the image of its memory cannot be made" in result.err


def test_missing_needs_rights_and_says_so(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = denied(project, USERFAULTFD, "--engine", "missing")
    assert result.code == 4
    assert result.err.startswith(
        "tach: engine missing (command line): userfaultfd: Operation not permitted; run as root"
    )
    assert result.err.count("\n") == 1


def test_snapshots_of_an_engine_that_has_none_cannot_be_verified(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.tach("--engine", "fork", "--verify-snapshots")
    assert result.code == 4
    assert "--verify-snapshots: engine fork (command line) has no snapshots; see tach-supervisor doctor" in result.err


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_nothing_is_said_to_be_verified_where_nothing_is_rewound(project: Project, mode: str) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.tach("--engine", "auto", "--mode", mode, "--verify-snapshots")
    assert result.code == 4
    assert result.err.startswith("tach: --verify-snapshots: ")


@pytest.mark.usefixtures("rewinds")
@pytest.mark.parametrize("engine", ["wp-async", "cow"])
def test_the_death_of_the_image_costs_a_process_and_no_verdict(project: Project, engine: str) -> None:
    project.write(
        "test_it.py",
        """
        import os, pathlib, signal

        def test_before(): pass
        def test_kills_it():
            for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
                fields = status.read_text().split()
                if fields[1] == "(tach-image)" and int(fields[3]) == os.getppid():
                    os.kill(int(fields[0]), signal.SIGKILL)
                    while status.exists() and status.read_text().split()[2] != "Z":
                        pass
        def test_after(): pass
        """,
    )
    report = project.json("--engine", engine, "-n", "1").expect(0, passed=3)
    assert report.test("::test_kills_it")["note"] == "the image of its memory is gone: its process is replaced"


@pytest.mark.usefixtures("rewinds")
def test_a_process_that_falls_apart_while_it_is_rewound_costs_no_verdict(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os

        def test_before(): pass
        def test_replaces_it():
            for number in map(int, os.listdir("/proc/self/fd")):
                try:
                    place = os.readlink(f"/proc/self/fd/{number}")
                except OSError:
                    continue
                if place.endswith("/mem") and place not in (f"/proc/{os.getpid()}/mem", "/proc/self/mem"):
                    other = os.memfd_create("other")
                    os.ftruncate(other, 0x300000000000)  # nothing but what tells that the image is alive
                    os.dup2(other, number)
        def test_after(): pass
        """,
    )
    report = project.json("-n", "1").expect(0, passed=3)
    assert report.test("::test_replaces_it")["note"] == "its memory could not be restored: its process is replaced"
    assert "tach: a worker could not be rewound and is replaced: the image of its memory is gone" in report.err


@pytest.mark.usefixtures("rewinds")
def test_a_worker_that_cannot_be_rewound_forks_and_says_so(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import ctypes
        mmap = ctypes.CDLL(None).mmap
        mmap.restype = ctypes.c_void_p
        private, anonymous, fixed = 0x02, 0x20, 0x10
        home = ctypes.c_void_p(0x200000000000)  # see zygote/private_memory.h
        assert mmap(home, ctypes.c_size_t(4096), 3, private | anonymous | fixed, -1, ctypes.c_long(0)) == home.value
        """,
    )
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): pass\n")
    result = project.tach("--engine", "wp-async", "-n", "1").expect(0, passed=2)
    assert (
        "tach: worker 0: it forks its tests, since it cannot be rewound: memory for snapshots: File exists"
        in result.lines
    )
    assert "modes: 2 fork" in result.out


def test_the_command_lines_mode_fork_beats_an_engine_in_the_file(project: Project) -> None:
    project.write("tach.toml", 'engine = "wp-async"\n')
    project.write("test_it.py", "def test_a(): pass\n")
    run = Run([str(SUPERVISOR), "--python", project.python, "--mode", "fork"], project.path, clean_environment())
    assert "engine fork, modes: 1 fork" in run.finish().out


def test_mode_fork_is_engine_fork(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    assert "engine fork, modes: 1 fork" in project.tach("--engine", "auto", "--mode", "fork").out
