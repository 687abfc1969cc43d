"""What Python could not raise, in a destructor or a thread, and pytest charges to the test that comes next.

That is one test, though all start from a process in which it waits: it is taken out there and given to that one.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pickle import dumps, loads
from typing import Any

import pytest

from . import garbage
from .link import native, send
from .reports import _can_travel

# Since pytest 8.4 they wait in these; before, pytest's hooks hear of them only while a test runs.
QUEUES = {"unraisableexception": "unraisable_exceptions", "threadexception": "thread_exceptions"}


class Retelling:
    """A plugin of the process of one test: has Python say once more what was heard, when pytest listens."""

    def __init__(self, heard: list[tuple[str, Any]]) -> None:
        self._heard = heard

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        heard, self._heard = self._heard, []
        for kind, arguments in heard:
            hook: Callable[[Any], Any] = sys.unraisablehook if kind == "unraisable" else threading.excepthook
            hook(arguments)


# What waits, by the name of its plugin: when a test is over this is what its garbage had to say.
_waiting: dict[str, deque[Any]] = {}


def tell_left() -> None:
    """In a test's process, once its garbage is collected: pytest would find out when the session ends."""
    for plugin, queue in _waiting.items():
        if queue:
            index = native.current_item()
            content = dumps((plugin, [_travelling(entry) for entry in queue]))
            queue.clear()
            send(native.KIND_UNRAISED, 0 if index == native.NO_ITEM else index, strings=(content,))


def _travelling(entry: Any) -> tuple[str, str, BaseException | None]:
    """Message, message of the cause and cause; without the cause where its traceback would be lost, which the first has."""
    if isinstance(entry, BaseException):
        return f"{type(entry).__name__}: {entry}", "", None
    cause = entry.exc_value
    if cause is not None and (cause.__traceback__ is not None or not _can_travel(cause)):
        cause = None
    return str(entry.msg), str(entry.cause_msg), cause


def hear(config: pytest.Config, pickled: bytes) -> None:
    """In the controller: it waits there for the session's end."""
    plugin, entries = loads(pickled)
    module = import_module(f"_pytest.{plugin}")
    meta = getattr(module, {"unraisableexception": "UnraisableMeta", "threadexception": "ThreadExceptionMeta"}[plugin])
    for message, cause_message, cause in entries:
        config.stash[getattr(module, QUEUES[plugin])].append(meta(message, cause_message, cause))


class Unraised:
    """By the index of the item that comes next."""

    def __init__(self) -> None:
        self._config: Any = None
        self._queues: list[deque[Any]] = []
        self._queued: dict[int, list[tuple[deque[Any], list[Any]]]] = {}
        self._heard: list[tuple[str, Any]] = []
        self._retold: dict[int, list[tuple[str, Any]]] = {}

    def find(self, config: pytest.Config) -> None:
        """Once, before there are copies."""
        self._config = config
        for plugin, name in QUEUES.items():
            with suppress(ImportError, AttributeError, KeyError):
                queue = config.stash[getattr(import_module(f"_pytest.{plugin}"), name)]
                self._queues.append(queue)
                _waiting[plugin] = queue

    def take(self, index: int) -> None:
        """What waits is for that item."""
        for queue in self._queues:
            if queue:
                self._queued.setdefault(index, []).append((queue, list(queue)))
                queue.clear()
        if self._heard:
            self._retold.setdefault(index, []).extend(self._heard)
            self._heard = []

    def drop(self) -> None:
        """What waits has been told by another process."""
        for queue in self._queues:
            queue.clear()

    def give(self, index: int) -> None:
        """In the item's own process, before its set-up."""
        for queue, errors in self._queued.get(index, ()):
            queue.extend(errors)
        if index in self._retold:
            self._config.pluginmanager.register(Retelling(self._retold[index]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While wide fixtures are set up: pytest's hooks, which run around that, too, hear nothing.

        A fixture may install a hook of its own, and bring back later what it has found.
        """
        before = sys.unraisablehook, threading.excepthook
        is_listening = True

        def unraisable(arguments: Any) -> None:
            if is_listening:
                self._heard.append(("unraisable", arguments))
            else:
                before[0](arguments)

        def thread(arguments: Any) -> None:
            if is_listening:
                self._heard.append(("thread", arguments))
            else:
                before[1](arguments)

        sys.unraisablehook, threading.excepthook = unraisable, thread
        try:
            yield
            garbage.collect(garbage.YOUNG_GENERATIONS)
        finally:
            is_listening = False
            if sys.unraisablehook is unraisable:
                sys.unraisablehook = before[0]
            if threading.excepthook is thread:
                threading.excepthook = before[1]
