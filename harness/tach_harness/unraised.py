"""What Python could not raise, in a destructor or a thread, and pytest (8.4 and later) charges to the test that comes next.

That is one test, though all start from a process in which it waits: it is taken out there and given to that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest

PLUGINS = {"unraisableexception": "unraisable_exceptions", "threadexception": "thread_exceptions"}


def _queues(config: pytest.Config) -> Iterator[Any]:
    for plugin, key in PLUGINS.items():
        with suppress(ImportError, AttributeError, KeyError):
            yield config.stash[getattr(import_module(f"_pytest.{plugin}"), key)]


class Unraised:
    """By the index of the item that comes next."""

    def __init__(self) -> None:
        self._queues: list[Any] = []
        self._waiting: dict[int, list[tuple[Any, list[Any]]]] = {}

    def find(self, config: pytest.Config) -> None:
        """Once, before there are copies."""
        self._queues = list(_queues(config))

    def take(self, index: int) -> None:
        for queue in self._queues:
            if queue:
                self._waiting.setdefault(index, []).append((queue, list(queue)))
                queue.clear()

    def give(self, index: int) -> None:
        for queue, errors in self._waiting.get(index, ()):
            queue.extend(errors)
