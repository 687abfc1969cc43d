"""Wide fixtures that are finalised between tests, and what must not be left in a layer.

Most are finalised inside of the hooks of the last test that needs them (units.py). Where that is not known before, or
where the process goes on with others of them, it happens here, in hooks reduced to pytest's own plugins: those give the
capture and logging context in which fixtures run, while hooks of the suite run once per test.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.logging import caplog_records_key
from _pytest.outcomes import Exit
from _pytest.runner import CallInfo
from _pytest.warnings import catch_warnings_for_item

from . import measured
from .link import native
from .process import CAPTURE_FILE
from .reports import Reporter
from .unseen import unseen


def _is_builtin(plugin: Any) -> bool:
    module = str(getattr(plugin, "__name__", None) or type(plugin).__module__)
    return module.partition(".")[0] == "_pytest" and module != "_pytest.nose"


def _builtin_hook(item: pytest.Item, name: str) -> Any:
    manager = item.config.pluginmanager
    foreign = [plugin for plugin in manager.get_plugins() if not _is_builtin(plugin)]
    return manager.subset_hook_caller(name, remove_plugins=foreign)


class Finaliser:
    """Brings layers up to date in this process, downwards."""

    def __init__(self, session: pytest.Session, reporter: Reporter, sigint: Any) -> None:
        self._sigint = sigint
        self._state: Any = session._setupstate  # Any: its stack has other types in other versions
        self._reporter = reporter

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

        @unseen
        def teardown() -> None:
            __tracebackhide__ = True  # a failure's text must be pytest's
            hook(item=item, nextitem=nextitem)

        measured.switch_context(item, "teardown")
        with warnings_of(item), self._interruptible(native.PHASE_POP):
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


def warnings_of(item: pytest.Item) -> contextlib.AbstractContextManager[None]:
    """What pytest puts around a test, so that its warnings are told; for what happens outside of that."""
    if item.config.pluginmanager.has_plugin("warnings"):
        return catch_warnings_for_item(config=item.config, ihook=item.ihook, when="runtest", item=item)
    return contextlib.nullcontext()


RIGHTS = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp")


def rights() -> str:
    """Who this process is and what it may do, which no rewind brings back: lines of proc_pid_status(5)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return "".join(line for line in status if line.startswith(RIGHTS))


def live_findings() -> list[str]:
    """What there is since the last guard mark that cannot be rewound; but for pytest's own capturing."""
    findings = [f"{kind}: {detail}" for kind, detail in native.guard_findings() if kind != "regular"]
    if measured.is_started_late():
        findings.append("a coverage that was started here")
    return [finding for finding in findings if CAPTURE_FILE not in finding]


def live_reason() -> str:
    """Why the state since the last guard mark cannot be rewound; "" if it can."""
    return "; ".join(live_findings()[:3])
