"""Coverage: what tests execute is told before it is forgotten, by coverage's own collector to a stand-in of its data.

Where `coverage` measures the session (pytest-cov, COVERAGE_PROCESS_START) each of our processes has a copy of it. What
such a copy collects would be lost with the process or its rewind, and its data file must be nobody's. So in all
processes but the controller a `_Recorder` is where the collector puts what it has, and that is appended to a *journal*,
a file in memory that all processes share. The controller puts the journal into the real data when no test runs any
more, before coverage is stopped, saved or reported on.

Nothing is told twice for the same context: what was told is remembered in shared memory (native.seen_*), and a test that
executes nothing new costs a look at its lines.
"""

from __future__ import annotations

import functools
import marshal
import mmap
import os
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

# By name, as in the other modules of a test's process: what a test does to the module `os` must not reach us.
from os import fstat, getpid, write
from os import open as open_file
from struct import Struct
from typing import Any

from .link import native, tell_user
from .process import open_hidden

# What is not there in a version of coverage, or has another meaning, is a reason not to fork.
COVERAGE_ATTRIBUTES = ("_collector", "_data", "_started", "_auto_save", "_inorout", "save", "config")
COLLECTOR_ATTRIBUTES = (
    "data",
    "covdata",
    "flush_data",
    "mapped_file_dict",
    "_activity",
    "should_trace",
    "should_trace_cache",
)
DATA_ATTRIBUTES = ("_pid", "_connect", "_current_context", "set_context", "add_lines", "add_arcs", "add_file_tracers")

# Of a record: a mark of the run, length and checksum. A process that dies while it writes leaves half of one.
_HEAD = Struct("<16sII")
_ENTRIES = {"add_lines": 1, "add_arcs": 2}  # numbers for an entry
_MATCHED = "source_pkgs_unmatched"
_HARNESS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def _active() -> list[Any]:
    """The Coverage objects that measure this process, the innermost last."""
    coverage = sys.modules.get("coverage")
    instances = getattr(getattr(coverage, "Coverage", None), "_instances", ())
    return [instance for instance in instances if getattr(instance, "_started", True)]


def why_not() -> str | None:
    """Why what tests execute could not be told from copies of this process, in one line; None if it can, or need not."""
    for instance in _active():
        collector = getattr(instance, "_collector", None)
        data = getattr(collector, "covdata", None)
        for thing, names in (
            (instance, COVERAGE_ATTRIBUTES),
            (collector, COLLECTOR_ATTRIBUTES),
            (data, DATA_ATTRIBUTES),
        ):
            missing = next((name for name in names if not hasattr(thing, name)), None)
            if missing is not None:
                version = getattr(sys.modules["coverage"], "__version__", "?")
                return f"coverage {version} is not known to tach: {type(thing).__name__} has no {missing}"
    return None


def hide_harness() -> None:
    """Call whenever coverage may have been started: under pytest, too, the harness is not what is measured.

    Frames of ours that run already cannot be left out, so what is collected of them is dropped when it is taken.
    """
    for coverage in _active():
        collector = getattr(coverage, "_collector", None)
        if collector is None or "mapped_file_dict" in vars(collector) or why_not() is not None:
            continue
        for file in _harness_files():
            disposition = collector.should_trace(file, sys._getframe())
            disposition.trace = False
            collector.should_trace_cache[file] = disposition
        collector.mapped_file_dict = functools.partial(_without_harness, collector.mapped_file_dict)


def _harness_files() -> Iterator[str]:
    for directory in (_HARNESS, os.path.dirname(__file__)):
        yield from (os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".py"))


def _without_harness(mapped_file_dict: Callable[[dict[str, Any]], Any], data: dict[str, Any]) -> Any:
    return mapped_file_dict({name: of for name, of in list(data.items()) if not name.startswith(_HARNESS)})


class _Journal:
    """A file in memory to which all processes of the run append whole records."""

    def __init__(self, number: int) -> None:
        self._mark = os.urandom(16)
        self._number = number
        self._path = f"/proc/{os.getpid()}/fd/{number}"  # the zygote's, which lives as long as tests run
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int]:
        status = fstat(self._number)
        return status.st_dev, status.st_ino

    def append(self, record: Any) -> bool:
        """False if it could not be: the user has been told."""
        body = zlib.compress(marshal.dumps(record), 1)
        try:
            self._find()
            return write(self._number, _HEAD.pack(self._mark, len(body), zlib.crc32(body)) + body) > 0
        except OSError as error:
            tell_user(f"coverage of some tests is lost: {error}")
            return False

    def _find(self) -> None:
        """A test may have closed our descriptor, and another file have got its number."""
        try:
            if self._identify() == self._identity:
                return
        except OSError:
            pass
        self._number = open_file(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def records(self) -> Iterator[Any]:
        """All of them, in the order in which they were written."""
        if fstat(self._number).st_size == 0:
            return
        with mmap.mmap(self._number, 0, prot=mmap.PROT_READ) as content:
            position = content.find(self._mark)
            while 0 <= position <= len(content) - _HEAD.size:
                _, length, checksum = _HEAD.unpack_from(content, position)
                body = content[position + _HEAD.size : position + _HEAD.size + length]
                is_whole = len(body) == length and zlib.crc32(body) == checksum
                if is_whole:
                    yield marshal.loads(zlib.decompress(body))
                position = content.find(self._mark, position + (_HEAD.size + length if is_whole else 1))


class _Recorder:
    """Takes the place of a CoverageData, for what is added to it; what it is asked for, an empty one answers."""

    def __init__(self, number: int, real: Any, journal: _Journal) -> None:
        self._number = number
        self._real = real
        self._journal = journal
        self._empty: Any = None
        self._told: set[object] = set()  # of what is not lines or arcs
        self.context: str | None = real._current_context

    def set_context(self, context: str | None) -> str | None:
        before, self.context = self.context, context
        return before

    def add_lines(self, data: Mapping[str, Iterable[int]]) -> None:
        self._add("add_lines", data, lambda lines: array("i", lines))

    def add_arcs(self, data: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        self._add("add_arcs", data, lambda arcs: array("i", chain.from_iterable(arcs)))

    def _add(self, method: str, data: Mapping[str, Iterable[Any]], packed: Callable[[Iterable[Any]], Any]) -> None:
        news, keys = {}, []
        for name, entries in data.items():
            owner, file = self._owner(method, name), self._owner("file", name)
            fresh = native.seen_missing(owner, entries)
            if fresh or not native.seen_all(file, (0,)):
                news[name] = packed(fresh).tobytes()
                keys += [(owner, fresh), (file, (0,))]
        # Told first: a process that dies in between tells it once more at worst.
        if news and self._journal.append((self._number, self.context, method, news)):
            for key, seen in keys:
                native.seen_add(key, seen)

    def _owner(self, what: str, name: str) -> int:
        return hash((self._number, self.context, what, name))

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        fresh = {name: plugin for name, plugin in tracers.items() if ("tracer", name) not in self._told}
        if fresh and self._journal.append((self._number, None, "add_file_tracers", (fresh,))):
            self._told.update(("tracer", name) for name in fresh)

    def touch_file(self, filename: str, plugin_name: str = "") -> None:
        self.touch_files([filename], plugin_name)

    def touch_files(self, filenames: Iterable[str], plugin_name: str | None = None) -> None:
        fresh = [name for name in filenames if ("touched", name) not in self._told]
        if fresh and self._journal.append((self._number, None, "touch_files", (fresh, plugin_name or ""))):
            self._told.update(("touched", name) for name in fresh)

    def matched(self, packages: tuple[str, ...]) -> None:
        """These of the packages that are to be measured have been imported."""
        self._journal.append((self._number, None, _MATCHED, (packages,)))

    def __getattr__(self, name: str) -> Any:
        if self._empty is None:
            self._empty = type(self._real)(no_disk=True)
        return getattr(self._empty, name)


class _Measured:
    """One Coverage object with its recorder."""

    def __init__(self, number: int, coverage: Any, journal: _Journal) -> None:
        self.number = number
        self.coverage = coverage
        self.collector = coverage._collector
        self.real = self.collector.covdata
        self.recorder = _Recorder(number, self.real, journal)
        self._files: set[str] = set()  # of which there was nothing to tell but that they are measured
        self._unmatched = set(self._unmatched_packages())
        self.collector.covdata = coverage._data = self.recorder
        coverage.save = self.flush  # for copies that a test makes, and coverage's own patch of os._exit

    def _unmatched_packages(self) -> list[str]:
        return list(getattr(self.coverage._inorout, _MATCHED, ()))

    def flush(self, everything: bool = False) -> None:
        """Tell what is new. `everything`: have nothing left either, so that copies begin with nothing."""
        entries = list(self.collector.data.items())
        if not (self._any_new(entries) or (everything and any(lines for _, lines in entries))):
            return
        copies = [(self._owner(name), set(lines)) for name, lines in entries if lines]
        self._files.update(name for name, _ in entries)
        self.collector.flush_data()
        for owner, lines in copies:
            native.seen_add(owner, lines)
        if self._unmatched:
            matched = self._unmatched.difference(self._unmatched_packages())
            if matched:
                self._unmatched -= matched
                self.recorder.matched(tuple(matched))

    def _any_new(self, entries: list[tuple[str, Any]]) -> bool:
        for name, lines in entries:
            if lines:
                if not native.seen_all(self._owner(name), lines):
                    return True
            elif name not in self._files:
                return True
        return False

    def _owner(self, name: str) -> int:
        """Of lines as the collector has them, before files are mapped and arcs unpacked."""
        return hash((self.number, self.recorder.context, "raw", name))

    def after_fork(self) -> None:
        """A collector believes what it finds in another process to be of no use."""
        if hasattr(self.collector, "pid"):
            self.collector.pid = getpid()

    def restore(self, records: Iterable[Any]) -> None:
        """In the controller: the real data again, with all that was recorded."""
        self.flush(everything=True)
        self.collector.covdata = self.coverage._data = self.real
        del self.coverage.save
        self.real._pid = os.getpid()  # this process goes on where the zygote was, in the same file
        context = self.real._current_context
        entries: dict[tuple[str, str | None], dict[str, set[Any]]] = {}
        others = []
        for number, of, method, content in records:
            if number != self.number:
                continue
            if method not in _ENTRIES:
                others.append((method, content))
                continue
            files = entries.setdefault((method, of), {})
            for name, packed in content.items():
                files.setdefault(name, set()).update(_unpack(packed, _ENTRIES[method]))
        self._put(entries)
        for method, content in others:
            if method == _MATCHED:
                unmatched = getattr(self.coverage._inorout, _MATCHED, [])
                unmatched[:] = [name for name in unmatched if name not in content[0]]
            else:
                getattr(self.real, method)(*content)
        self.real.set_context(context)
        # Data is complete only when the collector has had something: what was executed nowhere is added then.
        self.collector._activity = lambda: True

    def _put(self, entries: dict[tuple[str, str | None], dict[str, set[Any]]]) -> None:
        if not entries:
            return
        for method in {method for method, _ in entries}:
            getattr(self.real, method)({})  # opens the file
        with self.real._connect():  # or it would be opened for each context
            for (method, context), files in entries.items():
                self.real.set_context(context)
                getattr(self.real, method)(files)


def _unpack(packed: bytes, width: int) -> Iterable[Any]:
    numbers = array("i")
    numbers.frombytes(packed)
    if width == 1:
        return numbers
    pairs = iter(numbers)
    return zip(pairs, pairs)


_measured: list[_Measured] = []
_journal: _Journal | None = None
_pytest_cov: list[Any] = []


def begin(pluginmanager: Any) -> None:
    """In the zygote, before the first fork."""
    global _journal
    hide_harness()
    active = _active()
    if not active:
        return
    number = open_hidden("tach-coverage", os.O_APPEND)
    native.seen_open()
    _journal = _Journal(number)
    _measured[:] = [_Measured(position, coverage, _journal) for position, coverage in enumerate(active)]
    plugin = pluginmanager.get_plugin("_cov")
    _pytest_cov[:] = [plugin] if hasattr(plugin, "pid") else []


def switch_context(item: Any, when: str) -> None:
    """What is executed from here on belongs to that phase of the item, if pytest-cov tells tests apart."""
    plugin = item.config.pluginmanager.get_plugin("_cov_contexts") if _measured else None
    if plugin is not None:
        plugin.switch_context(item, when)


def is_started_late() -> bool:
    """Whether a coverage measures this process that did not measure the zygote: its copies would keep what they collect."""
    known = [measured.coverage for measured in _measured]
    return any(all(instance is not coverage for coverage in known) for instance in _active())


def flush() -> None:
    """Tell what was executed since the last call, if anything is new."""
    for measured in _measured:
        measured.flush()


def flush_all() -> None:
    """Before this process is copied, or its memory kept."""
    for measured in _measured:
        measured.flush(everything=True)


def flush_at_exit() -> None:
    """After exit callbacks: tell of those that coverage would have measured, which is where it saves at exit itself."""
    for measured in _measured:
        if measured.coverage._auto_save:
            measured.flush()


@contextmanager
def forking() -> Iterator[None]:
    """Around a fork of ours: the copy goes on with this process' coverage."""
    parent = getpid()
    if not any("fork" in getattr(measured.coverage.config, "patch", ()) for measured in _measured):
        yield
        _after_fork(parent)
        return
    # coverage's patch would have the copy start another one, with a data file of its own.
    control = sys.modules["coverage.control"]
    names = {"Coverage": _Nobody, "process_startup": _Nobody.startup}
    originals = {name: getattr(control, name) for name in names}
    vars(control).update(names)
    try:
        yield
    finally:
        vars(control).update(originals)
    _after_fork(parent)


class _Nobody:
    """What coverage's patch of fork finds during ours."""

    @staticmethod
    def current() -> None:
        return None

    @staticmethod
    def startup(**_: Any) -> None:
        return None


def _after_fork(parent: int) -> None:
    if getpid() == parent:
        return
    for measured in _measured:
        measured.after_fork()
    for plugin in _pytest_cov:
        plugin.pid = getpid()  # in another process than it knows, pytest-cov before 7 starts a coverage of its own


def merge() -> None:
    """In the controller, when no test runs any more: all that was executed anywhere is its own."""
    if _journal is None:
        return
    flush_all()
    records = list(_journal.records())
    for measured in _measured:
        measured.restore(records)
    _measured.clear()
