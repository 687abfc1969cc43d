"""The one time that Python looks for garbage in all that a worker has, if anything there makes it look."""

from __future__ import annotations

from contextlib import suppress

# By name, as in the other modules of a test's process: what a test does to the module `os` must not reach us.
from os import fstat, pwrite

from . import garbage
from .process import open_hidden


class Sweep:
    """Whether Python looked at all generations in a copy of this process, as it does when many objects are made.

    Then this process had better do so, once, before it is copied again: while it has not, CPython takes all that is old
    for new and looks there again in every such test, each of which pays for it with every page of memory. What is known
    is kept in a file in memory, which survives rewinds.
    """

    def __init__(self) -> None:
        self._file = open_hidden("tach-sweep")
        self._before = garbage.looks_at_old()
        self._done = self._file < 0

    def note(self) -> bool:
        """At the end of a test, in its process: whether a process that has looked would serve better from here on."""
        due = not self._done and garbage.looks_at_old()[1] > self._before[1]
        if due:
            with suppress(OSError):  # a test may have closed it, or may not write
                pwrite(self._file, b"1", 0)
        return due

    def is_due(self) -> bool:
        try:
            return not self._done and fstat(self._file).st_size > 0
        except OSError:
            return False

    def do(self) -> None:
        garbage.collect(garbage.ALL_GENERATIONS)
        self._done = True
