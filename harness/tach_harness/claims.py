"""One session fixture is never alive in two processes: who sets one up while a test runs claims it first.

What the plan knows of is set up in one place. What a test asks for at run time (by a helper function, a hook) only shows
when it happens, in several processes at once, perhaps. Each such fixture is a byte of a file in memory, and the process
that sets it up holds the kernel's lock of that byte until it has finalised it, or ends. Another one waits, before the
fixture's function begins.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from .first_test import hold_timers
from .link import tell_user
from .plan import Plan
from .process import open_hidden
from .unseen import unseen

# Longer than what most sets of tests that share a fixture take, and bearable where the holder waits for us; a guess.
PATIENCE_S = 30.0
STEP_S = 0.005


class Claims:
    """Made before there are copies of the process; a rewind does not touch what it holds."""

    def __init__(self, plan: Plan) -> None:
        self._file = open_hidden("tach-claims")
        self._planned: frozenset[Any] = frozenset()
        if self._file < 0 or plan.split_wide:
            return
        for index, definition in enumerate(plan.wide_definitions):
            if definition.scope == "session":
                definition.execute = partial(self._execute, definition, index)

    @contextmanager
    def expecting(self, planned: Iterable[Any]) -> Iterator[None]:
        """These are set up where the plan has put them, which is one place."""
        self._planned = frozenset(planned)
        try:
            yield
        finally:
            self._planned = frozenset()

    @unseen
    def _execute(self, definition: Any, index: int, request: Any) -> Any:
        __tracebackhide__ = True
        if _is_set_up(definition) or definition in self._planned:
            return type(definition).execute(definition, request)
        claimed = self._claim(definition.argname, index)
        try:
            return type(definition).execute(definition, request)
        finally:
            # The first is called last: then nothing is left of the fixture.
            if claimed and _is_set_up(definition):
                definition._finalizers.insert(0, partial(self._lock, fcntl.LOCK_UN, index))
            elif claimed:
                self._lock(fcntl.LOCK_UN, index)

    def _lock(self, how: int, index: int) -> bool:
        """False if another process holds it."""
        try:
            fcntl.lockf(self._file, how, 1, index)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # a test has closed the file: nothing is known any more
            return True
        return True

    def _claim(self, name: str, index: int) -> bool:
        attempt: Callable[[], bool] = partial(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, index)
        if attempt():
            return True
        let_timers_run = hold_timers()
        try:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                time.sleep(STEP_S)
                if attempt():
                    return True
        finally:
            let_timers_run()
        tell_user(
            f"fixture {name} is set up though another process has it, and did not finalise it for {PATIENCE_S:g} s"
        )
        return False


def _is_set_up(definition: Any) -> bool:
    return definition.cached_result is not None
