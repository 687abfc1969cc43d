"""A second opinion: tests run again in a process of its own, un-rewound, and nothing that it writes is the run's.

Reports alone leave it. What the suite and its plugins had open for writing when it was forked becomes a private copy:
reads and positions stay right, and the file on disk is not touched. What a test opens by a path cannot be kept apart.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import suppress
from typing import Any

import pytest

from .link import native

# Of larger files the copy has the size alone: they are read back seldom, and copies take memory. A guess.
MOST_COPIED = 64 << 20
SQLITE = b"SQLite format 3\0"


def begin(config: pytest.Config) -> None:
    """Call before the first test, in the process that runs nothing else."""
    os.environ["TACH_SECOND_OPINION"] = "1"  # for suites that must know that this is not the run itself
    mapped = _mapped_files()
    for number, device, inode in native.writable_files():
        if (device, inode) not in mapped:
            with suppress(OSError):
                _make_private(number)
    _silence_terminal(config)
    _keep_results_apart()


def _mapped_files() -> set[tuple[int, int]]:
    """Files whose memory is shared with other processes, by device and inode: a copy of the rest would not fit to it."""
    found = set()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            _, rights, _, device, inode, *_ = line.split(maxsplit=5)
            if rights[3] == "s" and inode != "0":
                major, _, minor = device.partition(":")
                found.add((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
    return found


def _make_private(number: int) -> None:
    """Put a copy of a regular file in the place of the descriptor, with its position and its flags."""
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or os.readlink(f"/proc/self/fd/{number}").startswith("/memfd:"):
        return
    is_read = flags & os.O_ACCMODE == os.O_RDWR
    if is_read and os.pread(number, len(SQLITE), 0) == SQLITE:
        return  # its journals are found by name, and must be those of one file
    copy = os.memfd_create("tach-rerun", os.MFD_CLOEXEC)
    try:
        if is_read and status.st_size <= MOST_COPIED:
            for offset in range(0, status.st_size, 1 << 20):
                os.pwrite(copy, os.pread(number, 1 << 20, offset), offset)
        os.ftruncate(copy, status.st_size)
        os.lseek(copy, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
        fcntl.fcntl(copy, fcntl.F_SETFL, flags & os.O_APPEND)
        os.dup2(copy, number, inheritable=os.get_inheritable(number))
    finally:
        os.close(copy)


def _silence_terminal(config: pytest.Config) -> None:
    """What goes past the capture is not for the user, who has seen it once."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    manager: Any = config.pluginmanager.get_plugin("capturemanager")
    capturing = getattr(manager, "_global_capturing", None)
    numbers = {1, 2}
    for capture in (getattr(capturing, "out", None), getattr(capturing, "err", None)):
        if capture is not None and hasattr(capture, "targetfd_save"):
            numbers.discard(capture.targetfd)  # the capture's own file
            numbers.add(capture.targetfd_save)
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(Exception):
            stream.flush()  # type: ignore[union-attr]
    for number in numbers:
        with suppress(OSError):
            os.dup2(nowhere, number, inheritable=number in (1, 2))
    os.close(nowhere)


def _keep_results_apart() -> None:
    """Plugins that write a file of their own for each test."""
    commons: Any = sys.modules.get("allure_commons")
    for plugin in list(commons.plugin_manager.get_plugins()) if commons is not None else []:
        if type(plugin).__name__ == "AllureFileLogger":
            commons.plugin_manager.unregister(plugin)
