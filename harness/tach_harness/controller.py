"""The controller: replays what the workers reported to the plugins of the one session that the user sees.

Messages arrive item by item in collection order, as LogStart, Report..., LogFinish, Amend..., Done, or a Crash. What
pytest's own run-test loop does after each item (-x, stepwise, pytest.exit) happens here after each Done.
"""

from __future__ import annotations

import pickle
import signal
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from os import _exit
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import unraisableexception

from . import garbage, log_file, measured, unraised
from .link import Message, native, receive, send
from .reports import PHASES, STATE, Categories, CrashReport, Muted, apply_extras, forget_superseded, has_own_categories
from .worker import EXIT_INTERNAL, EXIT_INTERRUPT

if TYPE_CHECKING:
    from .session import TachPlugin


# How often pytest, since 8.4, has Python look for garbage when it ends: as a rule 5 times.
_collections_at_the_end = getattr(unraisableexception, "gc_collect_iterations_key", None)


class RemoteInternalError(Exception):
    """A hook of the suite raised in a worker; carries the worker's traceback."""


def merge_teardown(report: Any, amendment: Any) -> Any:
    """Join a test's own teardown report with that of the layer that ended with it, as one teardown would have been."""
    merged, other = (report, amendment) if report.failed else (amendment, report)
    if report.failed and amendment.failed:
        merged.longrepr = f"{report.longreprtext}\n\n{amendment.longreprtext}"
    merged.sections = [*report.sections, *amendment.sections]
    merged.duration = report.duration + amendment.duration
    merged.user_properties = report.user_properties or other.user_properties
    return merged


def unpack(item: pytest.Item, message: Message) -> tuple[Any, dict[str, Any]]:
    """Report and extras; what does not load here (its class changed its mind) becomes a report of the message's words."""
    try:
        report, extras = pickle.loads(message.strings[0])
        return report, extras
    except Exception as error:
        failed, skipped = message.b & native.REPORT_FAILED, message.b & native.REPORT_SKIPPED
        words = [s.decode("utf-8", "replace") for s in message.strings[2:4]]  # headline; with --format json, longrepr
        report = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={name: 1 for name in item.keywords},
            outcome="failed" if failed else "skipped" if skipped else "passed",
            longrepr=(words and (words[-1] or words[0])) or (f"the report did not load: {error!r}" if failed else None),
            when={number: name for name, number in PHASES.items()}.get(message.a, "call"),
            duration=message.t1 / 1e9,
        )
        if skipped:
            report.longrepr = (str(item.location[0]), item.location[1] or 0, str(report.longrepr or ""))
        if message.b & native.REPORT_XFAIL:
            report.wasxfail = words[0] if words else ""
        return report, {}


def unpack_warning(message: Message) -> tuple[warnings.WarningMessage, str, str, Any]:
    """The arguments of pytest_warning_recorded; a warning that does not load here is told as one."""
    try:
        warning, when, nodeid, location = pickle.loads(message.strings[0])
        return warning, when, nodeid, location
    except Exception as error:
        words = f"a warning did not load in the process that reports it: {error!r}"
        return warnings.WarningMessage(UserWarning(words), UserWarning, __file__, 0), "runtest", "", None


class Replayer:
    """Feeds one item's messages to the session's hooks."""

    def __init__(self, session: pytest.Session, plugin: TachPlugin) -> None:
        self.session = session
        self.plugin = plugin
        self._waiting: list[Message] = []
        self._state = plugin.traveller
        self._muted: Muted | None = None  # where hooks have been called beside the tests
        self.categories: Categories | None = None
        if has_own_categories(session.config):
            self.categories = Categories(session.config)
            session.config.pluginmanager.register(self.categories, "tach-categories")

    def mute(self, plugins: list[Any]) -> None:
        """Their log hooks are called beside the tests."""
        if plugins:
            manager = self.session.config.pluginmanager
            self._muted = Muted(manager, lambda heard: not any(heard is one for one in plugins))

    def feed(self, message: Message) -> bool:
        """Take a message; True when an item is complete and was replayed."""
        if message.kind == native.KIND_WARNING and not self._waiting:
            self._one(message, [])  # from the end of a layer or a base, after its item
            return False
        self._waiting.append(message)
        if message.kind not in (native.KIND_DONE, native.KIND_CRASH, native.KIND_EXIT):
            return False
        batch, self._waiting = self._waiting, []
        self._replay(batch)
        return True

    def _replay(self, batch: list[Message]) -> None:
        items = self.session.items
        amendments = [unpack(items[m.item], m) for m in batch if m.kind == native.KIND_AMEND and m.item < len(items)]
        last_report = max((i for i, m in enumerate(batch) if m.kind == native.KIND_REPORT), default=-1)
        for index, message in enumerate(batch):
            amend = amendments if index == last_report else []
            self._one(message, amend)

    def _one(self, message: Message, amendments: list[tuple[Any, dict[str, Any]]]) -> None:
        hook = self.session.config.hook
        kind = message.kind
        if kind == native.KIND_WARNING:
            warning, when, nodeid, location = unpack_warning(message)
            arguments = {"warning_message": warning, "when": when, "nodeid": nodeid, "location": location}
            hook.pytest_warning_recorded.call_historic(kwargs=arguments)
            return
        if message.item >= len(self.session.items):
            return
        item = self.session.items[message.item]
        if kind == native.KIND_LOG_START:
            self._put(message.strings[:1])
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        elif kind == native.KIND_REPORT:
            self._report(item, message, amendments)
        elif kind == native.KIND_LOG_FINISH:
            self._show(message.strings[0].decode() if message.strings else "")
            self._put(message.strings[1:])
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        elif kind == native.KIND_DONE:
            if self.categories is not None:
                self.categories.tell(message.item)
            self._take_stops(message)
        elif kind == native.KIND_CRASH:
            # Only this process can tell of that.
            with self._muted.lifted() if self._muted is not None else nullcontext():
                self._crash(item, message)
        elif kind == native.KIND_EXIT:
            self._exit(message)

    def _report(self, item: pytest.Item, message: Message, amendments: list[tuple[Any, dict[str, Any]]]) -> None:
        report, extras = unpack(item, message)
        self._show(extras.pop("terminal", ""))
        self._put(extras.pop(STATE, ()))
        log_file.show(self.session.config, extras.pop(log_file.EXTRA, ""))
        apply_extras(self.session.config, report, extras)
        for amendment, more in amendments:
            log_file.show(self.session.config, more.get(log_file.EXTRA, ""))
            report = merge_teardown(report, amendment)
        if self.categories is not None:
            self.categories.expect(report, message.strings[1].decode("utf-8", "replace"))
        item.ihook.pytest_runtest_logreport(report=report)
        forget_superseded(self.session, report)

    def _put(self, states: Iterable[bytes]) -> None:
        if self._state is not None:
            for state in states:
                self._state.put(state)

    def _show(self, written: str) -> None:
        """What a worker's terminal reporter had written beside the reports (live logs)."""
        reporter = self.session.config.pluginmanager.get_plugin("terminalreporter")
        if written and reporter is not None:
            reporter._tw._file.write(written)
            reporter._tw._current_line = written.rpartition("\n")[2]  # pytest pads the line by what is on it

    def _take_stops(self, message: Message) -> None:
        if message.b & native.DONE_SHOULD_STOP:
            extras = pickle.loads(message.strings[0])
            self.session.shouldstop = extras["shouldstop"] or self.session.shouldstop
            self.session.shouldfail = extras["shouldfail"] or self.session.shouldfail

    def _crash(self, item: pytest.Item, message: Message) -> None:
        headline, out, err, stack = (s.decode("utf-8", "replace") for s in message.strings[:4])
        sections = [("Captured stdout", out), ("Captured stderr", err), ("Python stack", stack)]
        sections = [(name, content) for name, content in sections if content]
        body = "".join(f"{f' {name} ':-^80}\n{content.rstrip()}\n" for name, content in sections)
        report = CrashReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={name: 1 for name in item.keywords},
            outcome="failed",
            longrepr=headline,
            when="call",
            sections=sections,
            duration=message.t0 / 1e9,
        )
        self.plugin.end.crashes.append((item.nodeid, headline, body))
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _exit(self, message: Message) -> None:
        reason, code = pickle.loads(message.strings[0])
        if message.a == EXIT_INTERRUPT:
            self.plugin.interruption.take(message.strings)
            raise KeyboardInterrupt(*([reason] if reason else []))
        if message.a == EXIT_INTERNAL:
            raise RemoteInternalError("\n" + reason)
        raise pytest.exit.Exception(reason, code)


def check_stop(session: pytest.Session) -> None:
    """What pytest's loop does after each item."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def run(session: pytest.Session, plugin: TachPlugin) -> bool:
    """Replay until the supervisor says that nothing more comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plugin.watch.close()
    if _collections_at_the_end is not None:
        # Of the garbage that pytest looks for there, tests have made none in this process.
        session.config.stash.setdefault(_collections_at_the_end, 2)
    # The reports pile up, and Python would look for garbage among all that the collection has made again and again.
    garbage.hide()
    try:
        return _replay_all(session, plugin)
    finally:
        garbage.show()
        measured.merge()


def _replay_all(session: pytest.Session, plugin: TachPlugin) -> bool:
    replayer = Replayer(session, plugin)
    replayer.mute(plugin.beside)
    stopped: BaseException | None = None
    while True:
        message = receive()
        if message.kind == native.KIND_END and message.a == native.END_ABANDONED:
            _exit(0)  # the session is begun anew, in another process, and ends there
        if message.kind == native.KIND_END:
            plugin.end.lines = [line.decode("utf-8", "replace") for line in message.strings]
            break
        if message.kind == native.KIND_EXIT and message.b:
            plugin.interruption.take(message.strings)
            continue
        if message.kind == native.KIND_UNRAISED:
            unraised.hear(session.config, message.strings[0])
            continue
        if stopped is not None:
            continue  # the supervisor has not heard yet; nothing after the stop is reported
        try:
            if replayer.feed(message):
                check_stop(session)
        except BaseException as error:
            stopped = error
            send(native.KIND_RUN_DONE, message.item, b=1)
    if stopped is not None:
        raise stopped
    if message.a == native.END_INTERRUPTED:
        plugin.interruption.is_elsewhere = True
        raise KeyboardInterrupt
    return True
