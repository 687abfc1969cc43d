"""The first test under a layer: it runs through all of pytest's hooks once, and the layer is made half-way.

When its wide fixtures are set up and before the first narrow one is, the *point* is reached, and the process is
captured there, deep in pytest's frames. The test goes on from there to its end, and nothing about it differs from
pytest. When it has ended, the process comes back to the point and leaves the test by an exception, with the wide
fixtures set up: that is the layer in which all other tests run.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _pytest.fixtures import FixtureDef
from _pytest.outcomes import Exit, OutcomeException

from . import layers
from .link import native
from .plan import fixture_closure, is_plain_wide, scope_node
from .unseen import unseen

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Unwinding(Exit):
    """Leaves a test for its layer. pytest makes no report of an Exit, and hooks are used to it."""


@contextlib.contextmanager
def _calling_before(narrow: Callable[[Any], bool], reached: Callable[[], None]) -> Iterator[None]:
    """Call `reached`, once, when the first fixture that is `narrow` is about to be set up, and what it asks for is there.

    Never while a fixture's function runs, or a hook around it: what one asks for there is set up, whatever it is, since
    no function may be left half-way.
    """
    original = FixtureDef.execute
    running = 0  # functions of fixtures, and hooks around them, that have begun and not ended

    @unseen
    def execute(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        nonlocal running
        if running:
            return original(self, request)
        for name in self.argnames:  # as pytest does next; what is asked for after that, the function asks for
            request._get_active_fixturedef(name)
        if narrow(self):
            FixtureDef.execute = original  # type: ignore[method-assign]
            reached()
            return original(self, request)
        running += 1
        try:
            return original(self, request)
        finally:
            running -= 1

    FixtureDef.execute = execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        FixtureDef.execute = original  # type: ignore[method-assign]


def hold_timers() -> Callable[[], None]:
    """Stop the interval timers (a plugin's, which limit the test's time); returns what lets them run on.

    They would not reach a copy of this process, nor a state of it that is captured.
    """
    running = [(timer, signal.getitimer(timer)) for timer in TIMERS]
    running = [(timer, left) for timer, left in running if left[0]]
    for timer, _ in running:
        signal.setitimer(timer, 0)

    def let_run() -> None:
        for timer, left in running:
            signal.setitimer(timer, *left)

    return let_run


class Point:
    """Where, in the set-up of `item`, the wide fixtures are there and the narrow ones are not.

    `reached` is called there, once. It may raise Unwinding. `setup` is called instead of pytest's set-up, and leads
    to the point.
    """

    def __init__(
        self,
        item: pytest.Item,
        reached: Callable[[Point], None],
        setup: Callable[[pytest.Item], None] | None = None,
    ) -> None:
        self.item = item
        self._own_setup = setup
        self.live_before: list[str] = []  # what hooks around the set-up hold that cannot be rewound
        self.is_reached = False
        self._reached = reached
        self._state: Any = item.session._setupstate  # Any: methods of this one object are replaced
        self._runtest = vars(item).get("runtest")  # a plugin may have replaced that one, too

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """While the item's protocol runs."""
        self._state.setup = self._setup
        try:
            yield
        finally:
            vars(self._state).pop("setup", None)

    @unseen
    def _setup(self, item: pytest.Item) -> None:
        __tracebackhide__ = True
        del self._state.setup  # a plugin may run the test more than once: its wide fixtures are there then
        has_class = item.getparent(pytest.Class) is not None

        def narrow(definition: Any) -> bool:
            return definition.scope == "function" or (definition.scope == "class" and not has_class)

        self.live_before = layers.live_findings()
        native.set_phase(native.PHASE_FILL)
        try:
            if self._own_setup is not None:
                self._own_setup(item)
            else:
                with _calling_before(narrow, self._reach):
                    type(self._state).setup(self._state, item)
        except (KeyboardInterrupt, Exit):
            raise
        except BaseException:
            self._reach()  # others may need what could be set up
            raise
        self._reach()

    def _reach(self) -> None:
        if not self.is_reached:
            self.is_reached = True
            self._set_up_foreseen()
            native.set_phase(native.PHASE_SETUP)
            self._reached(self)

    def _set_up_foreseen(self) -> None:
        """Wide fixtures that a plugin is going to ask for on behalf of narrow ones belong to the layer."""
        own = getattr(getattr(self.item, "_fixtureinfo", None), "name2fixturedefs", {})
        for name, definitions in fixture_closure(self.item).items() if own and self._own_setup is None else ():
            definition = definitions[-1]
            if (
                name not in own
                and scope_node(self.item, definition) is not None
                and is_plain_wide(self.item, definition)
            ):
                with contextlib.suppress(Exception, OutcomeException):  # cached: those who ask for it report it
                    self.item._request._get_active_fixturedef(name)  # type: ignore[attr-defined]

    # --- in the layer's time line -------------------------------------------------------------------------------

    def unwind(self) -> None:
        """Leave the test: whatever hooks make of the exception, no more of the test happens."""

        def refuse(*_: Any, **__: Any) -> None:
            raise Unwinding("the test has run in another time line")

        self._state.setup = self._state.teardown_exact = self.item.runtest = refuse  # type: ignore[method-assign]
        _allow_writing(False)
        refuse()

    def left(self, keeps_sections: bool = False) -> None:
        """The test's frames are gone: the layer is as if the item had not been set up yet.

        `keeps_sections`: what was captured has been in no report yet.
        """
        _allow_writing(True)
        for owner, name in ((self._state, "setup"), (self._state, "teardown_exact"), (self.item, "runtest")):
            vars(owner).pop(name, None)
        if self._runtest is not None:
            self.item.runtest = self._runtest  # type: ignore[method-assign]
        self._state.stack.pop(self.item, None)
        if hasattr(self.item, "_initrequest"):
            self.item._initrequest()
        if not keeps_sections:
            self.item._report_sections.clear()
        os.environ.pop("PYTEST_CURRENT_TEST", None)


_limit: tuple[int, int] | None = None


def _allow_writing(allowed: bool) -> None:
    """Hooks that are left put back what they had changed, which is wanted, and may write a line somewhere, which is not:

    they have done so, or will do so, in the test's own time line.
    """
    global _limit
    with contextlib.suppress(OSError, ValueError):
        if allowed and _limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, _limit)
            _limit = None
        elif not allowed:
            _limit = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, _limit[1]))


@contextlib.contextmanager
def tearing_down(session: pytest.Session, keeps: Callable[[Any], Any]) -> Iterator[None]:
    """While a test runs: have its teardown end what does not belong to `keeps(nextitem)`.

    Hooks are told pytest's own next item, which may run somewhere else.
    """
    state: Any = session._setupstate  # Any: a method of this one object is replaced

    @unseen
    def teardown_exact(nextitem: Any) -> None:
        __tracebackhide__ = True
        type(state).teardown_exact(state, keeps(nextitem))

    state.teardown_exact = teardown_exact
    try:
        yield
    finally:
        vars(state).pop("teardown_exact", None)
