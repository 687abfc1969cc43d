"""Warming: modules that tests import again and again, since every rewind forgets them where pytest would pay once.

What a second test imports is imported by a process that all further ones are copied from; in later runs, what a first
one imports. Tests then find it in `sys.modules` as they would under pytest, where an earlier test had left it there.
Only where it cannot be told from the import that a test would have made itself:

* of the interpreter's library or what is installed: a project's own modules read what its tests set up for them;
* imported with the environment, path and directory that tests start from;
* if it leaves nothing behind that cannot be rewound, or waits for the end of the process.

What is known must survive rewinds, and the process that is rewound: it is kept in a file in memory.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import signal
import site
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress

# By name, as in the other modules of a test's process: what a test does to these modules must not reach us.
from json import dumps, loads
from os import fstat, ftruncate, getcwd, pread, pwrite
from typing import Any

from .layers import live_reason
from .link import native, send, text
from .process import open_hidden
from .reports import modules_at_fork

# A module that one test alone imports would be imported once more for nobody.
WANTED_BY = 2
# In place of the number of tests: it cannot be imported here; it is being tried.
HOPELESS, TRYING = -1, -2
# An import that takes longer waits for something. A guess.
DEADLINE_S = 20
# Every batch of modules costs a process that lasts as long as the worker.
MOST_BATCHES = 8
# Set by pytest while a test runs.
CURRENT_TEST = "PYTEST_CURRENT_TEST"


class Imports:
    """Made before the first process that is rewound is forked; shared by all that follow.

    The file holds for each module its origin and how many tests have imported it.
    """

    def __init__(
        self, single_threaded: Iterable[str], remembered: dict[str, str], left_out: dict[str, tuple[str, str]]
    ) -> None:
        """Take the environment variables that keep libraries from starting threads when they are loaded.

        Of earlier runs, `remembered`: module -> origin, of those that were worth keeping; `left_out`: module -> origin and
        stamp, of those that could not be kept.
        """
        self._remembered = remembered
        self._why: dict[str, str] = {}  # modules whose import left something behind
        self._single_threaded = [name for name in single_threaded if name.endswith("_NUM_THREADS")]
        self._trusted = tuple(f"{directory}{os.sep}" for directory in _installed_directories())
        self._known: set[str] = set()
        self._surroundings: tuple[Any, ...] = ()
        self._alike: set[str] = set()  # imported by the test that runs, with the surroundings of the layer
        self._batches = 0
        self.warmed = False  # this process has modules that its tests would have imported themselves
        self._file = open_hidden("tach-imports")
        if self._file < 0 or not self._listen():
            self._batches = MOST_BATCHES
        same = {name: origin for name, (origin, stamp) in left_out.items() if _stamp(origin) == stamp}
        if same:
            self._save({name: [origin, HOPELESS] for name, origin in same.items()})

    def _listen(self) -> bool:
        """Hear of every import as it begins; not where pytest does not either (--assert=plain)."""
        hooks = [finder for finder in sys.meta_path if type(finder).__module__ == "_pytest.assertion.rewrite"]
        if not hooks:
            return False
        find: Callable[..., Any] = hooks[0].find_spec

        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            if self._surroundings == _surroundings():
                self._alike.add(name)
            return find(name, path, target)

        hooks[0].find_spec = find_spec  # type: ignore[method-assign]
        return True

    def mark(self) -> None:
        """In the layer that the next tests start from."""
        if self._batches < MOST_BATCHES:
            at_fork = modules_at_fork()
            self._known = at_fork if len(at_fork) == len(sys.modules) else set(sys.modules)
            self._surroundings = _surroundings()
            self._alike.clear()

    def note(self, index: int) -> tuple[int, bool]:
        """At the end of the item of that index: how many modules it has imported, and whether some are worth keeping.

        What turns out to be worth it is told to the supervisor, for later runs.
        """
        if self._batches == MOST_BATCHES or len(sys.modules) == len(self._known):
            return 0, False
        fresh = [name for name in list(sys.modules) if name not in self._known]
        kept = self._load()
        due = False
        learned = []
        for name in fresh:
            origin = self._origin(name)
            if origin and name in self._alike:
                entry = kept.setdefault(name, [origin, 0])
                entry[1] += entry[1] >= 0 and entry[0] == origin
                due = due or self._is_wanted(name, entry)
                if entry[1] == WANTED_BY and self._remembered.get(name) != origin:
                    learned.append(f"{name}\n{origin}")
        self._save(kept)
        if learned:
            send(native.KIND_IMPORTED, index, strings=(text("\0".join(learned)),), with_next=True)
        return len(fresh), due

    def _is_wanted(self, name: str, entry: list[Any]) -> bool:
        origin, times = entry
        return bool(times >= (1 if self._remembered.get(name) == origin else WANTED_BY))

    def is_due(self) -> bool:
        """Whether something is wanted that this process does not have."""
        if self._batches == MOST_BATCHES:
            return False
        return any(self._is_wanted(name, entry) and name not in sys.modules for name, entry in self._load().items())

    def warm(self, nodeid: str) -> bool:
        """Import what is due, as the test of that node id would. What cannot be imported here is left to the tests.

        False: an import has left something behind, this process must end.
        """
        self._batches += 1
        self.warmed = True
        kept = self._load()
        due = [name for name in kept if self._is_wanted(name, kept[name]) and name not in sys.modules]
        environment = {name: "1" for name in self._single_threaded if name not in os.environ}
        environment[CURRENT_TEST] = f"{nodeid} (call)"
        os.environ.update(environment)
        before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(DEADLINE_S)
        clean = all(self._import(name, kept) for name in due)
        self._give_up([name for name in due if kept[name][1] == HOPELESS], kept)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        for name in environment:
            os.environ.pop(name, None)
        return clean

    def gave_up(self) -> bool:
        """After the death of a process: whether it died of an import. It will not be tried again."""
        kept = self._load()
        tried = [name for name, entry in kept.items() if entry[1] == TRYING]
        for name in tried:
            kept[name][1] = HOPELESS
        self._save(kept)
        self._why.update(dict.fromkeys(tried, "its import ended the process"))
        self._give_up(tried, kept)
        return bool(tried)

    def _give_up(self, names: list[str], kept: dict[str, list[Any]]) -> None:
        """In later runs, too."""
        records = []
        for name in names:
            origin = str(kept[name][0])
            if name in self._why:
                records.append("\n".join((name, origin, _stamp(origin), self._why[name].replace("\n", " "))))
            elif name in self._remembered:
                records.append(name)
        if records:
            send(native.KIND_IMPORTED, 0, strings=(text("\0".join(records)),), with_next=True)

    def _import(self, name: str, kept: dict[str, list[Any]]) -> bool:
        """Import one module; False if the process is spoilt by it. What fails half-way has spoilt it."""
        if name in sys.modules:
            return True
        origin, times = kept[name]
        parent = name.rpartition(".")[0]
        kept[name][1] = TRYING
        self._save(kept)
        modules, callbacks = set(sys.modules), atexit._ncallbacks()
        found = False
        with suppress(Exception, SystemExit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not parent or parent in sys.modules:
                specification = importlib.util.find_spec(name)
                found = specification is not None and specification.origin == origin
            if found:
                importlib.import_module(name)
        fresh = [new for new in list(sys.modules) if new not in modules]
        kept[name][1] = times if name in fresh else HOPELESS
        why = live_reason() or ("it waits for the end of the process" if atexit._ncallbacks() != callbacks else "")
        if why:
            self._why[name] = why
        clean = not why
        clean = clean and (name in fresh or not fresh)
        clean = clean and all(kept.get(new, [self._origin(new)])[0] == self._origin(new) for new in fresh)
        if not clean:
            kept[name][1] = HOPELESS
        self._save(kept)
        return clean

    def _origin(self, name: str) -> str:
        """Where the module was loaded from; "" if it is none of those that may be warmed."""
        try:
            module = sys.modules[name]
            origin = str(module.__spec__.origin or "") if module.__spec__ is not None else ""
        except Exception:
            return ""
        return origin if origin.startswith(self._trusted) else ""

    def _load(self) -> dict[str, list[Any]]:
        with suppress(Exception):  # a test may have closed or overwritten it
            kept: dict[str, list[Any]] = loads(pread(self._file, fstat(self._file).st_size, 0) or b"{}")
            return kept
        return {}

    def _save(self, kept: dict[str, list[Any]]) -> None:
        with suppress(Exception):
            content = dumps(kept).encode()
            ftruncate(self._file, len(content))
            pwrite(self._file, content, 0)


def _stamp(origin: str) -> str:
    """Of a file that may be installed anew; "" if it is gone."""
    try:
        status = os.stat(origin)
    except OSError:
        return ""
    return f"{status.st_size}.{status.st_mtime_ns}"


def _surroundings() -> tuple[Any, ...]:
    """What a module may look at while it is imported."""
    try:
        directory = getcwd()
    except OSError:
        directory = ""
    environment = {name: value for name, value in os.environ.items() if name != CURRENT_TEST}
    return environment, list(sys.path), list(sys.argv), directory


def _installed_directories() -> set[str]:
    names = {os.path.dirname(os.__file__), *site.getsitepackages()}  # sysconfig would take longer to say so
    return {os.path.realpath(name) for name in names} | names
