"""Wide fixtures: setting them up into a layer, and finalising them when it is popped.

Both go through pytest's own hooks and SetupState, reduced to pytest's own plugins: those give the capture and logging
context in which fixtures run, while hooks of the suite run once per test, in the test's process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from _pytest.fixtures import FixtureDef
from _pytest.logging import caplog_records_key
from _pytest.outcomes import Exit, OutcomeException
from _pytest.runner import CallInfo
from _pytest.warnings import catch_warnings_for_item

from . import measured
from .link import native
from .plan import fixture_closure, is_wide
from .process import CAPTURE_FILE
from .reports import FILL_EXTRAS, FILL_SECONDS, Reporter
from .unraised import Unraised

# Raised by bringing the layer up to date for an item, and by nothing that the item's own set-up will do again.
FILL_FAILURE = pytest.StashKey[BaseException]()


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


def _is_builtin(plugin: Any) -> bool:
    module = str(getattr(plugin, "__name__", None) or type(plugin).__module__)
    return module.partition(".")[0] == "_pytest" and module != "_pytest.nose"


def _builtin_hook(item: pytest.Item, name: str) -> Any:
    manager = item.config.pluginmanager
    foreign = [plugin for plugin in manager.get_plugins() if not _is_builtin(plugin)]
    return manager.subset_hook_caller(name, remove_plugins=foreign)


def _warnings_of(item: pytest.Item) -> contextlib.AbstractContextManager[None]:
    if item.config.pluginmanager.has_plugin("warnings"):
        return catch_warnings_for_item(config=item.config, ihook=item.ihook, when="runtest", item=item)
    return contextlib.nullcontext()


class Filler:
    """Brings layers up to date in this process."""

    def __init__(self, session: pytest.Session, reporter: Reporter, unraised: Unraised, sigint: Any) -> None:
        self._sigint = sigint
        self._state: Any = session._setupstate  # Any: methods of this one object are replaced
        self._reporter = reporter
        self._unraised = unraised

    def fill_session(self, item: pytest.Item, wanted: Collection[Any]) -> None:
        """Set up just these FixtureDefs, which end with the session; collectors below the session are not entered."""

        def narrow(definition: Any) -> bool:
            return definition.scope == "function" or (is_wide(definition) and definition not in wanted)

        def setup(target: Any) -> None:
            __tracebackhide__ = True
            for node in target.listchain():
                self._state.stack.setdefault(node, ([], None))
            failure: BaseException | None = None
            names = {definition.argname for definition in wanted}
            for name in fixture_closure(target):
                try:
                    if name in names:
                        with contextlib.suppress(_StopFilling), _stopping_at(narrow):
                            target._request._get_active_fixturedef(name)
                except (Exception, OutcomeException) as error:
                    failure = failure or error  # the others are needed by other items
            if failure is not None:
                raise failure

        self._fill(item, setup)
        for node in list(self._state.stack)[1:]:
            del self._state.stack[node]

    def _fill(self, item: pytest.Item, setup: Any) -> None:
        started = time.perf_counter()
        failures: list[BaseException] = []

        def watched(target: pytest.Item) -> None:
            __tracebackhide__ = True
            try:
                with self._unraised.listening():
                    setup(target)
            except BaseException as error:
                failures.append(error)
                raise

        self._state.setup = watched
        try:
            measured.switch_context(item, "setup")
            with _warnings_of(item), self._interruptible(native.PHASE_FILL):
                _builtin_hook(item, "pytest_runtest_setup")(item=item)
        except KeyboardInterrupt:
            raise
        except BaseException:
            # What pytest has cached in the FixtureDef or the SetupState, every test concerned reports itself. The rest
            # (finalising the last parameter's value failed) is this test's.
            if failures and not self._is_cached(failures[0], item):
                item.stash[FILL_FAILURE] = failures[0]
        finally:
            del self._state.setup
            self._state.stack.pop(item, None)
            if hasattr(item, "_initrequest"):
                item._initrequest()
            os.environ.pop("PYTEST_CURRENT_TEST", None)
        item.stash[FILL_SECONDS] = time.perf_counter() - started
        item.stash[FILL_EXTRAS] = self._reporter.take_properties()

    def _is_cached(self, error: BaseException, item: pytest.Item) -> bool:
        held = [d.cached_result[2] for ds in fixture_closure(item).values() for d in ds if d.cached_result is not None]
        held += [failure for node, (_, failure) in self._state.stack.items() if node is not item]
        # An exception, or, depending on the version, a tuple with the exception and its traceback.
        return any(part is error for entry in held for part in (entry if isinstance(entry, tuple) else (entry,)))

    @contextlib.contextmanager
    def _interruptible(self, phase: int) -> Iterator[None]:
        """Ctrl-C reaches fixtures as it reaches tests; what is around them is the supervisor's to end."""
        native.set_phase(phase)
        previous = signal.signal(signal.SIGINT, self._sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def pop(self, item: pytest.Item, nextitem: Any) -> bool:
        """Finalise what `nextitem` no longer needs; failure and output are charged to `item`. True if there were any."""
        item._report_sections.clear()
        item.stash[caplog_records_key] = {}
        hook = _builtin_hook(item, "pytest_runtest_teardown")

        def teardown() -> None:
            __tracebackhide__ = True  # a failure's text must be pytest's
            hook(item=item, nextitem=nextitem)

        measured.switch_context(item, "teardown")
        with _warnings_of(item), self._interruptible(native.PHASE_POP):
            call = CallInfo.from_call(teardown, when="teardown", reraise=(Exit, KeyboardInterrupt))
        if call.excinfo is None and not item._report_sections and not self._reporter.has_logged():
            return False
        try:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        except Exception:
            # A hook of the suite that needs what only a running test has (its funcargs).
            report = pytest.TestReport.from_item_and_call(item, call)
        self._reporter.send_report(native.KIND_AMEND, report)
        return True

    def pop_is_due(self, nextitem: Any) -> bool:
        """Whether a node on the stack ends before `nextitem`."""
        chain = nextitem.listchain() if nextitem is not None else []
        nodes = list(self._state.stack)
        return nodes != chain[: len(nodes)]


@contextlib.contextmanager
def failing_as_filled(item: pytest.Item) -> Iterator[None]:
    """Let the item's set-up fail as bringing its layer up to date did, if that has to be its failure."""
    failure = item.stash.get(FILL_FAILURE, None)
    if failure is None:
        yield
        return

    def setup(target: pytest.Item) -> None:
        __tracebackhide__ = True
        raise failure.with_traceback(failure.__traceback__)

    state: Any = item.session._setupstate  # Any: a method of this one object is replaced
    state.setup = setup
    try:
        yield
    finally:
        del state.setup


RIGHTS = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp")


def rights() -> str:
    """Who this process is and what it may do, which no rewind brings back: lines of proc_pid_status(5)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return "".join(line for line in status if line.startswith(RIGHTS))


def live_findings() -> list[str]:
    """What there is since the last guard mark that cannot be rewound; but for pytest's own capturing."""
    findings = [f"{kind}: {detail}" for kind, detail in native.guard_findings() if kind != "regular"]
    return [finding for finding in findings if CAPTURE_FILE not in finding]


def live_reason() -> str:
    """Why the state since the last guard mark cannot be rewound; "" if it can."""
    return "; ".join(live_findings()[:3])
