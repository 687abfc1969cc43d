"""What a freshly forked process of ours must put right, and what can be read after one has died."""

from __future__ import annotations

import atexit
import faulthandler
import fcntl
import gc
import io
import logging
import os
import random
import sys
import weakref
from contextlib import suppress
from os import fork as _fork
from sys import _getframe
from types import FrameType
from typing import Any

import pytest

from .link import native

# The depth of `pytest_runtestloop`, from which pytest's own loop runs tests, where the script `pytest` is the program.
PYTESTS_LOOP_DEPTH = 13

# What pytest's capture files are called in a process of ours.
CAPTURE_FILE = "tach-capture"

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def give_recursion_room() -> None:
    """To be called by what runs a test in the place of pytest's loop: the test gets as deep as it would there."""
    depth = -1  # of the caller
    frame: FrameType | None = _getframe()
    while frame is not None:
        depth += 1
        frame = frame.f_back
    native.recursion_give_room(max(0, depth - PYTESTS_LOOP_DEPTH))


def flush_buffers(same_files: bool = False) -> None:
    """Write out what is buffered, so that a copy of this process can neither lose nor repeat it.

    `same_files`: no file was opened since the last call; finding them takes longer than all the rest.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a test may have closed or replaced it
            stream.flush()
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]
        handler = reference()
        try:
            if handler is not None:
                handler.flush()
        except Exception:
            pass
    _writers.flush(same_files)


class _Writers:
    """The Python objects that may hold unwritten data for files on disk.

    Finding them visits every object, which costs milliseconds and, in a forked process, copies the memory. So what was
    found is kept as long as the same files are open.
    """

    def __init__(self) -> None:
        self.unbuffered: set[tuple[int, int]] = set()  # files that nobody need look for, by device and inode
        self._files: tuple[tuple[int, int, int], ...] = ()
        self._found: list[weakref.ref[Any]] = []

    def flush(self, same_files: bool) -> None:
        files = self._files if same_files else self._buffered_files()
        if files != self._files or not all(self._is_open(reference) for reference in self._found):
            # By type: a proxy may say that it is whatever it stands for.
            objects = gc.get_objects() if files else []
            kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, _WRITERS)}
            self._found = [weakref.ref(o) for o in objects if type(o) in kinds]
            self._found = [reference for reference in self._found if self._is_open(reference)]
            self._files = files
        for reference in self._found:
            with suppress(Exception):  # not for writing
                reference().flush()  # type: ignore[union-attr]

    def _buffered_files(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(file for file in native.writable_files() if file[1:] not in self.unbuffered)

    @staticmethod
    def _is_open(reference: weakref.ref[Any]) -> bool:
        writer = reference()
        try:
            return writer is not None and not writer.closed
        except Exception:  # detached: somebody else's now
            return False


_writers = _Writers()


def fork(keep_atexit: bool = False) -> int:
    """os.fork with Python's own hooks, but for `random`, which they would reseed: a copy must be a copy.

    The child forgets the atexit callbacks, unless told otherwise: they belong to one process, the controller.
    """
    state = random.getstate()
    pid = _fork()
    if pid == 0:
        random.setstate(state)
        if not keep_atexit:
            atexit._clear()
    return pid


def _capture_files(config: pytest.Config) -> list[Any]:
    manager = config.pluginmanager.get_plugin("capturemanager")
    capturing = getattr(manager, "_global_capturing", None)
    if capturing is None:
        return []
    captures = (capturing.in_, capturing.out, capturing.err)
    return [c.tmpfile for c in captures if c is not None and hasattr(c, "targetfd")]


def know_capture_files(config: pytest.Config) -> None:
    """pytest's own wrapper around them writes through."""
    for file in _capture_files(config):
        with suppress(AttributeError, ValueError, OSError):
            status = os.fstat(file.fileno())
            _writers.unbuffered.add((status.st_dev, status.st_ino))


def own_capture_files(config: pytest.Config) -> None:
    """Give this process capture files of its own behind the descriptors that pytest already uses.

    A fork shares the file and its offset with its parent, so parallel workers would read each other's output.
    """
    for file in _capture_files(config):
        try:
            number = file.fileno()
        except (AttributeError, ValueError, OSError):
            continue
        if os.readlink(f"/proc/self/fd/{number}") == os.devnull:
            continue
        fresh = os.memfd_create(CAPTURE_FILE, os.MFD_CLOEXEC)
        os.dup2(fresh, number, inheritable=False)
        os.close(fresh)


def read_capture(config: pytest.Config) -> tuple[str, str]:
    """Take what the global capture holds: after a crash, what the dead test had printed."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    if manager is None or getattr(manager, "_global_capturing", None) is None:
        return "", ""
    try:
        out, err = manager.read_global_capture()
    except Exception:
        return "", ""
    return str(out), str(err)


def open_hidden(name: str, flags: int = 0) -> int:
    """A file in memory that survives rewinds and that the guard does not see; -1 where descriptors cannot be that high."""
    try:
        fresh = os.memfd_create(name, os.MFD_CLOEXEC)
        if flags:
            fcntl.fcntl(fresh, fcntl.F_SETFL, flags)
        return native.hide_descriptor(fresh)
    except OSError:
        return -1


class OpenFiles:
    """The files on disk that this process may write to, as they are now: logs, and the results that plugins write."""

    def __init__(self) -> None:
        flush_buffers()
        self._known: list[tuple[int, int, int]] = []  # descriptor, offset, size
        for number, device, inode in native.writable_files():
            with suppress(OSError):
                status = os.fstat(number)
                if (device, inode) not in _writers.unbuffered:
                    self._known.append((number, os.lseek(number, 0, os.SEEK_CUR), status.st_size))

    def restore(self) -> None:
        """Take back what copies of this process have written: it is going to write that itself."""
        for number, offset, size in self._known:
            with suppress(OSError):
                if os.fstat(number).st_size > size:
                    os.ftruncate(number, size)
                os.lseek(number, offset, os.SEEK_SET)


class CrashFile:
    """Where faulthandler writes the Python stack of a dying or hanging test, shared by a worker and what it forks."""

    def __init__(self, is_for_crashes: bool = True) -> None:
        fresh = os.memfd_create("tach-stack", os.MFD_CLOEXEC)
        self.number = native.raise_descriptor(fresh)
        if is_for_crashes and faulthandler.is_enabled():
            faulthandler.enable(file=self.number)
        # Of a test that hangs, even in C: the handler is faulthandler's own and runs no Python.
        faulthandler.register(native.STACK_SIGNAL, file=self.number, all_threads=True)

    def take(self) -> str:
        """The stack, if one was written since the last call."""
        try:
            size = os.fstat(self.number).st_size
            content = os.pread(self.number, size, 0)
            os.ftruncate(self.number, 0)
            os.lseek(self.number, 0, os.SEEK_SET)
        except OSError:
            return ""
        return _own_frames_cut(content.decode("utf-8", "backslashreplace"))


def _is_frame(line: str) -> bool:
    return line.startswith("  File ")


def _own_frames_cut(text_of_stacks: str) -> str:
    """The stacks without the frames by which tach called pytest: those are the same for every test."""
    kept: list[str] = []
    block: list[str] = []
    for line in [*text_of_stacks.splitlines(keepends=True), ""]:
        if _is_frame(line) or (block and line.startswith("    ")):
            block.append(line)
        else:
            kept += [*_own_frames_cut_of(block), line]
            block = []
    return "".join(kept)


def _own_frames_cut_of(stack: list[str]) -> list[str]:
    """Of one thread's. faulthandler begins with the innermost frame; Python itself ends with it, and shows the sources."""
    ours = [index for index, line in enumerate(stack) if _is_frame(line) and "/tach_harness/" in line]
    if not ours:
        return stack
    if all(_is_frame(line) for line in stack):
        return stack[: ours[0]]
    following = (index for index in range(ours[-1] + 1, len(stack)) if _is_frame(stack[index]))
    return stack[next(following, len(stack)) :]


def own_basetemp(config: pytest.Config, name: str) -> None:
    """A directory of this worker's own under the run's one numbered basetemp, as xdist has it."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or factory._basetemp is None:
        return
    directory = factory._basetemp / name
    directory.mkdir(mode=0o700, exist_ok=True)
    factory._basetemp = directory
