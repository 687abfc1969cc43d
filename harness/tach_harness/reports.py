"""Reports on their way from a worker to the controller: muting the worker's own log hooks, packing, unpacking.

Only the controller's plugins may see `logstart`, `logreport`, `logfinish` and `warning_recorded`, as under xdist;
otherwise a conftest that writes a line for each report would write it twice.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest
from _pytest._io.saferepr import saferepr
from _pytest.junitxml import xml_key

from . import log_file
from .link import TerminalSink, native, send, text

if TYPE_CHECKING:
    from .travel import Traveller

LOG_HOOKS = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_warning_recorded",
)
PHASES: dict[Literal["setup", "call", "teardown"], int] = {
    "setup": native.PHASE_SETUP,
    "call": native.PHASE_CALL,
    "teardown": native.PHASE_TEARDOWN,
}
NANOSECONDS = 1_000_000_000
# Set-up time that an item's wide fixtures took before the fork, in its layer; it belongs to the item's own set-up.
FILL_SECONDS = pytest.StashKey[float]()
# What those fixtures recorded for the JUnit XML file.
FILL_EXTRAS = pytest.StashKey[dict[str, Any]]()


# Among what travels with a report: state that hooks around the test keep for the log hooks.
STATE = "state"


class CrashReport(pytest.TestReport):  # type: ignore[misc]  # final in name only; plugins expect its kind
    """The report of a test whose process died; a class of its own so that the terminal counts it apart."""


def crash_status(report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    if isinstance(report, CrashReport):
        return "crashed", "C", ("CRASHED", {"red": True})
    return None


class Muted:
    """Log hooks of which only some are called in this process."""

    def __init__(self, pluginmanager: Any, is_heard: Callable[[Any], bool]) -> None:
        self._changed: list[tuple[list[Any], list[Any], list[Any]]] = []  # pluggy's own; all; those that are heard
        for name in LOG_HOOKS:
            caller = getattr(pluginmanager.hook, name)
            for attribute in ("_hookimpls", "_nonwrappers", "_wrappers"):  # pluggy 1.1 and later; earlier
                implementations = getattr(caller, attribute, None)
                if isinstance(implementations, list):
                    heard = [i for i in implementations if is_heard(i.plugin)]
                    self._changed.append((implementations, implementations[:], heard))
                    implementations[:] = heard

    @contextmanager
    def lifted(self) -> Iterator[None]:
        for implementations, everything, _ in self._changed:
            implementations[:] = everything
        try:
            yield
        finally:
            for implementations, _, heard in self._changed:
                implementations[:] = heard


# The modules that the controller has: those that were loaded before anything was forked.
_controllers_modules: set[str] = set()


def remember_modules() -> None:
    """Call when collection is over and nothing is forked yet."""
    _controllers_modules.update(sys.modules)


def modules_at_fork() -> set[str]:
    """Their names; not to be changed."""
    return _controllers_modules


class _ControllersUnpickler(pickle.Unpickler):
    """Loads what the controller could load: nothing from a module that only this process has imported."""

    def find_class(self, module: str, name: str) -> Any:
        if module not in _controllers_modules:
            raise pickle.UnpicklingError(f"{module} is not loaded in the controller")
        return super().find_class(module, name)


@contextmanager
def _unheard() -> Iterator[None]:
    """Warnings of what we do with the suite's values are not the suite's.

    Not by catch_warnings: that has the interpreter forget which warnings it has shown once.
    """
    filters: Any = warnings.filters
    entry = ("ignore", None, Warning, None, 0)
    filters.insert(0, entry)
    try:
        yield
    finally:
        with suppress(ValueError):
            filters.remove(entry)


def _can_travel(value: Any) -> bool:
    """Whether the controller will be able to load it; a class may pickle and refuse to be made again."""
    try:
        with _unheard():
            _ControllersUnpickler(io.BytesIO(pickle.dumps(value, protocol=5))).load()
    except Exception:
        return False
    return True


class _Shown(str):
    """What a value that cannot travel looks like, in its place."""

    __slots__ = ()
    __repr__ = str.__str__


def _as_text(attribute: Any) -> Any:
    """What stands for an attribute that cannot travel: a structure keeps its shape, since others ask it for its parts.

    Such as the context of a subtest in pytest 9.0, whose arguments may be anything.
    """
    if dataclasses.is_dataclass(attribute) and not isinstance(attribute, type):
        parts = {field.name: getattr(attribute, field.name) for field in dataclasses.fields(attribute) if field.init}
        with suppress(Exception):
            made = dataclasses.replace(attribute, **{n: v if _can_travel(v) else _as_text(v) for n, v in parts.items()})
            if _can_travel(made):
                return made
    if isinstance(attribute, Mapping):
        with suppress(Exception):
            made_of = {str(k): v if _can_travel(v) else _Shown(saferepr(v)) for k, v in attribute.items()}
            if _can_travel(made_of):
                return made_of
    return str(attribute)


# What pytest itself puts on a report; hooks of the suite may add anything.
_OWN_ATTRIBUTES = vars(pytest.TestReport("", ("", None, ""), {}, "passed", None, "call")).keys()


def pack(report: Any, extras: dict[str, Any]) -> bytes:
    """Pickle; what cannot travel inside of a report is replaced by its text, attribute by attribute."""
    plain = type(report) is pytest.TestReport and report.longrepr is None and not report.user_properties
    plain = plain and vars(report).keys() <= _OWN_ATTRIBUTES
    if not (plain or _can_travel((report, extras))):
        if type(report) is not pytest.TestReport and not _can_travel(type(report)):
            report.__class__ = pytest.TestReport
        for name, attribute in list(vars(report).items()):
            if name == "user_properties":
                report.user_properties = [p if _can_travel(p) else (str(p[0]), repr(p[1])) for p in attribute]
            elif not _can_travel(attribute):
                setattr(report, name, _as_text(attribute))
        extras = {name: value for name, value in extras.items() if _can_travel(value)}
    try:
        with _unheard():
            return pickle.dumps((report, extras), protocol=5)
    except Exception:
        for name in [n for n, attribute in vars(report).items() if not _can_travel(attribute)]:
            setattr(report, name, _as_text(getattr(report, name)))
        return pickle.dumps((report, extras), protocol=5)


def pack_warning(warning: warnings.WarningMessage, when: str, nodeid: str, location: Any) -> bytes:
    """Pickle; a warning that cannot travel goes as a plain one of its text."""
    if warning.source is not None:
        # Only whether there was one matters to the controller: it then says how to trace allocations.
        warning.source = type(warning.source).__name__
    if not _can_travel(warning):
        text_of_it = f"{warning.category.__name__}: {warning.message}"
        warning = warnings.WarningMessage(UserWarning(text_of_it), UserWarning, warning.filename, warning.lineno)
    with _unheard():
        return pickle.dumps((warning, when, nodeid, location), protocol=5)


class PropertyWatch:
    """What a test writes into its own process' JUnit XML object: suite properties and attributes of its test case."""

    def __init__(self, config: pytest.Config) -> None:
        self._xml = config.stash.get(xml_key, None)
        self._properties = 0
        self._reporters = 0
        self.begin()

    def begin(self) -> None:
        """A test begins: what was recorded up to now is known to the controller, or another test's."""
        if self._xml is not None:
            self._properties = len(self._xml.global_properties)
            self._reporters = len(self._xml.node_reporters_ordered)

    def take(self) -> dict[str, Any]:
        """What the test has recorded, as the controller's `apply_extras` takes it; a property once, attributes always."""
        extras: dict[str, Any] = {}
        if self._xml is None:
            return extras
        if len(self._xml.global_properties) > self._properties:
            extras["suite_properties"] = self._xml.global_properties[self._properties :]
            self._properties = len(self._xml.global_properties)
        for reporter in self._xml.node_reporters_ordered[self._reporters :]:
            # A rerun that was told by a plugin has a reporter that has recorded nothing yet.
            extras.setdefault("xml_attributes", {}).update(getattr(reporter, "attrs", {}))
        return extras


def apply_extras(config: pytest.Config, report: Any, extras: dict[str, Any]) -> None:
    """In the controller: make known what belongs to the report and is not part of it."""
    if "failed_parts" in extras:
        _count_failed_parts(config, report, extras["failed_parts"])
    nodeid = report.nodeid
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    for name, value in extras.get("suite_properties", ()):
        xml.add_global_property(name, value)
    for name, value in extras.get("xml_attributes", {}).items():
        xml.node_reporter(nodeid).attrs[name] = value


def headline(report: Any) -> str:
    """One line that says what went wrong, as pytest's short summary has it."""
    longrepr = report.longrepr
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None and getattr(crash, "message", None):
        message = str(crash.message)
    elif isinstance(longrepr, tuple):
        message = str(longrepr[2])
    else:
        message = str(longrepr or "")
    lines = message.strip().splitlines()
    return lines[0] if lines else ""


def cause_of(report: Any) -> str:
    """The same for reports that something failed, or was skipped, in the same way at the same place; "" if unknown.

    All lines on the way there count, so that the bodies of two tests are two causes, and a broken fixture is one.
    """
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return "\n".join((str(report.when), *map(str, longrepr)))
    chain = getattr(longrepr, "chain", None)  # ExceptionChainRepr
    tracebacks = [link[0] for link in chain] if chain else [getattr(longrepr, "reprtraceback", None)]
    crash = getattr(longrepr, "reprcrash", None)
    places: list[Any] = [
        getattr(entry, "reprfileloc", None)
        for traceback in tracebacks
        for entry in getattr(traceback, "reprentries", ())
    ]
    if crash is None or not places or None in places:
        return ""  # nobody knows the place: a string, or a style of traceback that leaves it out
    lines = [f"{place.path}:{place.lineno}" for place in places]
    return "\n".join((str(report.when), *lines, str(crash.message)))


def decided_by_marks(item: pytest.Item, report: Any) -> bool:
    """Whether a skip or xfail could have been told without running the test."""
    from _pytest.skipping import evaluate_skip_marks, xfailed_key

    if report.when != "setup" or not report.skipped:
        return False
    if hasattr(report, "wasxfail"):
        xfailed = item.stash.get(xfailed_key, None)
        return xfailed is not None and not xfailed.run
    try:
        return evaluate_skip_marks(item) is not None
    except BaseException:
        return False


def _plain_category(report: Any) -> str:
    """What pytest's terminal and skipping plugins would call it; for sessions without them (-p no:terminal)."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.when == "call" or report.skipped:
        return str(report.outcome)
    return "error" if report.failed else ""


def _is_pytests(plugin: Any) -> bool:
    module = str(getattr(plugin, "__name__", None) or type(plugin).__module__)
    return module.partition(".")[0] in ("_pytest", "tach_harness")


def has_own_categories(config: pytest.Config) -> bool:
    """Whether a plugin of the suite may have a report counted under a name of its own."""
    return any(not _is_pytests(i.plugin) for i in config.hook.pytest_report_teststatus.get_hookimpls())


def has_own_log_hooks(config: pytest.Config) -> bool:
    """Whether a plugin of the suite hears of reports."""
    callers = [getattr(config.hook, name) for name in LOG_HOOKS]
    return any(not _is_pytests(i.plugin) for caller in callers for i in caller.get_hookimpls())


class Categories:
    """What pytest_report_teststatus answers to pytest's terminal, where a plugin of the suite has a say in it.

    Such a hook may have effects, so nobody else asks it: not the process of the test, which has to guess.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._answers: list[str] = []
        self._reports: list[Any] = []
        self._awaited = False

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_report_teststatus(self) -> Any:
        outcome = yield
        if self._awaited and outcome.excinfo is None:
            self._awaited = False
            answer = outcome.get_result()
            self._answers[-1] = str(answer[0]) if answer else ""

    def expect(self, report: Any, guess: str) -> None:
        """A report is going to be told; `guess` stands if nobody asks for its category."""
        self._reports.append(report)
        self._answers.append(guess)
        self._awaited = True

    def tell(self, index: int) -> None:
        """The item is complete."""
        reports, answers = self._reports, self._answers
        self._reports, self._answers, self._awaited = [], [], False
        if any(report.outcome == "rerun" for report in reports):
            answers = [answer if self._is_counted(report, answer) else "" for report, answer in zip(reports, answers)]
        send(native.KIND_CATEGORIES, index, strings=tuple(text(answer) for answer in answers), with_next=True)

    def _is_counted(self, report: Any, category: str) -> bool:
        """False for a part of an attempt that another one has followed, if the plugin has taken it back."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        return terminal is None or any(counted is report for counted in terminal.stats.get(category, ()))


def _superseder(report: Any) -> Any:
    """What takes the subtests of a test's attempt back once it is followed by another one (pytest-rerunfailures)."""
    if report.outcome != "rerun":
        return None
    return getattr(sys.modules.get("pytest_rerunfailures"), "_remove_failed_subtest_reports_from_stats", None)


def forget_superseded(session: pytest.Session, report: Any) -> None:
    """In the controller: what the plugin does beside the test, to counts that are kept here."""
    forget = _superseder(report)
    if forget is not None:
        forget(session.config, session, report.nodeid)


# Where the subtests of pytest 9 are counted, beside the test; that the test contains failed ones is found out when its
# category is asked for.
_failed_parts: Any = getattr(sys.modules.get("_pytest.subtests"), "failed_subtests_key", None)


def _failed_parts_of(config: pytest.Config, report: Any) -> int:
    counts: dict[Any, int] = config.stash.get(_failed_parts, {})
    return max(counts.get(key, 0) for key in (getattr(report, "id", None), report.nodeid))


def _count_failed_parts(config: pytest.Config, report: Any, failed: int) -> None:
    config.stash[_failed_parts][getattr(report, "id", report.nodeid)] = failed


class Reporter:
    """The plugin that stands alone behind the log hooks of a worker (or listens first, in a solo session)."""

    def __init__(self, config: pytest.Config, sink: TerminalSink, with_text: bool, solo: bool = False) -> None:
        """`solo`: in the one process of the session, which writes its log file itself."""
        self._config = config
        self.log_file = None if solo else log_file.LogFile(config)
        self._sink = sink
        self._with_text = with_text
        self._properties = PropertyWatch(config)
        manager = config.pluginmanager
        foreign = [plugin for plugin in manager.get_plugins() if not _is_pytests(plugin)]
        self._teststatus = manager.subset_hook_caller("pytest_report_teststatus", foreign)
        self._in_parts = False  # a part of the test was reported (a subtest): whether it passes depends on them
        self.traveller: Traveller | None = None  # where hooks around a test keep something for the log hooks
        # Failures that collection has counted. In a worker pytest itself counts no others, since its hooks are muted.
        self.failures_before: int | None = None
        self.categories: Categories | None = None  # where pytest's terminal listens, too: in a solo session
        self.index: int = native.NO_ITEM
        self.item: pytest.Item | None = None

    def begin(self, index: int, item: pytest.Item) -> None:
        """What is reported from now on belongs to this item."""
        self.index, self.item = index, item
        self._in_parts = False
        if self.failures_before is not None:
            item.session.testsfailed = self.failures_before + native.failures()
        if self.traveller is not None:
            self.traveller.begin()
        self._properties.begin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        if self._speaks():
            state = (self.traveller.take(),) if self.traveller is not None else ()
            send(native.KIND_LOG_START, self.index, strings=state, with_next=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        if self._speaks():
            written = text(self._sink.take()) if self._sink.holding else b""
            state = (self.traveller.take(),) if self.traveller is not None else ()
            send(native.KIND_LOG_FINISH, self.index, strings=(written, *state), with_next=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        # The hook is historic: to whom it is registered anew, pluggy tells again what was recorded before.
        if self._speaks():
            send(native.KIND_WARNING, self.index, strings=(pack_warning(warning_message, when, nodeid, location),))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        if not self._speaks():
            return
        if report.when == "setup" and self.item is not None:
            report.duration += self.item.stash.get(FILL_SECONDS, 0.0)
        if type(report) is pytest.TestReport:  # not of a part of a test, such as a subtest
            native.set_phase(native.PHASE_CALL if report.when == "setup" and report.passed else native.PHASE_TEARDOWN)
        else:
            self._in_parts = True
        if self.failures_before is not None:
            self._count(report)
        self.send_report(native.KIND_REPORT, report)

    def _count(self, report: Any) -> None:
        """What pytest's session does, but for the end of the run, which the supervisor decides; see `failures_before`."""
        is_part = type(report) is not pytest.TestReport
        if self.item is None:
            return
        session: Any = self.item.session  # Any: a string or a bool
        if self._in_parts and not is_part and report.when == "call" and session.shouldfail:
            # Since pytest 8 a property, which warns of being taken back.
            vars(session)["_shouldfail" if "_shouldfail" in vars(session) else "shouldfail"] = False
        if not report.failed or hasattr(report, "wasxfail"):
            return
        native.count_failure()
        session.testsfailed += 1
        maxfail = self._config.getvalue("maxfail")
        if is_part and maxfail and session.testsfailed >= maxfail:
            session.shouldfail = f"stopping after {session.testsfailed} failures"  # the test itself ends with this part

    def _speaks(self) -> bool:
        """False in a process that a test (or a plugin) forked: under pytest, too, its reports reach nobody else.

        And while a test is left half-way, see first_test.py.
        """
        return self.index != native.NO_ITEM and bool(native.is_producer())

    def pause(self) -> None:
        """Nothing is reported until the next `begin`."""
        self.index, self.item = native.NO_ITEM, None

    def send_report(self, kind: int, report: Any) -> None:
        """Send one report under `kind` (KIND_REPORT or KIND_AMEND)."""
        extras = self.take_properties()
        if report.when == "setup" and self.item is not None:
            filled: dict[str, Any] = self.item.stash.get(FILL_EXTRAS, {})
            logged = filled.get(log_file.EXTRA, "") + extras.get(log_file.EXTRA, "")
            if STATE in filled:
                extras[STATE] = filled[STATE] + extras.get(STATE, [])
            extras = {**filled, **extras, **({log_file.EXTRA: logged} if logged else {})}
        if self._sink.holding:
            extras["terminal"] = self._sink.take()
        flags, category, message, cause = 0, "passed" if report.when == "call" else "", "", ""
        plain = report.outcome == "passed" and not self._in_parts and not hasattr(report, "wasxfail")
        if not plain:
            flags, category, message = self._judge(report)
            cause = cause_of(report)
        if self._in_parts and _failed_parts is not None:
            extras["failed_parts"] = _failed_parts_of(self._config, report)
        if self.categories is not None:
            self.categories.expect(report, category)
        strings = [b"", text(category), text(message)]
        if self._with_text:
            # A skipped part of a test that goes on (a subtest) explains nothing about the test.
            longrepr = "" if report.skipped and type(report) is not pytest.TestReport else report.longreprtext
            strings += [text(s) for s in (longrepr, report.capstdout, report.capstderr)]
        if cause:
            strings += [b""] * (6 - len(strings)) + [text(cause)]
        strings[0] = pack(report, extras)
        start = int(getattr(report, "start", 0.0) * NANOSECONDS)
        duration = int(getattr(report, "duration", 0.0) * NANOSECONDS)
        phase = PHASES.get(report.when, native.PHASE_CALL)
        # A test that fails may end the run: that is told at once.
        hurry = kind != native.KIND_REPORT or report.failed
        send(kind, self.index, a=phase, b=flags, t0=start, t1=duration, strings=tuple(strings), with_next=not hurry)

    def take_properties(self) -> dict[str, Any]:
        """What was recorded for the JUnit XML file, and logged for the log file, since the last call."""
        extras = self._properties.take()
        if self.log_file is not None and (logged := self.log_file.take()):
            extras[log_file.EXTRA] = logged
        if self.traveller is not None and (state := self.traveller.take()):
            extras[STATE] = [state]
        return extras

    def has_logged(self) -> bool:
        """Whether there is something for the log file that no report has taken yet."""
        return self.log_file is not None and self.log_file.is_waiting()

    def _judge(self, report: Any) -> tuple[int, str, str]:
        """Flags, pytest's category and the headline of a report that is not a plain pass."""
        flags = 0
        if report.failed:
            flags |= native.REPORT_FAILED
        if report.skipped:
            flags |= native.REPORT_SKIPPED
        if hasattr(report, "wasxfail"):
            flags |= native.REPORT_XFAIL
        elif report.failed and isinstance(report.longrepr, str) and report.longrepr.startswith("[XPASS(strict)]"):
            flags |= native.REPORT_STRICT
        if self._in_parts and _superseder(report) is not None:
            flags |= native.REPORT_SUPERSEDES
        if self.item is not None and decided_by_marks(self.item, report):
            flags |= native.REPORT_BY_MARK
        # Of a copy, since it may change the report: what is heard first is the report as it was made.
        report = copy.copy(report)
        status = self._teststatus(report=report, config=self._config) or (_plain_category(report),)
        reason = getattr(report, "wasxfail", None)
        return flags, str(status[0]), str(reason) if reason else headline(report)
