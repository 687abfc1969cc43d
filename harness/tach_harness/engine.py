"""How a worker gets back to a pristine state: the interface of all engines, and the engine that forks.

An engine keeps a stack of *layers*, states of the process that tests start from:

* `push()` makes the present state the top layer. It returns twice, like fork(2) and setjmp(3): first None, on the new
  layer; and once more, when the layer was popped, the Verdict that `pop` left. All else that happened in between is
  forgotten, unless it was sent to the supervisor.
* `run(test)` runs a test from the top layer and comes back to it.
* `rewind(verdict)` is the coming back: it ends what `run` started.
* `pop(verdict)` goes back to the layer below.

What crosses a rewind: reports (they are in the ring already), and the Verdict, in memory that all processes share. A
test during which a wide fixture was set up may be *kept*: `run` then returns in the test's own, un-rewound state, which
takes the place of the layer.
"""

from __future__ import annotations

import atexit
import gc
import sys
import time
import traceback
from collections.abc import Callable

# By name, as in the other modules of a test's process: what a test does to the module `os` must not reach us.
from os import _exit, getpid, waitpid
from typing import NamedTuple, NoReturn, Protocol

from .link import native
from .process import flush_buffers, fork


class Verdict(NamedTuple):
    """What is known of a test or a layer after coming back."""

    finished: bool = True  # it got to its end; otherwise the process died, see status
    kept: bool = False  # its state was committed, nothing was rewound
    interrupted: bool = False  # KeyboardInterrupt or pytest.exit: the session must end
    status: int = 0  # wait status of the process, if there was one
    reset_ns: int = 0  # end of the last phase up to now


class Engine(Protocol):
    """The interface; see the module's text."""

    name: str

    def push(self) -> Verdict | None: ...

    def run(self, test: Callable[[], Verdict]) -> Verdict: ...

    def rewind(self, verdict: Verdict) -> NoReturn: ...

    def pop(self, verdict: Verdict) -> NoReturn: ...


def run_new_atexit_callbacks() -> None:
    """Run the callbacks that were registered since the fork; those from before belong to the controller."""
    atexit._run_exitfuncs()


def die_of_exception() -> NoReturn:
    """End a copy in which our own code failed: it must never run on into code that is meant for its parent."""
    traceback.print_exc(file=sys.__stderr__)
    _exit(70)  # EX_SOFTWARE of sysexits.h


class ForkEngine:
    """Layers are processes: push is fork, pop is the child's end, memory is rewound by not being shared."""

    name = "fork"

    def push(self) -> Verdict | None:
        flush_buffers()
        native.offsets_save()
        parent = getpid()
        pid = fork()
        if pid == 0:
            native.die_with_parent(parent)
            native.adopt()
            return None
        return self._come_back(pid)

    def run(self, test: Callable[[], Verdict]) -> Verdict:
        came_back = self.push()
        if came_back is not None:
            return came_back
        try:
            verdict = test()
        except BaseException:
            die_of_exception()
        if not verdict.kept:
            self.rewind(verdict)
        native.keep()
        return verdict

    def rewind(self, verdict: Verdict) -> NoReturn:
        self.pop(verdict)

    def pop(self, verdict: Verdict) -> NoReturn:
        if not native.is_producer():
            _exit(0)  # a process that a test forked came back into the harness
        gc.collect(1)
        run_new_atexit_callbacks()
        flush_buffers()
        native.leave_verdict(verdict.interrupted)
        _exit(0)

    def _come_back(self, pid: int) -> Verdict:
        """Wait for the layer's process and take over what it left."""
        status = _wait(pid)
        native.adopt()
        native.offsets_restore()
        finished, interrupted = native.take_verdict(pid)
        kept = native.kept_by(pid)
        if kept and finished:
            # It took this process' place, and is done: so is this process.
            native.leave_verdict(interrupted)
            _exit(0)
        reset_ns = max(0, native.monotonic_ns() - native.ended_ns())
        return Verdict(finished, kept, interrupted, status, reset_ns)


def _wait(pid: int) -> int:
    while True:
        try:
            return waitpid(pid, 0)[1]
        except InterruptedError:
            continue
        except ChildProcessError:
            # Someone reaped it (a SIGCHLD handler that the suite installed); whether it finished is in its verdict.
            time.sleep(0)
            return 0
