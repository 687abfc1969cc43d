"""Tests that may give up at run time, for what an earlier one has left: steps that are skipped after a failed one.

A second opinion runs them again as well, though they passed by themselves. Asked for once there is a doubt.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest

from .link import native, send
from .plan import active_definitions, fixture_closure

WORDS = frozenset({"skip", "xfail", "importorskip", "SkipTest", "skipTest", "Skipped", "XFailed"})
HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_fixture_setup",
    "pytest_runtest_makereport",
)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str):
            yield constant  # for getattr


class Scan:
    """Of functions and the ones that they call by a name of their module; remembers what it has seen."""

    def __init__(self) -> None:
        self._known: dict[CodeType, bool] = {}

    def mentions(self, function: Any) -> bool:
        """Whether giving up is among what the function, or one that it calls, may do."""
        try:
            plain = inspect.unwrap(function)
        except ValueError:
            return True
        plain = getattr(plain, "__func__", plain)
        if not isinstance(plain, FunctionType):
            return True  # nobody knows
        code = plain.__code__
        if code not in self._known:
            self._known[code] = False  # for a function that calls itself
            names = set(_names(code))
            called = [plain.__globals__[n] for n in names if isinstance(plain.__globals__.get(n), FunctionType)]
            self._known[code] = bool(WORDS & names) or any(self.mentions(f) for f in called)
        return self._known[code]

    def item(self, item: pytest.Item) -> bool:
        """Whether the test or one of its fixtures may do so."""
        functions = [getattr(item, "function", None)]
        functions += [
            d.func for d in active_definitions(fixture_closure(item)) if not d.func.__module__.startswith("_pytest.")
        ]
        return any(self.mentions(function) for function in functions)


def _hooks_of_the_suite(config: pytest.Config) -> Iterator[Any]:
    for name in HOOKS:
        for implementation in getattr(config.hook, name).get_hookimpls():
            plugin = implementation.plugin
            module = str(getattr(plugin, "__name__", None) or type(plugin).__module__)
            if module.partition(".")[0] not in ("_pytest", "tach_harness"):
                yield implementation.function


def send_items(session: pytest.Session) -> None:
    """Tell which items may give up."""
    scan = Scan()
    by_hook = any(scan.mentions(function) for function in _hooks_of_the_suite(session.config))
    found = [index for index, item in enumerate(session.items) if by_hook or scan.item(item)]
    send(native.KIND_GIVING_UP, strings=(struct.pack(f"<{len(found)}I", *found),))
