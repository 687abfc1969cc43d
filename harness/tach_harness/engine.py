"""How a worker gets back to a pristine state: the interface of all engines, and the two that there are.

An engine keeps a stack of *layers*, states of the process that tests start from:

* `push()` makes the present state the top layer. It returns twice, like fork(2) and setjmp(3): first None, on the new
  layer; and once more, when the layer was popped, the Verdict that `pop` left. All else that happened in between is
  forgotten, unless it was sent to the supervisor.
* `each(steps)` runs one test after the other from the top layer.
* `run(test)` is that with a single test.
* `pop(verdict)` goes back to the layer below. It returns only if that is impossible, with the reason.
* `commit()` gives the top layer up: the present state takes the place of the one below.

What crosses a rewind: reports (they are in the ring already), and the Verdict. A test during which a wide fixture was set
up may be *kept*, and one that left something that cannot be undone *condemns* its process: `each` then ends in the
test's own, un-rewound state, which takes the place of the layer.
"""

from __future__ import annotations

import atexit
import gc
import time
import traceback
from collections.abc import Callable

# By name, as in the other modules of a test's process: what a test does to the module `os` must not reach us.
from os import EX_SOFTWARE, _exit, getpid, waitpid
from typing import NamedTuple, NoReturn, Protocol

from . import measured, unraised
from .link import native, send, tell_user, text
from .options import Options
from .process import flush_buffers, fork

# What crosses a rewind as flags.
INTERRUPTED, RENEWAL_DUE = 1, 2


class Verdict(NamedTuple):
    """What is known of a test or a layer after coming back."""

    finished: bool = True  # it got to its end; otherwise the process died, see status
    kept: bool = False  # its state was committed, nothing was rewound
    interrupted: bool = False  # KeyboardInterrupt or pytest.exit: the session must end
    status: int = 0  # wait status of the process, if there was one
    reset_ns: int = 0  # end of the last phase up to now
    condemned: str = ""  # why its process could not be rewound
    imports: int = 0  # modules that it imported
    renewal_due: bool = False  # a fresh process would have what it lacks, see imports.py and sweep.py
    ended: bool = False  # what the layer was for has ended with it: nothing to come back to
    rewind: bytes = b""  # what the rewind did, see native.snapshot_passage


class Steps(NamedTuple):
    """A row of tests that all start from one layer."""

    length: int
    run: Callable[[int], Verdict]  # runs the test at that position
    settle: Callable[[int, Verdict], int]  # in the layer's state: tells of it; returns how far to advance
    may_go_on: Callable[[int], bool]
    forked: bool = False  # each in a process of its own, whatever the engine: they are known to spoil theirs


class Engine(Protocol):
    """The interface; see the module's text."""

    mode: int  # a MODE_*: what tests that run now are reported as

    def push(self, forked: bool = False) -> Verdict | None:
        """`forked`: as a process of its own, whatever the engine."""
        ...

    def each(self, steps: Steps) -> int: ...

    def run(self, test: Callable[[], Verdict]) -> Verdict: ...

    def pop(self, verdict: Verdict) -> str: ...

    def commit(self) -> None: ...

    def is_worn_out(self) -> bool:
        """Whether a fresh process would serve better from here on."""
        ...


def run_new_atexit_callbacks() -> bool:
    """Run the callbacks that were registered since the fork; those from before belong to the controller. True if any."""
    any_new = atexit._ncallbacks() > 0
    atexit._run_exitfuncs()
    return any_new


def die_of_exception() -> NoReturn:
    """End a copy in which our own code failed: it must never run on into code that is meant for its parent."""
    try:
        if native.is_producer():
            send(native.KIND_PROBLEM, strings=(text(traceback.format_exc()),))
    finally:  # a test's signal handler may raise here, too
        _exit(EX_SOFTWARE)


class ForkEngine:
    """Layers are processes: push is fork, pop is the child's end, memory is rewound by not being shared."""

    mode = native.MODE_FORK

    def __init__(self, wait: Callable[[int], int] | None = None) -> None:
        self._wait = wait or _wait  # for a child's end; returns its wait status

    def push(self, forked: bool = True) -> Verdict | None:
        flush_buffers()
        measured.flush_all()
        native.offsets_save()
        parent = getpid()
        with measured.forking():
            pid = fork()
        if pid == 0:
            native.die_with_parent(parent)
            native.snapshot_forget()
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
            self.pop(verdict)
        native.keep()
        return verdict

    def each(self, steps: Steps) -> int:
        """Run the tests; returns the position of the first that is not settled."""
        position = 0
        while position < steps.length and steps.may_go_on(position):
            verdict = self.run(lambda: steps.run(position))  # noqa: B023  # called before the next turn
            position += steps.settle(position, verdict)
        return position

    def pop(self, verdict: Verdict) -> NoReturn:
        if not native.is_producer():
            _exit(0)  # a process that a test forked came back into the harness
        gc.collect(1)
        unraised.tell_left()
        measured.flush()
        if run_new_atexit_callbacks():
            measured.flush_at_exit()
        flush_buffers()
        native.leave_verdict(verdict.interrupted)
        _exit(0)

    def commit(self) -> None:
        native.keep()

    def is_worn_out(self) -> bool:
        return False

    def _come_back(self, pid: int) -> Verdict:
        """Wait for the layer's process and take over what it left."""
        status = self._wait(pid)
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


class ExitCallbacks:
    """The atexit callbacks that are registered from now on, told apart from those that are there already."""

    def __init__(self) -> None:
        self._then: Callable[[], None] | None = None
        self._is_registered = atexit._ncallbacks() > 0
        if self._is_registered:
            atexit.register(self._boundary)
        self._before = atexit._ncallbacks()

    def any_new(self) -> bool:
        return atexit._ncallbacks() > self._before

    def run_new(self, then: Callable[[], None]) -> None:
        """Run those, the last one first, and then `then`, which must not return if there are older ones.

        Python can only run all of them. So `then` is called by one of ours, which is the oldest of the new.
        """
        if self._is_registered and self.any_new():
            self._then = then
            atexit._run_exitfuncs()
        else:
            if self.any_new():
                atexit._run_exitfuncs()
            then()

    def _boundary(self) -> None:
        if self._then is not None:
            self._then()
            tell_user("an exit callback of a test left what cannot be rewound")
            _exit(EX_SOFTWARE)

    def close(self) -> None:
        if self._is_registered:
            atexit.unregister(self._boundary)


class SnapshotEngine:
    """Layers are memory images of this process, which is rewound in place; see zygote/rewinder.h.

    Where a layer cannot be captured its tests are forked instead.
    """

    def __init__(self, max_resets: int, max_growth: int) -> None:
        """After so many rewinds, or so many MiB of copies, the process is worn out; 0: never."""
        self.mode = native.MODE_SNAPSHOT
        self._max_resets = max_resets
        self._max_growth = max_growth << 20
        self._fork = ForkEngine()
        self._forked = False  # this process is the layer that `push` forked, since it could not be captured
        self._below_forked = False  # so is the layer below, where `push` has forked this one
        self._copied = False  # this process is a kept test's, which has taken the place of the one that forked it
        self._layers: list[ExitCallbacks] = []

    @staticmethod
    def create(name: str, options: Options) -> SnapshotEngine | str:
        """Open the engine of this process, or say why there is none."""
        why = native.snapshot_open(name)
        if not why and native.snapshot_push() != native.SNAPSHOT_PUSHED:  # the bottom: layers hold what differs from it
            why = native.snapshot_refusal()
        return why if why else SnapshotEngine(options.max_resets, options.max_growth)

    def push(self, forked: bool = False) -> Verdict | None:
        if not self._forked and not self._copied and not forked:
            outcome = self._push()
            if outcome == native.SNAPSHOT_PUSHED:
                return None
            if outcome == native.SNAPSHOT_CAME_BACK:
                self._drop()
                return self._verdict()
        verdict = self._fork.push()
        if verdict is None:
            self._below_forked = self._forked
            self._forked, self._copied = True, False
            self.mode = native.MODE_FORK
        return verdict

    def each(self, steps: Steps) -> int:
        """Run the tests; returns the position of the first that is not settled."""
        if self._forked or self._copied:
            return self._fork.each(steps)
        if steps.forked:
            return self._each_forked(steps)
        position = 0
        outcome = self._push()
        # Every rewind comes back to this line, with all variables as they were.
        if outcome == native.SNAPSHOT_CAME_BACK:
            position = native.snapshot_passage()[0]
            position += steps.settle(position, self._verdict())
        elif outcome != native.SNAPSHOT_PUSHED:
            return self._each_forked(steps)
        if position < steps.length and steps.may_go_on(position):
            verdict = steps.run(position)
            if not (verdict.kept or verdict.ended):
                verdict = verdict._replace(condemned=self._rewind(position, verdict))
            position += steps.settle(position, verdict)
        self._drop()
        return position

    def run(self, test: Callable[[], Verdict]) -> Verdict:
        seen: list[Verdict] = []

        def settle(_: int, verdict: Verdict) -> int:
            seen.append(verdict)
            return 1

        self.each(Steps(1, lambda _: test(), settle, lambda _: True))
        return seen[0]

    def pop(self, verdict: Verdict) -> str:
        if self._forked:
            self._fork.pop(verdict)
        if self._copied:
            return "it is a copy of a process that could not be captured"
        why = self._rewind(0, verdict)
        self._drop()
        return why

    def commit(self) -> None:
        if self._forked:
            self._fork.commit()
            self._forked, self._copied = self._below_forked, not self._below_forked
        else:
            self._drop()

    def is_worn_out(self) -> bool:
        resets, growth = native.snapshot_age()
        return 0 < self._max_resets <= resets or 0 < self._max_growth <= growth

    def _push(self) -> int:
        flush_buffers()
        measured.flush_all()
        self._layers.append(ExitCallbacks())
        outcome = native.snapshot_push()
        if outcome not in (native.SNAPSHOT_PUSHED, native.SNAPSHOT_CAME_BACK):
            self._layers.pop().close()
        return outcome

    def _drop(self) -> None:
        native.snapshot_drop()
        self._layers.pop().close()

    def _each_forked(self, steps: Steps) -> int:
        here = getpid()
        self.mode = native.MODE_FORK
        settled = self._fork.each(steps)
        self._copied = getpid() != here
        if not self._copied:
            self.mode = native.MODE_SNAPSHOT
        return settled

    def _rewind(self, position: int, verdict: Verdict) -> str:
        """Leave the test; returns only if it left something that cannot be undone, with what that is."""
        if not native.is_producer():
            _exit(0)  # a process that a test forked came back into the harness
        gc.collect(1)
        unraised.tell_left()
        measured.flush()
        callbacks = self._layers[-1]
        calls_back = callbacks.any_new()
        why = native.snapshot_check() if calls_back else ""
        if why:
            return why

        def leave() -> None:
            if calls_back:
                measured.flush_at_exit()
            flush_buffers(same_files=native.snapshot_same_descriptors())
            flags = INTERRUPTED * verdict.interrupted | RENEWAL_DUE * verdict.renewal_due
            native.snapshot_rewind(position, flags, verdict.imports)

        callbacks.run_new(leave)
        return native.snapshot_refusal()

    @staticmethod
    def _verdict() -> Verdict:
        passage = native.snapshot_passage()
        reset_ns = max(0, native.monotonic_ns() - native.ended_ns())
        interrupted, renewal_due = bool(passage[1] & INTERRUPTED), bool(passage[1] & RENEWAL_DUE)
        return Verdict(interrupted=interrupted, renewal_due=renewal_due, reset_ns=reset_ns, rewind=passage[2])
