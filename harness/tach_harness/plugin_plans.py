"""What plugins ask for behind pytest's back: fixtures that are in no closure, but come by a rule that is known here.

pytest-asyncio fetches the loop or runner of a test and of an async fixture when it needs it, anyio adds its backend after
collection, pytest-django follows marks, pytest-lazy-fixtures has names as values of parameters. An item's closure is widened by these, so that it is planned as if it had asked for
them by name. The fixtures' names are looked up in pytest's registry, since they differ between versions of a plugin.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

# Fixtures of plugins that ask for others by a rule that is known here: their code tells nothing more.
_KNOWN = frozenset(
    {
        ("pytest_asyncio.plugin", "event_loop"),
        ("pytest_django.plugin", "_django_db_marker"),
        ("pytest_django.plugin", "_django_setup_unittest"),
        ("pytest_django.fixtures", "_live_server_helper"),
        # They ask for what the closure has, or for nothing.
        ("pytest_flask.plugin", "_configure_application"),
        ("pytest_flask.plugin", "_push_request_context"),
        ("pytest_flask.plugin", "_monkeypatch_response_class"),
    }
)
# Wide fixtures of plugins that have no effect, and whose values are the same whenever they are made.
_HARMLESS = frozenset(
    {
        ("pytest_asyncio.plugin", "_asyncio_loop_factory"),
        ("pytest_django.plugin", "django_db_blocker"),
    }
)

_CLOSURE = pytest.StashKey[dict[str, Any]]()


def _origin(definition: Any) -> tuple[str, str]:
    """The module that a fixture's function is from, and its name: not that of one which overrides it."""
    return str(getattr(definition.func, "__module__", "")), str(definition.argname)


def is_known(definition: Any) -> bool:
    """Whether the fixture asks for nothing at run time that the widened closure does not have."""
    origin = _origin(definition)
    return origin[0].startswith("_pytest.") or origin in _KNOWN


def is_harmless(definition: Any) -> bool:
    """Whether each process may have this wide fixture for itself."""
    origin = _origin(definition)
    if origin == ("pytest_django.plugin", "_django_setup_unittest"):
        return not _has_django()
    return origin in _HARMLESS


def widened(item: pytest.Item, closure: dict[str, Any]) -> dict[str, Any]:
    """The closure with what plugins are going to ask for on the item's behalf."""
    found = item.stash.get(_CLOSURE, None)
    if found is None:
        found = item.stash[_CLOSURE] = _widen(item, closure)
    return found


def is_foreseen(item: pytest.Item) -> bool:
    """Whether all that a coroutine function's plugin asks for is in the widened closure."""
    return _is_asyncio_item(item) or _is_anyio_item(item)


def reached(item: pytest.Item, names: Iterable[str]) -> dict[str, Any]:
    """The fixtures of these names, and all that they ask for by name."""
    result: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        definitions = None if name in result else _definitions(item, name)
        if definitions:
            result[name] = definitions
            waiting += [argname for definition in definitions for argname in definition.argnames]
    return result


def _widen(item: pytest.Item, closure: dict[str, Any]) -> dict[str, Any]:
    rules = [rule for module, rule in _RULES.items() if module in sys.modules]
    if not rules:
        return closure
    result = dict(closure)
    waiting = [name for rule in rules for name in rule(item, result.values())]
    while waiting:
        name = waiting.pop(0)
        if name in result:
            continue
        definitions = _definitions(item, name)
        if definitions:
            result[name] = definitions
            waiting += [argname for definition in definitions for argname in definition.argnames]
            waiting += [later for rule in rules for later in rule(item, [definitions])]
    return result if len(result) > len(closure) else closure


def _definitions(item: pytest.Item, name: str) -> Any:
    manager: Any = item.session._fixturemanager
    return manager.getfixturedefs(name, item if pytest.version_tuple >= (8,) else item.nodeid)


# --- pytest-asyncio ------------------------------------------------------------------------------------------------


def _is_asyncio_item(item: pytest.Item) -> bool:
    if "pytest_asyncio.plugin" not in sys.modules or item.get_closest_marker("asyncio") is None:
        return False
    function = getattr(item, "function", None)
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(function)


def _ini(item: pytest.Item, name: str) -> str:
    try:
        return str(item.config.getini(name) or "")
    except (ValueError, KeyError):  # not every version has it
        return ""


def _asyncio_names(item: pytest.Item, closure: Iterable[Any]) -> Iterator[str]:
    if _is_asyncio_item(item):
        mark = item.get_closest_marker("asyncio")
        assert mark is not None
        scope = mark.kwargs.get("loop_scope") or mark.kwargs.get("scope")
        yield from _loop_names(item, scope or _ini(item, "asyncio_default_test_loop_scope") or "function")
    for definitions in closure:
        definition = definitions[-1]
        if _is_asyncio_fixture(item, definition):
            default = _ini(item, "asyncio_default_fixture_loop_scope").replace("fixture-scope", "")
            scope = getattr(definition.func, "_loop_scope", None) or default or definition.scope
            yield from _loop_names(item, scope)
        elif _origin(definition) == ("pytest_asyncio.plugin", "event_loop"):
            yield "event_loop_policy"


def _is_asyncio_fixture(item: pytest.Item, definition: Any) -> bool:
    function = getattr(definition.func, "__func__", definition.func)
    if getattr(function, "_force_asyncio_fixture", False):
        return True
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        return False
    mode = item.config.getoption("asyncio_mode", None) or _ini(item, "asyncio_mode")
    return str(getattr(mode, "value", mode)) == "auto"


def _loop_names(item: pytest.Item, scope: str) -> Iterator[str]:
    """The fixtures that hold the loop of a scope: from 1.2 on, of 1.0 and 1.1, before that."""
    yield f"_{scope}_scoped_runner"
    yield f"_{scope}_event_loop"
    if scope == "function":
        yield "event_loop"
        return
    if scope == "session":
        yield "_session_event_loop"
        return
    for node in reversed(item.listchain()):
        if type(node).__name__.lower() == scope:
            yield f"{node.nodeid}::<event_loop>"
            return


# --- anyio ---------------------------------------------------------------------------------------------------------


def _is_anyio_item(item: pytest.Item) -> bool:
    if "anyio.pytest_plugin" not in sys.modules or item.get_closest_marker("anyio") is None:
        return False
    return "anyio_backend" in getattr(item, "fixturenames", ())


def _anyio_names(item: pytest.Item, closure: Iterable[Any]) -> Iterator[str]:
    if _is_anyio_item(item):
        yield "anyio_backend"


# --- pytest-django -------------------------------------------------------------------------------------------------


def _has_django() -> bool:
    """Whether the suite is one of a Django project; the plugin may be there without one."""
    lazy: Any = sys.modules.get("pytest_django.lazy_django")
    return lazy is not None and bool(lazy.django_settings_is_configured())


def _django_names(item: pytest.Item, closure: Iterable[Any]) -> Iterator[str]:
    if item.get_closest_marker("django_db") is not None:
        yield "_django_db_helper"
    if "live_server" in getattr(item, "fixturenames", ()):
        yield "transactional_db"
    if _has_django() and _is_django_unittest(item):
        yield "django_db_setup"


def _is_django_unittest(item: Any) -> bool:
    """Whether it is a method of one of Django's own test cases that use a database."""
    cases: Any = sys.modules.get("django.test.testcases")
    kind = getattr(item, "cls", None)
    return cases is not None and kind is not None and issubclass(kind, cases.SimpleTestCase) and bool(kind.databases)


# --- pytest-lazy-fixtures --------------------------------------------------------------------------------------------


def _lazy_names(item: pytest.Item, closure: Iterable[Any]) -> Iterator[str]:
    """Parameters that stand for fixtures: those of the item, which include those of its fixtures."""
    callspec = getattr(item, "callspec", None)
    waiting = list(callspec.params.values()) if callspec is not None else []
    while waiting:
        value = waiting.pop(0)
        if type(value) is dict:
            waiting += [*value.keys(), *value.values()]
        elif type(value) in (list, set, tuple):
            waiting += value
        elif type(value).__module__.partition(".")[0] == "pytest_lazy_fixtures":
            waiting += [*getattr(value, "args", ()), *getattr(value, "kwargs", {}).values()]
            yield str(value.name).partition(".")[0]


_RULES = {
    "pytest_asyncio.plugin": _asyncio_names,
    "anyio.pytest_plugin": _anyio_names,
    "pytest_django.plugin": _django_names,
    "pytest_lazy_fixtures": _lazy_names,
}
