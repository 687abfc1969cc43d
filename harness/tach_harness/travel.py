"""State that hooks around a test keep for the log hooks, on its way to the controller (conversation.py says which).

What changed since the last look travels, entry by entry: so a dict that each test adds a key to, in a process that is
rewound, has all keys in the controller, as it would have under pytest.
"""

from __future__ import annotations

import collections
import collections.abc
import io
import pickle
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from .accesses import Namespace

MISSING = object()
# Larger ones that collection has filled are looked at by identity alone: pickling them takes longer than a test. A guess.
MOST_COMPARED = 1000


class _Known:
    """Objects that both processes have from before their fork, which stand for themselves."""

    def __init__(self, session: pytest.Session) -> None:
        known: list[Any] = [session, session.config, session.config.pluginmanager]
        for item in session.items:
            known += item.listchain()
        for plugin in session.config.pluginmanager.get_plugins():
            known.append(plugin)
            if hasattr(plugin, "__file__"):  # its classes: another conftest module may have taken its name
                known += [value for value in vars(plugin).values() if isinstance(value, type)]
        self.objects = {id(entry): entry for entry in known}

    def dumps(self, value: Any) -> bytes:
        stream = io.BytesIO()
        pickler = _Pickler(stream, protocol=5)
        pickler.known = self.objects
        pickler.dump(value)
        return stream.getvalue()

    def loads(self, data: bytes) -> Any:
        unpickler = _Unpickler(io.BytesIO(data))
        unpickler.known = self.objects
        return unpickler.load()


class _Pickler(pickle.Pickler):
    known: dict[int, Any]

    def persistent_id(self, value: Any) -> int | None:
        return id(value) if self.known.get(id(value), self) is value else None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, pytest.ExceptionInfo):  # without its traceback, whose frames belong to the test's process
            return pytest.ExceptionInfo.from_exc_info, ((value.type, value.value, None),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    known: dict[int, Any]

    def persistent_load(self, pid: Any) -> Any:
        return self.known[pid]


def _get(where: Namespace) -> Any:
    return vars(where.owner).get(where.name, MISSING)


def _entries(value: Any) -> dict[Any, Any] | None:
    """The entries of what has some; None for a value that is replaced as a whole."""
    if isinstance(value, collections.abc.MutableMapping):
        return dict(value)
    if isinstance(value, list | collections.deque):
        return dict(enumerate(value))
    if isinstance(value, set):
        return dict.fromkeys(value)
    if type(value).__module__ != "builtins" and not isinstance(value, type) and hasattr(value, "__dict__"):
        return dict(vars(value))
    return None


class Traveller:
    """Looks at the places and says what changed; in the controller, puts it there."""

    def __init__(self, session: pytest.Session, places: Iterable[Namespace]) -> None:
        self._places = list(places)
        self._known = _Known(session)
        self._seen: list[tuple[Any, Any]] = []
        self.begin()

    def begin(self) -> None:
        """What is there now is known to the controller."""
        self._seen = [self._look(_get(where)) for where in self._places]

    def _look(self, value: Any) -> tuple[Any, Any]:
        """The value, and marks by which a change is found."""
        entries = _entries(value)
        if entries is None:
            return value, self._mark(value)
        marked = (lambda entry: id(entry)) if len(entries) > MOST_COMPARED else self._mark
        return value, {key: marked(entry) for key, entry in entries.items()}

    def _mark(self, value: Any) -> Any:
        try:
            return self._known.dumps(value)
        except Exception:
            return id(value)

    def take(self) -> bytes:
        """What changed since the last call; b"" if nothing did."""
        changes = []
        for index, where in enumerate(self._places):
            value, (before, marks) = _get(where), self._seen[index]
            now = self._look(value)
            if value is before and now[1] == marks:
                continue
            self._seen[index] = now
            changes += self._changes(index, value, before, marks, now[1])
        return pickle.dumps(changes, protocol=5) if changes else b""

    def _changes(self, index: int, value: Any, before: Any, marks: Any, marks_now: Any) -> list[tuple[Any, ...]]:
        if value is MISSING:
            return [(index, "delete")]
        if self._places[index].counts and all(type(number) in (int, float) for number in (value, before)):
            return self._packed((index, "add"), value - before)
        entries = _entries(value)
        if entries is None or value is not before:
            return self._packed((index, "replace"), value)
        if isinstance(value, list | collections.deque) and any(
            marks_now.get(key) != mark for key, mark in marks.items()
        ):
            return self._packed((index, "fill"), list(value))
        found: list[tuple[Any, ...]] = []
        for key in marks.keys() - marks_now.keys():
            found += self._packed((index, "without"), key)
        for key, entry in entries.items():
            if key not in marks or marks[key] != marks_now[key]:
                found += self._packed((index, "with"), (key, entry))
        return found

    def _packed(self, change: tuple[Any, ...], value: Any) -> list[tuple[Any, ...]]:
        """What cannot travel stays: an open file, a lock."""
        with suppress(Exception):
            return [(*change, self._known.dumps(value))]
        return []

    def put(self, data: bytes) -> None:
        """In the controller: what `take` has found."""
        for index, what, *packed in pickle.loads(data) if data else ():
            with suppress(Exception):  # a class that refuses to be made again; what the suite itself has put there
                self._put(self._places[index], what, self._known.loads(packed[0]) if packed else None)

    @staticmethod
    def _put(where: Namespace, what: str, value: Any) -> None:
        if what == "delete":
            delattr(where.owner, where.name)
        elif what == "replace":
            setattr(where.owner, where.name, value)
        elif what == "add":
            setattr(where.owner, where.name, _get(where) + value)
        else:
            _change(_get(where), what, value)


def _change(target: Any, what: str, value: Any) -> None:
    if what == "fill":
        target.clear()
        target.extend(value)
    elif what == "without":
        with suppress(KeyError, AttributeError):
            _remove(target, value)
    elif isinstance(target, collections.abc.MutableMapping):
        target[value[0]] = value[1]
    elif isinstance(target, set):
        target.add(value[0])
    elif isinstance(target, list | collections.deque):
        target.append(value[1])
    elif target is not MISSING:
        setattr(target, *value)


def _remove(target: Any, key: Any) -> None:
    if isinstance(target, collections.abc.MutableMapping):
        del target[key]
    elif isinstance(target, set):
        target.remove(key)
    else:
        delattr(target, key)
