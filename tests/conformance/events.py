"""The log that wide fixtures of a suite write: one line per set-up, test and finalisation.

A line is `PID SCOPE OWNER EVENT NAME`, appended by the fixture itself. The owner is what the fixture lives
for (a module, a class, "session"). Both runners must show the same lines per owner in the same order, and
each must finalise a fixture in the process that set it up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from model import Difference
from normalise import one_line

SET_UP, FINALISED = "setup", "finalise"


def event_differences(pytest: list[str], tach: list[str]) -> Iterator[Difference]:
    """Yield differences in number, order and process of the fixtures' events."""
    expected, actual = _by_owner(pytest), _by_owner(tach)
    for owner in sorted(expected.keys() | actual.keys()):
        ours, theirs = expected.get(owner, []), actual.get(owner, [])
        if ours != theirs:
            yield Difference("FIXTURE", owner, *_first_unlike(ours, theirs))
    yield from (Difference("FIXTURE-PROCESS", name, "same", "other") for name in _strayed(tach))


def _by_owner(lines: list[str]) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        _, scope, owner, what = line.split(" ", 3)
        owners[f"{scope}:{owner}"].append(what)
    return owners


def _first_unlike(ours: list[str], theirs: list[str]) -> tuple[str, str]:
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
        shared += 1
    return _event_at(ours, shared), _event_at(theirs, shared)


def _event_at(events: list[str], place: int) -> str:
    event = one_line(events[place]) if place < len(events) else "none"
    return f"{len(events)} events, number {place + 1} {event}"


def _strayed(lines: list[str]) -> Iterator[str]:
    """Yield fixtures finalised in a process other than the one that set them up last."""
    homes: dict[str, str] = {}
    for line in lines:
        pid, scope, owner, event, name = line.split(" ", 4)
        key = f"{scope}:{owner}:{name}"
        if event == SET_UP:
            homes[key] = pid
        elif event == FINALISED and homes.get(key, pid) != pid:
            yield key
