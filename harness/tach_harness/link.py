"""The line to tach-supervisor: typed helpers over the native channel.

One process has one channel at a time; a freshly forked role attaches its own. Message kinds and the meaning of their
fields are documented in shm/message.h, from which `_tach` exports the constants.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from os import _exit
from os import write as write_out
from typing import TYPE_CHECKING, NamedTuple

# `native` is the module's own interface, too: the other modules take the functions and constants of `_tach` from here.
__all__ = ["NO_ITEM", "Message", "TerminalSink", "native", "receive", "send", "text"]

if TYPE_CHECKING:
    import _tach as native
else:
    from .image import native

NO_ITEM: int = native.NO_ITEM


class Message(NamedTuple):
    """One received message; see MessageHead in shm/message.h."""

    kind: int
    item: int
    a: int
    b: int
    t0: int
    t1: int
    strings: tuple[bytes, ...]


def text(value: str) -> bytes:
    """UTF-8 that also carries lone surrogates (file names, captured bytes) without failing."""
    return value.encode("utf-8", "backslashreplace")


def send(
    kind: int,
    item: int = NO_ITEM,
    a: int = 0,
    b: int = 0,
    t0: int = 0,
    t1: int = 0,
    strings: tuple[bytes, ...] = (),
    with_next: bool = False,
) -> None:
    """Send one message; blocks while the ring is full. `with_next`: there is more to come, and no hurry.

    A process that a test forked and that came back into the harness ends here: under pytest it would go on to run
    the rest of the session a second time.
    """
    if not native.send(kind, item, a, b, t0, t1, strings, with_next):
        _exit(0)


def tell_user(line: str) -> None:
    """In a worker: show a line of ours, whatever is being captured."""
    send(native.KIND_OUTPUT, strings=(text(line),))


def receive() -> Message:
    """Wait for the next message; a channel that no longer makes sense ends the process."""
    while True:
        fields = native.receive(-1)
        if fields is not None:
            return Message(*fields)


class TerminalSink:
    """What pytest's terminal reporter writes to instead of stdout: its text goes to the supervisor, stage by stage."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.stage: int = native.STAGE_HEADER
        self.holding = False  # workers: what is written travels with the next report, to be shown in order
        self.muted = False  # an interpreter that was started again: the user has seen all this already
        self.spill = -1  # workers: where other threads' text goes, since such a thread is about to end the process
        self._main = get_ident()
        self.seen_bytes = 0  # the same, as much as that of what follows
        self._pending: list[str] = []

    def write(self, data: str) -> int:
        if self.spill >= 0 and get_ident() != self._main:
            write_out(self.spill, text(data))
            return len(data)
        self._pending.append(data)
        if "\n" in data:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._pending and not self.holding:
            data = "".join(self._pending)
            self._pending.clear()
            encoded = text(data)
            if self.seen_bytes and not self.muted:
                encoded, self.seen_bytes = encoded[self.seen_bytes :], max(0, self.seen_bytes - len(encoded))
            if encoded and not self.muted:
                send(native.KIND_OUTPUT, a=self.stage, strings=(encoded,))

    def take(self) -> str:
        """Text that was written and not sent yet, taken out."""
        data = "".join(self._pending)
        self._pending.clear()
        return data

    def enter(self, stage: int) -> None:
        """What follows belongs to another part of the output."""
        self.flush()
        self.stage = stage

    def isatty(self) -> bool:
        # Even on a terminal: pytest must not overprint its own lines, the supervisor draws the progress.
        return False

    def fileno(self) -> int:
        return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
