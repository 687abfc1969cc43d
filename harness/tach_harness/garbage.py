"""When Python looks for garbage: not while modules are imported, but once when all tests are collected.

Imports make objects that stay, and looking through them again and again, as CPython does after every 700 new ones, is a
tenth of what pytest's collection takes. Even once is too much for what the interpreter, pytest and tach itself have
made: that is left to the first process that has a reason to look there, see `Sweep`.
"""

from __future__ import annotations

import gc
import os

# By name, as in the other modules of a test's process: what a test does to the module `os` must not reach us.
from os import fstat, pwrite

from .link import native

# Objects that are made and not freed until Python looks nevertheless. A few times what pytest and a large library make
# when they are imported; so many small objects take some ten megabytes, should all of them be garbage.
MANY_OBJECTS = 200_000
ALL_GENERATIONS, YOUNG_GENERATIONS = 2, 1

# CPython 3.12 sets about 400 objects apart when it starts; a suite that does so has more.
INTERPRETERS_OWN = 1000

_usual: tuple[int, int, int] | None = None


def put_off() -> None:
    """From here on, until `resume`."""
    global _usual
    threshold = gc.get_threshold()
    if threshold[0]:  # 0: never
        _usual = threshold
        gc.set_threshold(MANY_OBJECTS, *threshold[1:])


def resume() -> None:
    """Back to what was usual, unless the suite has said otherwise by now."""
    if _usual is not None and gc.get_threshold()[0] == MANY_OBJECTS:
        gc.set_threshold(*_usual)


def set_aside() -> None:
    """Count all that there is as old: `collect` of young generations does not look at it.

    Nothing stays frozen, which could be seen: `gc.get_objects` does not tell of what is.
    """
    if gc.get_freeze_count() < INTERPRETERS_OWN:
        gc.freeze()
        gc.unfreeze()


def collect(generation: int) -> None:
    """Before copies are made: otherwise each would finalise the same garbage.

    It also leaves the young generations empty, so that the collection at the end of a test looks at what the test has
    made and not, with a page fault for each page, at what was imported.
    """
    if gc.isenabled():
        gc.collect(generation)


class Sweep:
    """Whether Python looked at all generations in a copy of this process, as it does when many objects are made.

    Then this process had better do so, once, before it is copied again: while it has not, CPython takes all that is old
    for new and looks there again in every such test, each of which pays for it with every page of memory. What is known
    is kept in a file in memory, which survives rewinds.
    """

    def __init__(self) -> None:
        self._file = native.raise_descriptor(os.memfd_create("tach-sweep", os.MFD_CLOEXEC))
        self._before = _sweeps()
        self._done = False

    def note(self) -> bool:
        """At the end of a test, in its process: whether a process that has looked would serve better from here on."""
        due = not self._done and _sweeps() > self._before
        if due:
            pwrite(self._file, b"1", 0)
        return due

    def is_due(self) -> bool:
        return not self._done and fstat(self._file).st_size > 0

    def do(self) -> None:
        collect(ALL_GENERATIONS)
        self._done = True


def _sweeps() -> int:
    return int(gc.get_stats()[ALL_GENERATIONS]["collections"])
