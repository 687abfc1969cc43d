"""When Python looks for garbage until all tests are collected.

Imports make objects that stay, and looking through them again and again, as CPython does, is a tenth of what pytest's
collection takes. So it does not look at all while pytest and tach are imported; while the tests are collected it looks at
young objects as always, which is what frees garbage soon, but at those that it has seen before only now and then; and
once at all of these, when the tests are collected. What the interpreter, pytest and tach have made is left to the first
process that has a reason to look there, see sweep.py.
"""

from __future__ import annotations

import gc
import sys

# While no code of the suite runs: more than pytest and tach make.
MANY_OBJECTS = 200_000
# Between two looks at what has been seen before, so many at what is new; 10 is usual. For 200,000 objects that stay.
MANY_LOOKS = 300
ALL_GENERATIONS, YOUNG_GENERATIONS = 2, 1

# CPython 3.12 sets about 400 objects apart when it starts; a suite that does so has more.
INTERPRETERS_OWN = 1000
# Since then the second of the thresholds means something else: nothing is put off.
INCREMENTAL = (3, 14)

_get_threshold = gc.get_threshold
_usual: tuple[int, int, int] | None = None  # while ours are set
_looks: tuple[int, int] = (0, 0)
_hidden = False


def _told() -> tuple[int, int, int]:
    """gc.get_threshold as it would be without us: a suite may ask when it is imported, and set again what it was told.

    It may also set the first of the three alone.
    """
    first, second, third = _get_threshold()
    if _usual is None:
        return first, second, third
    return _usual[0] if first == MANY_OBJECTS else first, _usual[1] if second == MANY_LOOKS else second, third


def put_off() -> None:
    """Before pytest is imported."""
    global _usual
    usual = _get_threshold()
    if usual[0] and sys.version_info < INCREMENTAL:  # 0: never
        _usual = usual
        gc.set_threshold(MANY_OBJECTS)


def set_aside() -> None:
    """Before any code of the suite runs. All that there is counts as old: `settle` does not look at it.

    Nothing stays frozen, which could be seen: `gc.get_objects` does not tell of what is.
    """
    global _looks
    hide()
    show()
    _looks = looks_at_old()
    if _usual is not None:
        gc.set_threshold(_usual[0], MANY_LOOKS)
        gc.get_threshold = _told


def settle() -> None:
    """When the tests are collected: back to what is usual, and look once at what has been made since `set_aside`.

    Copies are made next: each would finalise the same garbage. It also leaves the young generations empty, so that the
    collection at the end of a test looks at what the test has made and not, with a page fault for each page, at what was
    imported.
    """
    global _usual
    if _usual is not None:
        gc.set_threshold(*_told())
    _usual = None
    if gc.get_threshold is _told:
        gc.get_threshold = _get_threshold
    # Garbage can only have grown old where Python has looked for old garbage.
    collect(YOUNG_GENERATIONS if looks_at_old() == _looks and sys.version_info < INCREMENTAL else ALL_GENERATIONS)


def collect(generation: int) -> None:
    """Unless the suite has said that it should not be."""
    if gc.isenabled():
        gc.collect(generation)


def looks_at_old() -> tuple[int, int]:
    """How often Python has looked at the middle generation and at all, in this process."""
    _, middle, old = gc.get_stats()
    return middle["collections"], old["collections"]


def hide() -> None:
    """Have Python look at nothing that there is so far, until `show`; not if a suite does so itself."""
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
