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
from typing import Any

import pytest

from . import garbage

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
                self._queues.append(config.stash[getattr(import_module(f"_pytest.{plugin}"), name)])

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
