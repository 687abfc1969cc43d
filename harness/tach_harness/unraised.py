"""What Python could not raise, in a destructor or a thread, and pytest (8.4 and later) charges to the test that comes next.

That is one test, though all start from a process in which it waits: it is taken out there and given to that one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import pytest

PLUGINS = {"unraisableexception": "unraisable_exceptions", "threadexception": "thread_exceptions"}


class Unraised:
    """By the index of the item that comes next."""

    def __init__(self) -> None:
        self._stash: Any = None
        self._queues: dict[Any, deque[Any]] = {}  # by the key in pytest's stash
        self._waiting: dict[int, list[tuple[deque[Any], list[Any]]]] = {}

    def find(self, config: pytest.Config) -> None:
        """Once, before there are copies."""
        self._stash = config.stash
        for plugin, name in PLUGINS.items():
            with suppress(ImportError, AttributeError, KeyError):
                key = getattr(import_module(f"_pytest.{plugin}"), name)
                self._queues[key] = config.stash[key]

    def take(self, index: int) -> None:
        for queue in self._queues.values():
            if queue:
                self._waiting.setdefault(index, []).append((queue, list(queue)))
                queue.clear()

    def give(self, index: int) -> None:
        for queue, errors in self._waiting.get(index, ()):
            queue.extend(errors)

    @contextmanager
    def held_for(self, index: int) -> Iterator[None]:
        """While wide fixtures are set up: pytest's hooks, which run then, too, find nothing to charge to anybody."""
        for key in self._queues:
            self._stash[key] = deque()
        try:
            yield
        finally:
            for key, queue in self._queues.items():
                self._stash[key] = queue
            self.take(index)
