"""Wide fixtures that are set up before their first test runs: session fixtures, in a base or (split_wide) in a worker.

That happens inside all hooks of that test, as far as SetupState.setup; then the test is left. It runs later, in a
process that has the fixtures, and its reports have what they left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.fixtures import FixtureDef
from _pytest.logging import caplog_handler_key, caplog_records_key
from _pytest.outcomes import OutcomeException

from .first_test import Point, Unwinding, tearing_down
from .layers import warnings_of
from .plan import fixture_closure, is_wide
from .reports import FILL_EXTRAS, FILL_SECONDS
from .unseen import unseen

if TYPE_CHECKING:
    from .worker import Worker

# Raised by the set-up of wide fixtures for an item, and by nothing that the item's own set-up will do again.
FILL_FAILURE = pytest.StashKey[BaseException]()
# What wide fixtures have logged: records, and the text of caplog's handler.
FILL_LOG = pytest.StashKey[tuple[list[Any], str]]()


class FilledSections:
    """A plugin: gives a test, and its reports, what its wide fixtures have left when they were set up earlier."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Any:
        earlier = len(item._report_sections)
        yield
        sections = item._report_sections
        for index in range(earlier):
            when, key, content = sections[index]
            for later in range(earlier, len(sections)):
                if sections[later][:2] == (when, key):
                    sections[index] = (when, key, content + sections[later][2])
                    del sections[later]
                    break


@contextlib.contextmanager
def joining_sections(item: pytest.Item) -> Iterator[None]:
    """While a test runs; where nothing was left for it there is no plugin, whose frames a failure's text would show."""
    if not item._report_sections:
        yield
        return
    manager, plugin = item.config.pluginmanager, FilledSections()
    manager.register(plugin)
    try:
        yield
    finally:
        manager.unregister(plugin)


class FilledLog:
    """A plugin, the innermost: likewise for what pytest's logging plugin has begun to gather by then."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if FILL_LOG in item.stash and caplog_handler_key in item.stash:
            records, written = item.stash[FILL_LOG]
            del item.stash[FILL_LOG]
            handler = item.stash[caplog_handler_key]
            handler.records[:0] = records
            handler.stream.write(written)


def keep_log(item: pytest.Item) -> None:
    """In the test's set-up, before it is left: what was logged is for its next set-up."""
    if caplog_handler_key in item.stash:
        item.stash[FILL_LOG] = (
            list(item.stash[caplog_records_key]["setup"]),
            item.stash[caplog_handler_key].stream.getvalue(),
        )


class _StopFilling(BaseException):
    """Raised before the first fixture that is too narrow for the layer; pytest caches only Exception and OutcomeException."""


@contextlib.contextmanager
def _stopping_at(narrow: Any) -> Iterator[None]:
    """Let FixtureDef.execute raise _StopFilling for each definition for which `narrow` is true.

    No fixture's function is left half-way: what one asks for while it runs (or what a hook around it asks for) is set
    up, whatever it is. What a narrow definition asks for is set up first: it may override a wide one by its name.
    """
    original = FixtureDef.execute
    running = 0  # functions of fixtures, and hooks around them, that have begun and not ended

    @unseen
    def execute(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        nonlocal running
        if running:
            return original(self, request)
        if narrow(self):
            for name in self.argnames:
                with contextlib.suppress(_StopFilling):
                    request._get_active_fixturedef(name)
            raise _StopFilling
        for name in self.argnames:  # as pytest does next; what is asked for after that, the function asks for
            request._get_active_fixturedef(name)
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


def fill_session(worker: Worker, index: int, wanted: Collection[Any]) -> bool:
    """Set up just these FixtureDefs, which end with the session; collectors below the session are not entered.

    False if hooks keep the item from being set up.
    """
    item = worker.session.items[index]
    failures: list[BaseException] = []
    started = time.perf_counter()

    def setup(target: pytest.Item) -> None:
        worker.reporter.begin(index, item)
        try:
            with warnings_of(item), worker.plugin.unraised.listening():
                _set_up(target, wanted)
        except (Exception, OutcomeException) as error:
            failures.append(error)

    def reached(point: Point) -> None:
        keep_log(item)
        item.stash[FILL_EXTRAS] = worker.reporter.take_properties()
        worker.reporter.pause()
        worker.unwinding = True
        point.unwind()

    point = Point(item, reached, setup)
    keeping = tearing_down(worker.session, lambda _: worker.session)
    # What hooks around it report and warn of they will again, when the test runs.
    with contextlib.suppress(Unwinding), keeping, point.awaited(), worker.expecting(wanted):
        worker.interrupted = worker.hooks(index)
    worker.unwinding = False
    worker.reporter.pause()
    if not point.is_reached:
        return False
    point.left(keeps_sections=True)
    state: Any = worker.session._setupstate  # Any: its stack has other types in other versions
    # What pytest has cached in the FixtureDef, every test concerned reports itself.
    if failures and not _is_cached(failures[0], item):
        item.stash[FILL_FAILURE] = failures[0]
    for node in list(state.stack)[1:]:
        del state.stack[node]
    item.stash[FILL_SECONDS] = time.perf_counter() - started
    return True


def _set_up(item: Any, wanted: Collection[Any]) -> None:
    def narrow(definition: Any) -> bool:
        return definition.scope == "function" or (is_wide(definition) and definition not in wanted)

    for node in item.listchain():
        item.session._setupstate.stack.setdefault(node, ([], None))
    failure: BaseException | None = None
    names = {definition.argname for definition in wanted}
    for name in fixture_closure(item):
        try:
            if name in names:
                with contextlib.suppress(_StopFilling), _stopping_at(narrow):
                    item._request._get_active_fixturedef(name)
        except (Exception, OutcomeException) as error:
            failure = failure or error  # the others are needed by other items
    if failure is not None:
        raise failure


def _is_cached(error: BaseException, item: pytest.Item) -> bool:
    held = [d.cached_result[2] for ds in fixture_closure(item).values() for d in ds if d.cached_result is not None]
    # An exception, or, depending on the version, a tuple with the exception and its traceback.
    return any(part is error for entry in held for part in (entry if isinstance(entry, tuple) else (entry,)))


@contextlib.contextmanager
def failing_as_filled(item: pytest.Item) -> Iterator[None]:
    """Let the item's set-up fail as bringing its layer up to date did, if that has to be its failure."""
    failure = item.stash.get(FILL_FAILURE, None)
    if failure is None:
        yield
        return

    @unseen
    def setup(target: pytest.Item) -> None:
        __tracebackhide__ = True
        raise failure.with_traceback(failure.__traceback__)

    state: Any = item.session._setupstate  # Any: a method of this one object is replaced
    state.setup = setup
    try:
        yield
    finally:
        del state.setup
