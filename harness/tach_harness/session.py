"""The zygote: one pytest session up to the end of collection, then a fork server or, where that would be wrong, solo."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _pytest.config
import pytest

from . import debugger, garbage, measured, quiet, solo
from .entropy import Entropy
from .interruption import Interruption
from .link import NO_ITEM, TerminalSink, native, receive, send, text
from .loader import Loader
from .options import Options
from .plan import Plan
from .reports import crash_status, has_own_log_hooks, remember_modules
from .serve import Server
from .unraised import Unraised
from .watch import Watch

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .travel import Traveller


class SessionEnd:
    """What the controller's own summary section shows; filled when the run is over."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.crashes: list[tuple[str, str, str]] = []  # node id, headline, text


class Remembered:
    """What the supervisor tells at the start of the session, KIND_LATE of shm/message.h; received when asked for."""

    @functools.cached_property
    def _strings(self) -> tuple[list[str], ...]:
        return tuple(
            [record for record in string.decode("utf-8", "surrogateescape").split("\0") if record]
            for string in receive().strings
        )

    @property
    def late_fixtures(self) -> dict[str, list[str]]:
        """Test file -> wide fixtures that its tests asked for at run time, in earlier runs."""
        records = [record.split("\n") for record in self._strings[0]]
        return {record[0]: record[1:] for record in records}

    @property
    def imports(self) -> dict[str, str]:
        """Module that several tests imported, in earlier runs -> its origin."""
        records = [record.split("\n") for record in self._strings[1]]
        return {record[0]: record[1] for record in records if len(record) == 2}

    @property
    def left_out(self) -> dict[str, tuple[str, str]]:
        """Module that could not be kept, in earlier runs -> its origin and what that file's stamp was."""
        records = [record.split("\n") for record in self._strings[1]]
        return {record[0]: (record[1], record[2]) for record in records if len(record) == 3}

    @property
    def unaffected(self) -> frozenset[str]:
        """Files no test of which is wanted."""
        return frozenset(self._strings[2])

    @property
    def kept_directory(self) -> Path:
        """The project's .tach."""
        return Path(self._strings[3][0])


class TachPlugin:
    """Our one plugin in the user's pytest: takes over the run-test loop and the terminal reporter's output."""

    def __init__(self, options: Options, loader: Loader) -> None:
        self.options = options
        self.loader = loader
        self.sink = TerminalSink()
        self.sink.muted = options.restarted
        self.end = SessionEnd()
        self.wanted_workers = 0
        self.uses_xdist = False
        self.deselected = 0
        self.collect_skipped = 0
        self.collect_errors = 0
        self._counts_told = False
        self._images_told = False
        self.entropy = Entropy(options.seed)
        self.suite_sigint: Any = signal.default_int_handler
        self.run_uid = os.urandom(16).hex()  # as xdist has it
        self.remembered = Remembered()
        self.unraised = Unraised()
        self.failures_before = 0  # what pytest had counted when collection was over
        self.watch: Watch  # from the run-test loop on
        self.beside: list[Any] = []  # plugins whose log hooks are called beside the tests, see conversation.py
        self.traveller: Traveller | None = None
        self.interruption = Interruption()
        self._config: pytest.Config | None = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Any:
        """Around pytest-cov, which starts here, and measures in another way if xdist is to run the tests."""
        known: Any = early_config.known_args_namespace
        if getattr(known, "numprocesses", None):
            known.numprocesses = None  # pytest_cmdline_main takes it from the whole command line
        if getattr(known, "dist", "no") != "no":
            known.dist = "no"
        yield
        measured.hide_harness()

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Take xdist's `-n` of addopts as ours, before xdist acts on it."""
        option = config.option
        if (
            getattr(option, "numprocesses", None)
            or getattr(option, "dist", "no") != "no"
            or getattr(option, "tx", None)
        ):
            self.wanted_workers = int(getattr(option, "numprocesses", 0) or 0) or len(getattr(option, "tx", None) or [])
            self.uses_xdist = True
            option.numprocesses, option.dist, option.tx = None, "no", []
            if hasattr(option, "maxprocesses"):
                option.maxprocesses = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config
        debugger.install()
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or (solo.is_interactive(config) and not self.options.explain):
            return
        reporter._tw._file = self.sink
        reporter._file = self.sink
        reporter.isatty = type(reporter.isatty)(False)  # bool, or pytest's own bool that can be called
        if self.options.list_only:
            config.option.verbose = -1

    @pytest.hookimpl(tryfirst=True)
    def pytest_enter_pdb(self, pdb: Any) -> None:
        debugger.entered(pdb)

    @pytest.hookimpl(trylast=True)
    def pytest_leave_pdb(self) -> None:
        debugger.terminal.give_back()

    @pytest.hookimpl(trylast=True)
    def pytest_keyboard_interrupt(self) -> None:
        if self._config is not None:
            self.interruption.show(self._config)

    def pytest_report_header(self, config: pytest.Config) -> str:
        return f"tach: {native.VERSION}, seed {self.options.seed}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> Any:
        return crash_status(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        config = session.config
        cache = getattr(config, "cache", None)
        directory = str(cache._cachedir) if cache is not None else ""
        verbosity = max(0, int(config.getoption("verbose", 0)))
        prints = config.getoption("capture", "fd") in ("no", "tee-sys")
        send(
            native.KIND_ROOT, a=int(prints), strings=(text(str(config.rootpath)), text(directory), text(str(verbosity)))
        )

    def pytest_warning_recorded(self, warning_message: Any) -> None:
        if self.options.list_only:
            from . import witness

            witness.warned(warning_message)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self.options.list_only:
            from . import witness

            witness.collected(session)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_collection(self) -> Any:
        """Around collection alone: warnings of what is finalised are warnings of the collection."""
        yield
        garbage.settle()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected += len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.collect_skipped += report.skipped
        self.collect_errors += report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """pytest's own checks first; then fork, or run solo."""
        self.sink.enter(native.STAGE_PROGRESS)
        self._tell_counts()
        stop_on_errors = session.testsfailed and not session.config.option.continue_on_collection_errors
        if stop_on_errors or session.config.option.collectonly or not session.items:
            return None
        for name in self.options.unset:
            os.environ.pop(name, None)
        remember_modules()
        self.failures_before = session.testsfailed
        plan = Plan(session, self.options, self.remembered.late_fixtures)
        plan.announce(self.wanted_workers, self.deselected)
        self.watch = Watch(session, self.options.rewindable, plan.split_wide)
        why = self.why_solo(session)
        if self.options.explain:
            from . import explain

            explain.tell(plan, self.options.explain, why)
            send(native.KIND_RETIRED, item=NO_ITEM)
            os._exit(0)  # no session has been: plugins have nothing to report, nor to write over
        if why is not None:
            self.tell_of_images(session)
            return solo.run(session, self, why)
        return Server(session, self, plan).run()

    def tell_of_images(self, session: pytest.Session) -> None:
        """In the zygote, when nobody waits for it; once."""
        if not self.options.loader or self._images_told:
            return
        self._images_told = True
        try:
            self.loader.tell(self.remembered.kept_directory / "cache")
        except Exception as error:  # a suite may have replaced what we call; no image is worth a run
            send(native.KIND_LOADED, strings=(text(f"no bytecode image is made: {error!r}"), b"", b""))

    def why_solo(self, session: pytest.Session) -> str | None:
        """The reason for which nothing may be forked, in one line; None if there is none."""
        if self.options.mode == "shared":
            return ""
        return (
            solo.why_interactive(session.config)
            or quiet.why_not_quiet(session)
            or measured.why_not()
            or self.watch.why_unwatchable()
            or self._listen(session)
        )

    def _listen(self, session: pytest.Session) -> str | None:
        """Find out what the suite's log hooks share with the tests' side; why that cannot be split, or None."""
        if not has_own_log_hooks(session.config):
            return None
        from . import conversation

        found = conversation.listen(session)
        self.beside = found.beside
        if found.travels and found.why_solo is None:
            from .travel import Traveller

            self.traveller = Traveller(session, found.travels)
        return found.why_solo

    def _tell_counts(self) -> None:
        """What collection itself adds to the counts; once."""
        if not self._counts_told:
            self._counts_told = True
            send(native.KIND_COLLECT_COUNTS, a=self.collect_skipped, b=self.collect_errors, t0=self.deselected)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._tell_counts()  # a collection that was stopped never comes to the run-test loop
        self.sink.enter(native.STAGE_SUMMARY)

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Crashed tests, then what tach itself has to say; plugins' sections follow."""
        if self.end.crashes:
            terminalreporter.section("CRASHES", "=", red=True, bold=True)
            for nodeid, headline, body in self.end.crashes:
                terminalreporter.write_sep("_", nodeid, red=True, bold=True)
                terminalreporter.write_line(headline, red=True, bold=True)
                terminalreporter.write(body)
            for nodeid, headline, _ in self.end.crashes:
                terminalreporter.write_line(f"CRASHED {nodeid} - {headline}", red=True)
        if self.end.lines and terminalreporter.verbosity > -2:
            terminalreporter.section("tach", "-")
            for line in self.end.lines:
                terminalreporter.write_line(line)


def _pytest_main(plugins: list[object]) -> int:
    """pytest.main as the command `pytest` calls it: with the words of sys.argv, and, in error texts, by that name."""
    named = getattr(_pytest.config, "_main", None)  # since pytest 9.2
    if named is not None and hasattr(_pytest.config, "_get_prog_name"):
        return int(named(plugins=plugins, prog=_pytest.config._get_prog_name(sys.argv)))
    return int(pytest.main(plugins=plugins))


def run(raw_options: dict[str, Any], loader: Loader) -> int:
    """Run pytest with the plugin; returns what the process exits with."""
    options = Options.parse(raw_options)
    native.attach(*options.fds)
    measured.hide_harness()
    identity = (sys.version.split()[0], pytest.__version__, sys.executable)
    native.guard_mark()
    native.recursion_take_over()
    native.hello(native.ROLE_ZYGOTE, tuple(text(part) for part in identity))
    loader.serve_rewritten()
    plugin = TachPlugin(options, loader)
    if options.list_only:
        from . import witness

        witness.pytest_begins()
    plugins: list[object] = [plugin]
    if options.since:
        from .selection import Selection

        plugins.append(Selection(plugin.remembered))
    garbage.set_aside()
    try:
        return _pytest_main(plugins)
    finally:  # also if the suite's own configuration raises SystemExit: that is an end, too
        plugin.sink.flush()
        send(native.KIND_RETIRED, item=NO_ITEM)
