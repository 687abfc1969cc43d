"""What a suite's hooks around a test, and its log hooks, say to each other.

Under pytest both are called in one process. Here a test and the hooks around it have a process of their own, and the log
hooks are called in the controller, once, in order. So state has to get from one side to the other:

* What the side of the test writes and log hooks read *travels* with each report, and is there when they are called.
* Log hooks that write what the side of the test reads are called *beside the test*, and not in the controller. Hooks
  that also write to the outside (a file, a socket) cannot: nobody would keep the order, and so the session is not split.

Found out once, before anything is forked, from the sources of the hooks, fixtures and what they call in the project.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from .accesses import CONTAINERS, Access, Namespace, attribute_of, know_modules, read
from .plan import active_definitions, fixture_closure
from .watch import SESSION_END_HOOKS

# They are called in the process of a test.
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

# pytest_report_teststatus and pytest_warning_recorded only read: the former is asked in the controller alone.
LOG_HOOKS = ("pytest_runtest_logstart", "pytest_runtest_logreport", "pytest_runtest_logfinish")
READING_HOOKS = (*LOG_HOOKS, "pytest_report_teststatus", "pytest_warning_recorded")
TEST_HOOKS = (*WORKER_HOOKS, "pytest_exception_interact")
# Plugins that are made to be split like this, by xdist.
KNOWN_SPLIT = frozenset(
    {
        "_pytest",
        "tach_harness",
        "_hypothesis_pytestplugin",
        "allure_pytest",
        "anyio",
        "hypothesis",
        "pytest_asyncio",
        "pytest_cov",
        "pytest_django",
        "pytest_html",
        "pytest_instafail",
        "pytest_jsonreport",
        "pytest_metadata",
        "pytest_mock",
        "pytest_reportlog",
        "pytest_rerunfailures",
        "pytest_subtests",
        "pytest_sugar",
        "pytest_timeout",
        "xdist",
    }
)


def _package_of(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", None) or type(plugin).__module__).partition(".")[0]


class Conversation:
    """What was found."""

    def __init__(self) -> None:
        self.travels: list[Namespace] = []
        self.beside: list[Any] = []  # plugins whose log hooks are called beside the test
        self.why_solo: str | None = None


def listen(session: pytest.Session) -> Conversation:
    """Find out, once, before anything is forked."""
    found = Conversation()
    manager = session.config.pluginmanager
    plugins = [p for p in manager.get_plugins() if _package_of(p) not in KNOWN_SPLIT]
    log_side = {
        id(i.plugin): i.plugin
        for name in READING_HOOKS
        for i in getattr(manager.hook, name).get_hookimpls()
        if any(i.plugin is p for p in plugins)
    }
    if not log_side:
        return found
    know_modules(plugin for plugin in plugins if isinstance(plugin, types.ModuleType))
    test_side = read([*_hooks_of(manager, plugins, TEST_HOOKS), *_fixtures_of(session)])
    for plugin in log_side.values():
        _judge(found, manager, plugin, test_side, session)
    return found


def _hooks_of(manager: Any, plugins: list[Any], names: Iterable[str]) -> Iterator[tuple[Any, Any, str]]:
    for name in names:
        caller = getattr(manager.hook, name, None)
        for implementation in caller.get_hookimpls() if caller is not None else ():
            if any(implementation.plugin is plugin for plugin in plugins):
                owner = None if isinstance(implementation.plugin, types.ModuleType) else implementation.plugin
                yield implementation.function, owner, _package_of(implementation.plugin)


def _fixtures_of(session: pytest.Session) -> Iterator[tuple[Any, Any, str]]:
    seen: set[int] = set()
    for item in session.items:
        for definition in active_definitions(fixture_closure(item)):
            package = str(definition.func.__module__).partition(".")[0]
            if id(definition) not in seen and package not in KNOWN_SPLIT:
                seen.add(id(definition))
                yield definition.func, None, package


def _judge(found: Conversation, manager: Any, plugin: Any, test_side: Access, session: pytest.Session) -> None:
    log_side = read(_hooks_of(manager, [plugin], READING_HOOKS))
    around = read(_hooks_of(manager, [plugin], ("pytest_runtest_logstart", "pytest_runtest_logfinish")))
    heard = test_side.shared_with(log_side)
    acts = _acts_on_tests(around, plugin) or _read_by_tests(log_side, session)
    if heard or acts:
        _put_beside(found, manager, plugin, log_side, acts or ", ".join(where.name for where in heard.values()))
    else:
        travels = log_side.shared_with(test_side)
        known = {(id(where.owner), where.name) for where in found.travels}
        found.travels += [
            where._replace(counts=place not in test_side.assigned)
            for place, where in travels.items()
            if place not in known
        ]


def _acts_on_tests(around: Access, plugin: Any) -> str:
    """What hooks at a test's start and end change of what is not the plugin's own."""
    if around.process_state:
        return around.process_state
    own = {id(plugin), id(type(plugin))}
    if not isinstance(plugin, types.ModuleType):
        own.add(id(sys.modules.get(type(plugin).__module__)))
    return ", ".join(where.name for where in around.writes.values() if id(where.owner) not in own)


def _read_by_tests(log_side: Access, session: pytest.Session) -> str:
    """What log hooks write and a test function names."""
    names: dict[str, list[Namespace]] = {}
    for where in log_side.writes.values():
        names.setdefault(where.name, []).append(where)
    if not names:
        return ""
    for item in session.items:
        function = getattr(item, "function", None)
        code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        if code is None:
            continue
        for name in names.keys() & set(code.co_names):
            for where in names[name]:
                if _names_it(function, code, where):
                    return name
    return ""


def _names_it(function: Any, code: types.CodeType, where: Namespace) -> bool:
    namespace = inspect.unwrap(function).__globals__
    value = attribute_of(where.owner, where.name)
    if value is not None and isinstance(value, CONTAINERS) and namespace.get(where.name) is value:
        return True
    return any(namespace.get(name) is where.owner for name in code.co_names)


def _put_beside(found: Conversation, manager: Any, plugin: Any, log_side: Access, why: str) -> None:
    end = read(_hooks_of(manager, [plugin], SESSION_END_HOOKS))
    label = getattr(plugin, "__file__", None) or type(plugin).__name__
    if log_side.outside:
        found.why_solo = f"log hooks of {label} act on tests ({why}) and write to the outside ({log_side.outside}), which has one order"
    elif end.shared_with(log_side):
        found.why_solo = f"log hooks of {label} act on tests ({why}) and keep something for the session's end"
    else:
        found.beside.append(plugin)
