"""Plugins that gather state in memory while tests run, to write it out at the end of the session.

A forked test takes what such a plugin gathered with it when it ends. A plugin counts as stateful if it has a hook that
runs at the end of the session and either a hook that runs in the worker, beside a test, or a fixture that a collected
test uses. Reports are not the problem: the controller replays them. pytest's own plugins and the known-safe ones are
exempt; users declare others with `plugins.rewindable` in tach.toml.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from .plan import active_definitions, fixture_closure

SESSION_END_HOOKS = ("pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure")
WORKER_HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtest_makereport",
    "pytest_pyfunc_call",
    "pytest_fixture_setup",
    "pytest_fixture_post_finalizer",
    "pytest_assertrepr_compare",
    "pytest_assertion_pass",
)
# What these gather is either reports or of one test's extent.
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


def _module_of(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", None) or type(plugin).__module__)


def _label(plugin: Any, name: str) -> str:
    file = getattr(plugin, "__file__", None)
    return str(file) if file and Path(file).name == "conftest.py" else name


def _is_declared(plugin: Any, label: str, rewindable: Iterable[str], root: Path) -> bool:
    names = (label, _module_of(plugin))
    return any(declared in names or str(root / declared) == label for declared in rewindable)


def _implements(plugin: Any, hooks: Iterable[str]) -> list[str]:
    return [hook for hook in hooks if callable(getattr(plugin, hook, None))]


def _used_modules(items: Iterable[pytest.Item]) -> set[str]:
    """Modules whose fixtures some item uses."""
    seen: set[int] = set()
    modules: set[str] = set()
    for item in items:
        for definition in active_definitions(fixture_closure(item)):
            if id(definition) not in seen:
                seen.add(id(definition))
                modules.add(definition.func.__module__)
    return modules


def _provides(plugin: Any, name: str, used: set[str]) -> bool:
    """Whether a used fixture comes from this conftest, or from this plugin's package."""
    module = _module_of(plugin)
    if module in used or Path(_label(plugin, name)).name == "conftest.py":
        return module in used
    package = module.partition(".")[0]
    return any(candidate.partition(".")[0] == package for candidate in used)


def why_stateful(session: pytest.Session, rewindable: tuple[str, ...]) -> str | None:
    """One line that names the plugin and how to declare it, or None."""
    manager = session.config.pluginmanager
    used: set[str] | None = None
    for name, plugin in manager.list_name_plugin():
        if plugin is None or _module_of(plugin).partition(".")[0] in KNOWN_SAFE:
            continue
        end = _implements(plugin, SESSION_END_HOOKS)
        if not end:
            continue
        beside = _implements(plugin, WORKER_HOOKS)
        if not beside:
            if used is None:
                used = _used_modules(session.items)
            if not _provides(plugin, name, used):
                continue
            beside = ["its fixtures"]
        label = _label(plugin, name)
        if _is_declared(plugin, label, rewindable, session.config.rootpath):
            continue
        shown = _relative(label, session.config.rootpath)
        return (
            f"plugin {shown} may gather state in {beside[0]} for {end[0]}; if it does not, "
            f'declare it: [plugins] rewindable = ["{shown}"] in tach.toml'
        )
    return None


def _relative(label: str, root: Path) -> str:
    try:
        return str(Path(label).relative_to(root))
    except ValueError:
        return label
