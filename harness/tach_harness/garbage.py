"""When Python looks for garbage: not while modules are imported, but once when all tests are collected.

Imports make objects that stay, and looking through them again and again, as CPython does after every 700 new ones, is a
tenth of what pytest's collection takes. Even once is too much for what the interpreter, pytest and tach itself have
made: that is left to the first process that has a reason to look there, see sweep.py.
"""

from __future__ import annotations

import gc

# Objects that are made and not freed until Python looks nevertheless. A few times what pytest and a large library make
# when they are imported; so many small objects take some ten megabytes, should all of them be garbage.
MANY_OBJECTS = 200_000
ALL_GENERATIONS, YOUNG_GENERATIONS = 2, 1

# CPython 3.12 sets about 400 objects apart when it starts; a suite that does so has more.
INTERPRETERS_OWN = 1000

_usual: tuple[int, int, int] | None = None
_hidden = False


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
    hide()
    show()


def hide() -> None:
    """Have Python look at nothing that there is so far, until `show`; not if a suite does so itself.

    In the controller: its copies of what collection has made cost a page for each few objects that are looked at, and
    it would be looked at again and again, while reports pile up and at the end, by pytest itself.
    """
    global _hidden
    if gc.get_freeze_count() < INTERPRETERS_OWN:
        gc.freeze()
        _hidden = True


def show() -> None:
    """Let Python look again."""
    global _hidden
    if _hidden:
        gc.unfreeze()
        _hidden = False


def collect(generation: int) -> None:
    """Before copies are made: otherwise each would finalise the same garbage.

    It also leaves the young generations empty, so that the collection at the end of a test looks at what the test has
    made and not, with a page fault for each page, at what was imported.
    """
    if gc.isenabled():
        gc.collect(generation)
