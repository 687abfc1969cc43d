"""The terminal, for whoever stops in a debugger: borrowed from the supervisor, which lends it to one process at a time.

pytest's own wrapper of pdb (breakpoint(), pdb.set_trace(), pytest.set_trace(), --pdb, --trace) suspends capturing, writes a
headline and talks to the user. Before the headline the supervisor must have taken its progress line away, and this
process' group must be the terminal's foreground group, or reading would stop it.
"""

from __future__ import annotations

from os import getpid
from typing import Any

from _pytest.debugging import pytestPDB

from .link import native, send


class _NoDebugger:
    """In place of a debugger where nobody is to be asked: a test that is run again, for a second opinion."""

    quitting = False

    def set_trace(self, *_: Any) -> None:
        """Go on, as after `continue`."""

    def reset(self) -> None:
        """There is nothing to reset."""

    interaction = set_trace

    @staticmethod
    def runcall(function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class Terminal:
    """Whether this process has it."""

    def __init__(self) -> None:
        self._since = -1  # when the test began that borrowed it; what a test leaves borrowed is given back for it
        self._pid = 0

    def borrow(self) -> bool:
        """Wait until it is ours; False if the debugger is not to start at all."""
        if not native.is_producer():
            return True  # of a process that a test forked the supervisor knows nothing
        if self._has_it():
            return True
        ticket = native.monotonic_ns()
        send(native.KIND_TERMINAL, native.current_item(), a=getpid(), b=1, t0=ticket)
        if not native.await_terminal(ticket):
            return False
        self._since, self._pid = native.began_ns(), getpid()
        return True

    def give_back(self) -> None:
        if self._has_it():
            send(native.KIND_TERMINAL, native.current_item(), a=getpid(), b=0)
        self._since = -1

    def _has_it(self) -> bool:
        return self._since >= 0 and self._since == native.began_ns() and self._pid == getpid()


terminal = Terminal()


def install() -> None:
    """Have pytest's wrapper borrow the terminal before it says anything."""
    original = pytestPDB.__dict__["_init_pdb"].__func__

    def init_pdb(cls: Any, /, method: str, *args: Any, **kwargs: Any) -> Any:
        if not terminal.borrow():
            return _NoDebugger()
        return original(cls, method, *args, **kwargs)

    pytestPDB._init_pdb = classmethod(init_pdb)  # type: ignore[method-assign, assignment]


def entered(pdb: Any) -> None:
    """A debugger starts. It may prompt again after `continue`, at a breakpoint that the user has set."""
    interaction = pdb.interaction

    def borrowing(*args: Any, **kwargs: Any) -> Any:
        terminal.borrow()
        return interaction(*args, **kwargs)

    pdb.interaction = borrowing
