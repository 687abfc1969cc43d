"""State that tests gather on purpose: what is read after them is watched, and a test that changes it is told.

Its readers are hooks of the suite and of plugins for the session's end, callbacks for the interpreter's exit, and the
teardown of wide fixtures that are alive. What they may read `reach.py` finds out; whether a test has changed it, a
fingerprint tells, taken before the first test and, in each test's own process, after it. What is watched and does not
change is no reason to run anything shared.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, GeneratorType, ModuleType
from typing import Any, NamedTuple

import pytest

from .link import native, send, text
from .reach import Reach, Root, file_of, is_suites, namespace_of

SESSION_END_HOOKS = ("pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure")
# What these gather is either reports, which the controller replays, or of one test's extent.
KNOWN_SAFE = frozenset(
    {
        "_pytest",
        "_hypothesis_pytestplugin",
        "hypothesis",
        "pytest_asyncio",
        "anyio",
        "pytest_mock",
        "pytest_timeout",
        "pytest_html",
        "pytest_metadata",
        "xdist",
        "pytest_forked",
        "pytest_subtests",
        "pytest_bdd",
        "pytest_cov",  # see measured.py
        "pytest_django",
        "tach_harness",
    }
)
# What cannot be watched: by the module of a plugin that is at work, why.
UNWATCHABLE = {
    "allure_pytest": "what it writes about a wide fixture names the tests that used it",
}
# Of pytest's own objects, what it changes itself; and what a worker is told.
_PYTESTS = frozenset(
    "_cleanup _cleanup_stack _fixturemanager _inicache _setupstate _store _tmp_path_factory _tmpdirhandler args cache exitstatus "
    "hook invocation_params items name nodeid option parent path pluginmanager rootpath session config shouldfail "
    "shouldstop startdir stash testscollected testsfailed trace workerinput workeroutput _notfound _bestrelpathcache "
    "_arg2fixturedefs obj funcargs _request _instance own_markers keywords fixturenames callspec fspath "
    "_report_sections originalname _args _obj _testcase _explicit_tearDown".split()
)


class Change(NamedTuple):
    """What a test has changed, and where it is read."""

    base: int | None  # the base whose fixture reads it; None: one that was set up in this process
    at_end: bool  # it is read when the session ends, by the process that ends it
    reader: str


class _Reader:
    """One reader and the fingerprint of what it may read, as that was before the tests."""

    def __init__(self, label: str, reach: Reach, base: int | None = None, at_end: bool = False) -> None:
        self.change = Change(base, at_end, label)
        self._reach = reach
        self.roots: tuple[Root, ...] = ()
        self._known = 0

    def mark(self) -> None:
        """Classes are come to by looking, and their methods read more."""
        size: tuple[int, ...] = ()
        while size != self._reach.size():
            size = self._reach.size()
            self.roots = tuple(self._reach.roots())
            self._known = native.watch_fingerprint(self.roots, self._reach.describe, True)

    def has_changed(self) -> bool:
        return bool(native.watch_fingerprint(self.roots, self._reach.describe) != self._known)


def _module_of(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", None) or type(plugin).__module__)


def _label(plugin: Any, name: str, root: Path) -> str:
    file = getattr(plugin, "__file__", None)
    if file and Path(file).name == "conftest.py":
        try:
            return str(Path(file).relative_to(root))
        except ValueError:
            return str(file)
    return name if isinstance(plugin, ModuleType) else _module_of(plugin) + "." + type(plugin).__qualname__


class Watch:
    """All that is watched in this process; made in the zygote, and inherited by its copies."""

    def __init__(self, session: pytest.Session, rewindable: Iterable[str], split_wide: bool) -> None:
        self._session = session
        self._split_wide = split_wide  # session fixtures end with their worker, and there may be several
        self._rewindable = tuple(rewindable)
        self._end: list[_Reader] = []
        self._fixtures: dict[int, tuple[Any, _Reader]] = {}  # by id: FixtureDef; what it had cached; its reader
        self._roots: tuple[Root, ...] = ()
        self._known = 0
        self._is_told = False  # what is read at the end differs already: a wide fixture has changed it
        self._describe = Reach().describe  # of classes that a test brings

    # --- readers --------------------------------------------------------------------------------------------------

    def why_unwatchable(self) -> str | None:
        """A plugin whose state cannot be seen; None if there is none."""
        for name, plugin in self._session.config.pluginmanager.list_name_plugin():
            top = _module_of(plugin).partition(".")[0] if plugin is not None else ""
            # The module itself is only installed; what it registers is at work.
            if top in UNWATCHABLE and not isinstance(plugin, ModuleType) and not self._is_declared(plugin, name):
                return f"plugin {top}: {UNWATCHABLE[top]}"
        return None

    def _is_declared(self, plugin: Any, name: str) -> bool:
        root = self._session.config.rootpath
        known = {name, _module_of(plugin), _module_of(plugin).partition(".")[0]}
        file = getattr(plugin, "__file__", None)
        return any(d in known or (file and str(root / d) == str(file)) for d in self._rewindable)

    def look_for_end_readers(self) -> None:
        """find_end_readers(), where looking at a suite's objects may run code of the suite: that costs no run."""
        try:
            self.find_end_readers()
        except Exception as error:
            line = f"tach: what tests gather for the session's end is not watched: {error!r}\n"
            send(native.KIND_OUTPUT, a=native.STAGE_PROGRESS, strings=(text(line),))

    def find_end_readers(self) -> None:
        """Once, before anything is forked."""
        config = self._session.config
        names = {id(plugin): name for name, plugin in config.pluginmanager.list_name_plugin()}
        readers: dict[int, tuple[str, Reach]] = {}
        for hook in SESSION_END_HOOKS:
            for implementation in getattr(config.hook, hook).get_hookimpls():
                plugin = implementation.plugin
                name = names.get(id(plugin), "")
                top = _module_of(plugin).partition(".")[0]
                if top in KNOWN_SAFE or self._is_declared(plugin, name):
                    continue
                if id(plugin) not in readers:
                    label = f"{_label(plugin, name, config.rootpath)} reads in {hook}"
                    Reach.packages.add(top)
                    readers[id(plugin)] = (label, Reach())
                readers[id(plugin)][1].function(implementation.function)
        for function in _cleanups(config):
            readers.setdefault(id(function), (f"{getattr(function, '__qualname__', function)} reads", Reach()))[
                1
            ].function(function)
        for module in _modules_with_exit_callbacks():
            reach = Reach()
            for value in list((namespace_of(module) or {}).values()):
                is_own = type(value) is FunctionType and value.__module__ == module.__name__
                if is_own and not value.__name__.startswith(("test", "pytest_")):
                    reach.function(value)
            readers[id(module)] = (f"{module.__name__} may read in a callback at exit", reach)
        for label, reach in readers.values():
            self._read_sessions_own(reach)
            reader = _Reader(label, reach, at_end=True)
            reader.mark()
            if reader.roots:
                self._end.append(reader)
        self._remark()

    def _read_sessions_own(self, reach: Reach) -> None:
        """What the suite has put on pytest's own objects, under names that the reader knows."""
        reach.roots()
        config = self._session.config
        for holder in (config, self._session):
            reach.extra(vars(holder), reach.names - _PYTESTS)
        if {"stash", "_store"} & reach.names:
            for holder in (config, self._session):
                storage = getattr(getattr(holder, "stash", None), "_storage", None)
                if isinstance(storage, dict):
                    reach.extra(storage, [key for key in reach.objects() if type(key).__name__ == "StashKey"])
        for plugin in config.pluginmanager.get_plugins():
            name = config.pluginmanager.get_name(plugin) or ""
            if name.isidentifier() and name in reach.names and not _module_of(plugin).startswith("_pytest"):
                reach.value(plugin)

    def mark(self, definitions: Iterable[Any], base: int | None = None) -> None:
        """What wide fixtures hold at this point, which tests start from; once for each time that one is set up."""
        alive: dict[int, tuple[Any, _Reader]] = {}
        is_new = False
        for definition in definitions:
            cached = definition.cached_result
            if cached is None or not definition._finalizers:
                continue
            known = self._fixtures.get(id(definition))
            if known is not None and known[0] is cached:
                alive[id(definition)] = known
                continue
            reach = _teardown_of(definition)
            if reach is None:
                continue
            where = "when the session ends" if definition.scope == "session" else f"when its {definition.scope} ends"
            at_end = self._split_wide and definition.scope == "session"
            reader = _Reader(f"{_name_of(definition)} reads {where}", reach, base, at_end)
            reader.mark()
            if reader.roots:
                alive[id(definition)] = (cached, reader)
                is_new = True
        if is_new or alive.keys() != self._fixtures.keys():
            self._fixtures = alive
            self._remark()

    def forget(self, of_bases: bool = False) -> None:
        """Before any is finalised: nothing of ours may keep alive what they hold. A copy does not finalise a base's."""
        kept = {} if of_bases else {k: v for k, v in self._fixtures.items() if v[1].change.base is not None}
        if len(kept) != len(self._fixtures):
            self._fixtures = kept
            self._remark()

    def close(self) -> None:
        """In the process that ends the session."""
        self._end, self._fixtures, self._roots = [], {}, ()

    def _remark(self) -> None:
        readers = [*self._end, *(reader for _, reader in self._fixtures.values())]
        self._roots = tuple(root for reader in readers for root in reader.roots)
        self._is_told = any(reader.has_changed() for reader in self._end)
        if self._roots:
            self._known = self._fingerprint()

    def _fingerprint(self) -> int:
        return int(native.watch_fingerprint(self._roots, self._describe))

    # --- tests ----------------------------------------------------------------------------------------------------

    def changes(self, at_end_only: bool) -> list[Change]:
        """After a test, in its process."""
        if not self._roots or (not self._is_told and self._fingerprint() == self._known):
            return []
        readers = list(self._end)
        if not at_end_only:
            readers += [reader for _, reader in self._fixtures.values()]
        return [reader.change for reader in readers if reader.has_changed()]


def _name_of(definition: Any) -> str:
    """What the suite calls it: pytest makes fixtures of xunit-style and unittest's methods."""
    name = str(definition.argname)
    return "the teardown method" if name.startswith(("_xunit", "_unittest")) else f"fixture {name}"


def _cleanups(config: Any) -> list[Any]:
    """What plugins have had registered with Config.add_cleanup."""
    stack = getattr(config, "_cleanup_stack", None)
    callbacks = [entry[1] for entry in getattr(stack, "_exit_callbacks", ())] or list(getattr(config, "_cleanup", ()))
    found = [getattr(callback, "__wrapped__", callback) for callback in callbacks]
    return [f for f in found if is_suites(str(getattr(f, "__module__", "") or "_pytest"))]


def _modules_with_exit_callbacks() -> list[ModuleType]:
    """Of the suite: those that know the module atexit. Python does not tell what has been registered."""
    atexit = sys.modules["atexit"]
    found = []
    for name, module in list(sys.modules.items()):
        namespace = namespace_of(module)
        if namespace is None or type(name) is not str or not file_of(module) or not is_suites(name):
            continue
        values = list(namespace.values())
        own = [v for v in values if type(v) is FunctionType and v.__module__ == name]
        if any(v is atexit or v is atexit.register for v in values) or any(
            "atexit" in f.__code__.co_names for f in own
        ):
            found.append(module)
    return found


def _teardown_of(definition: Any) -> Reach | None:
    """What the end of a fixture that is set up may read; None if it has no end."""
    reach: Reach | None = None
    for finalizer in definition._finalizers:
        inner = finalizer
        if isinstance(finalizer, functools.partial):
            if getattr(finalizer.func, "__name__", "") == "finish":
                continue  # of a fixture that depends on this one
            generators = [a for a in finalizer.args if isinstance(a, GeneratorType)]
            if generators:
                reach = reach or Reach()
                reach.generator(generators[0])
                continue
            inner = finalizer.func
        if str(getattr(inner, "__module__", "")).startswith("_pytest."):
            continue
        reach = reach or Reach()
        reach.function(finalizer)
    return reach
