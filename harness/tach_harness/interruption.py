"""Where a test was when the user interrupted it: said in the test's process, shown by the controller's session.

Under pytest the KeyboardInterrupt comes out of the session's own loop, and the terminal tells of its last frame. Here it
comes out in a worker; what pytest would have made of it travels.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import pytest
from _pytest._code.code import Traceback

from .link import text


def describe(error: KeyboardInterrupt) -> tuple[bytes, bytes]:
    """pytest's own representation, pickled, and the place in short; empty if the suite keeps that from being made."""
    with suppress(Exception):
        raised: Any = (type(error), error, error.__traceback__)
        excinfo = pytest.ExceptionInfo.from_exc_info(raised)
        entries = [entry for entry in excinfo.traceback if "/tach_harness/" not in str(entry.path)]
        excinfo.traceback = Traceback(entries)
        representation = excinfo.getrepr(funcargs=True)
        crash = representation.reprcrash
        place = f"{crash.path}:{crash.lineno}" if crash is not None else ""
        return pickle.dumps(representation), text(place)
    return b"", b""


class _Nowhere:
    """Of tests that did not listen: where they were the supervisor has told."""

    message = "KeyboardInterrupt"

    @property
    def reprcrash(self) -> _Nowhere:
        return self

    def toterminal(self, _: Any) -> None:
        """There is nothing to show."""


class Interruption:
    """In the controller's session: what to show in place of what the controller itself was at."""

    def __init__(self) -> None:
        self._representation: Any = None
        self.is_elsewhere = False  # not in this process, even if nobody has said where

    def take(self, strings: tuple[bytes, ...]) -> None:
        """What `describe` made, as the second of these."""
        if len(strings) > 1 and strings[1]:
            with suppress(Exception):
                self._representation = pickle.loads(strings[1])

    def show(self, config: pytest.Config) -> None:
        """To be called once the terminal reporter has heard of the KeyboardInterrupt."""
        reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        shown = self._representation or (_Nowhere() if self.is_elsewhere else None)
        if shown is not None and getattr(reporter, "_keyboardinterrupt_memo", None) is not None:
            reporter._keyboardinterrupt_memo = shown
