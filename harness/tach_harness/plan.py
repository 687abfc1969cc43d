"""The plan of a session: what tach-supervisor needs to know of every item to hand it out.

*Wide* fixtures are those wider than a function. Session fixtures without parameters are set up once in a *base*, from
which the workers that need them are forked; items are told which base they need. All other wide fixtures make *units*:
contiguous runs of items, in pytest's final order, that are never split. What pytest's collection cannot tell in
advance (`getfixturevalue`, event loops) makes an item *dynamic*: its module becomes one unit.
"""

from __future__ import annotations

import dis
import inspect
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from _pytest.fixtures import get_scope_package

from . import plugin_plans
from .link import native, send, text
from .options import Options

if TYPE_CHECKING:
    from .claims import Claims

# Fixtures of pytest and xdist that leave nothing to finalise and nothing to share: a worker may have its own.
HARMLESS_WIDE = frozenset(
    {
        "pytestconfig",
        "tmp_path_factory",
        "tmpdir_factory",
        "record_testsuite_property",
        "doctest_namespace",
        "worker_id",
        "testrun_uid",
    }
)
# Mirrors _pytest.python and _pytest.unittest, which inject these to run xunit-style set-up.
PACKAGE_SETUP_NAMES = ("setup_module", "setUpModule", "teardown_module", "tearDownModule")


def fixture_closure(item: pytest.Item) -> dict[str, Any]:
    """Fixture name -> FixtureDefs of the item; {} for custom items, which have none."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None and isinstance(item, pytest.DoctestItem):
        # pytest 7 computes it at set-up only; the call is the one that it makes there.
        manager = item.session._fixturemanager
        kwargs = {"funcargs": False} if "funcargs" in inspect.signature(manager.getfixtureinfo).parameters else {}
        info = manager.getfixtureinfo(node=item, func=lambda: None, cls=None, **kwargs)
    return plugin_plans.widened(item, info.name2fixturedefs) if info is not None else {}


def active_definitions(closure: dict[str, Any]) -> Iterator[Any]:
    """The FixtureDefs that the item really uses: the innermost of each name, and those it overrides and asks for."""
    for definitions in closure.values():
        for definition in reversed(definitions):
            yield definition
            if definition.argname not in definition.argnames:
                break


def registered_definitions(session: pytest.Session) -> Iterator[Any]:
    """Every FixtureDef that pytest knows; its tables are by name, and since 9.2 then by where they are visible."""
    manager = session._fixturemanager
    for attribute in ("_arg2fixturedefs", "_arg2node2fixturedefs", "_arg2nodeid2fixturedefs"):
        for entry in getattr(manager, attribute, {}).values():
            lists = entry.values() if hasattr(entry, "values") else [entry]
            for definitions in lists:
                yield from definitions


def is_wide(definition: Any) -> bool:
    if definition.scope == "function" or definition.argname in HARMLESS_WIDE:
        return False
    return not plugin_plans.is_harmless(definition)


def depends_on_parameters(item: pytest.Item, closure: dict[str, Any], definition: Any) -> bool:
    """Whether the fixture, or one that it asks for, is set up anew for each of several parameters."""
    seen: set[str] = set()
    waiting = [definition]
    while waiting:
        current = waiting.pop()
        if is_parametrized(item, current):
            return True
        for name in current.argnames:
            if name not in seen and name in closure:
                seen.add(name)
                waiting.append(closure[name][-1])
    return False


def is_parametrized(item: pytest.Item, definition: Any) -> bool:
    callspec = getattr(item, "callspec", None)
    return bool(definition.params) or (callspec is not None and definition.argname in callspec.params)


def is_plain_wide(item: pytest.Item, definition: Any) -> bool:
    """Wide, and not set up anew for each of several parameters of its own."""
    return is_wide(definition) and not is_parametrized(item, definition)


def has_own_setup(node: Any) -> bool:
    """Whether entering this collector runs code that must run once (xunit set-up of a package, a custom node)."""
    if isinstance(node, pytest.Package):
        init = node.path if node.path.name == "__init__.py" else node.path / "__init__.py"  # pytest 7; later ones
        if not init.is_file():
            return False
        source = init.read_text(encoding="utf-8", errors="replace")
        return any(name in source for name in PACKAGE_SETUP_NAMES)
    module: str = type(node).setup.__module__
    return module.partition(".")[0] != "_pytest"


def scope_node(item: pytest.Item, definition: Any) -> Any:
    """The collector whose end finalises the fixture; None where pytest falls back to the item."""
    if definition.scope == "class":
        return item.getparent(pytest.Class)
    if definition.scope == "module":
        return item.getparent(pytest.Module)
    if definition.scope == "package":
        return get_scope_package(item, definition) or item.session
    return item.session


class ItemPlan:
    """One item's wide fixtures."""

    __slots__ = ("item", "wide", "session", "held", "flags", "base", "opens_base", "base_of", "unit", "late")

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.wide: list[Any] = []  # FixtureDefs that are set up in a unit's layer
        self.session: list[Any] = []  # FixtureDefs that are set up in a base
        self.held: list[object] = []  # what keeps its unit together: nodes and FixtureDefs
        self.flags = 0
        self.base = 0
        self.opens_base = 0  # the base that is filled from this item, which is the first to need its fixtures
        self.unit = 0
        self.base_of: dict[int, int] = {}  # id of a FixtureDef in `session` -> the base that it is set up in
        self.late: list[Any] = []  # wide FixtureDefs that it is going to ask for while it runs

        closure = fixture_closure(item)
        for definition in active_definitions(closure):
            if is_wide(definition):
                self._add(definition, depends_on_parameters(item, closure, definition))
        for node in item.listchain()[1:-1]:
            if has_own_setup(node):
                self.held.append(node)
        if item.get_closest_marker("no_rerun") is not None:
            self.flags |= native.ITEM_NO_RERUN

    def _add(self, definition: Any, parametrized: bool) -> None:
        node = scope_node(self.item, definition)
        if node is None:
            return
        if node is self.item.session and not parametrized:
            self.session.append(definition)
            return
        self.held.append(definition if node is self.item.session else node)
        self.wide.append(definition)

    def commits(self) -> bool:
        """Whether the item is going to set up a wide fixture while it runs: it must not run in a copy."""
        return bool(self.names_to_commit())

    def names_to_commit(self) -> list[str]:
        """The wide fixtures that it is going to set up while it runs."""
        return sorted({d.argname for d in self.late if d.cached_result is None})

    def needs_fill(self, stack: Iterable[Any]) -> bool:
        """Whether the layer must be brought up to date before this item can start from it."""
        if any(d.cached_result is None or is_parametrized(self.item, d) for d in self.wide):
            return True
        return any(node not in stack for node in self.held if isinstance(node, pytest.Collector))


class Requests(NamedTuple):
    """What a code object asks for at run time, with all code in it."""

    asks: bool  # it uses `getfixturevalue`
    exact: bool  # always with a constant
    names: frozenset[str]  # those constants; if they are not all, every string


def _constants_asked_for(code: Any) -> set[str] | None:
    """The names in calls of `getfixturevalue` with a constant; None if there are others."""
    names: set[str] = set()
    asking, name = False, None
    for instruction in dis.get_instructions(code):
        if asking and name is not None:
            if not instruction.opname.startswith(("CALL", "PRECALL", "KW_NAMES")):
                return None
            names.add(name)
            asking, name = False, None
        elif asking:
            if instruction.opname != "LOAD_CONST" or not isinstance(instruction.argval, str):
                return None
            name = instruction.argval
        elif instruction.argval == "getfixturevalue":
            if instruction.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                return None
            asking = True
    return names


def _strings_in(code: Any) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif inspect.iscode(constant):
            yield from _strings_in(constant)


def requests_in(code: Any) -> Requests:
    """What a code object may ask for."""
    exact: set[str] = set()
    asks = False
    waiting = [code]
    while waiting:
        current = waiting.pop()
        waiting += [constant for constant in current.co_consts if inspect.iscode(constant)]
        if "getfixturevalue" in current.co_names:
            asks = True
            found = _constants_asked_for(current)
            if found is None:
                return Requests(True, False, frozenset(_strings_in(code)))
            exact |= found
    return Requests(asks, True, frozenset(exact))


def _is_asynchronous(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class DynamicScan:
    """Finds items that may ask for wide fixtures at run time; caches what it learned of each function."""

    def __init__(self, late: dict[str, list[str]]) -> None:
        self._cache: dict[object, Requests] = {}
        self._reached: dict[object, set[str]] = {}
        self._late = late

    def _function(self, function: Any) -> Requests:
        code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        if code is None:
            return Requests(False, True, frozenset())
        if code not in self._cache:
            self._cache[code] = requests_in(code)
        return self._cache[code]

    def scan(self, item: pytest.Item, closure: dict[str, Any]) -> set[str] | None:
        """Names of the fixtures that the item may ask for while it runs; None if no wide one can be among them."""
        function = getattr(item, "function", None)
        functions = [function] if function is not None else []
        functions += [d.func for d in active_definitions(closure) if not plugin_plans.is_known(d)]
        names = set(self._late.get(item.nodeid.partition("::")[0], ())) - closure.keys()
        dynamic = bool(names)
        exact: set[str] = set()
        for candidate in functions:
            requests = self._function(candidate)
            if requests.exact:
                exact |= requests.names
            else:
                dynamic = True
                names |= requests.names
        if dynamic and hasattr(item, "callspec"):
            names |= {value for value in item.callspec.params.values() if isinstance(value, str)}
        wide = self._wide_among(item, frozenset(exact - closure.keys()))
        if wide or (_is_asynchronous(function) and not plugin_plans.is_foreseen(item)):
            dynamic = True  # event loops of plugins are fixtures that are fetched late
        return names | wide if dynamic else None

    def _wide_among(self, item: pytest.Item, names: frozenset[str]) -> set[str]:
        """The wide fixtures among these and those that they ask for."""
        key = (item.parent, names)
        if names and key not in self._reached:
            reached = plugin_plans.reached(item, names)
            self._reached[key] = {name for name, ds in reached.items() if any(map(is_wide, ds))}
        return self._reached[key] if names else set()


class Plan:
    """All items' plans, with units and bases assigned."""

    def __init__(self, session: pytest.Session, options: Options, late: dict[str, list[str]]) -> None:
        self.session = session
        self._late = late
        self.items = [ItemPlan(item) for item in session.items]
        self.wide_definitions = [d for d in registered_definitions(session) if is_wide(d)]
        self.split_wide = options.split_wide or any("worker_id" in fixture_closure(i) for i in session.items)
        self.claims: Claims | None = None  # once there are copies
        self._mark_dynamic()
        self._assign_units()
        self._assign_bases()

    def _mark_dynamic(self) -> None:
        scan = DynamicScan(self._late)
        by_name: dict[str, list[Any]] = {}
        for definition in self.wide_definitions:
            by_name.setdefault(definition.argname, []).append(definition)
        seen: set[str] = set()
        for plan in self.items:
            closure = fixture_closure(plan.item)
            seen |= {definition.argname for definition in plan.session}
            names = scan.scan(plan.item, closure)
            if names is None:
                continue
            plan.flags |= native.ITEM_DYNAMIC
            module = plan.item.getparent(pytest.Module)
            if module is not None:
                plan.held.append(module)
            for name in names & by_name.keys() - seen - closure.keys():
                plan.late += by_name[name]
                if any(d.scope == "session" for d in by_name[name]):
                    plan.flags |= native.ITEM_OWN_WORKER

    def _assign_units(self) -> None:
        """Merge overlapping intervals of items that hold the same thing; each merged interval is a unit."""
        last_use = self._last_uses()
        unit, end = 0, -1
        for index, plan in enumerate(self.items):
            reach = max((last_use[index][id(held)] for held in plan.held), default=-1)
            if index > end and reach >= 0:
                unit += 1
            if reach >= 0 or index <= end:
                end = max(end, reach)
                plan.unit = unit

    def _last_uses(self) -> list[dict[int, int]]:
        """Per item: id of what it holds -> last index up to which that must be kept in the same process.

        A node is kept to the end of its contiguous run, because its finalisers are charged to the last item in it; a
        parametrized session fixture to its last user.
        """
        result: list[dict[int, int]] = [{} for _ in self.items]
        node_end: dict[int, int] = {}
        fixture_end: dict[int, int] = {}
        for index in range(len(self.items) - 1, -1, -1):
            chain = {id(node) for node in self.items[index].item.listchain()}
            node_end = {node: end for node, end in node_end.items() if node in chain}
            for node in chain:
                node_end.setdefault(node, index)
            for held in self.items[index].held:
                ends = node_end if isinstance(held, pytest.Collector) else fixture_end
                result[index][id(held)] = ends.setdefault(id(held), index)
        return result

    def _assign_bases(self) -> None:
        """Count up whenever an item needs a session fixture that no item before it needed.

        A unit is never split, so all of it starts from what its last item needs.
        """
        if self.split_wide:
            return
        everybodys = self._session_fixtures_of_all()
        base_of: dict[int, int] = {}
        base = 0
        for plan in self.items:
            new = [definition for definition in plan.session if id(definition) not in base_of]
            for group in self._parted(plan.item, new, everybodys):
                base += 1
                plan.opens_base = base
                base_of.update((id(definition), base) for definition in group)
            plan.base = base
            plan.base_of = {id(definition): base_of[id(definition)] for definition in plan.session}
        for plan, following in zip(reversed(self.items[:-1]), reversed(self.items)):
            if plan.unit and plan.unit == following.unit:
                plan.base = following.base

    def _session_fixtures_of_all(self) -> set[int]:
        """What all items use, which is mostly autouse."""
        common: set[int] | None = None
        for plan in self.items:
            own = {id(definition) for definition in plan.session}
            common = own if common is None else common & own
        return common or set()

    @staticmethod
    def _parted(item: pytest.Item, new: list[Any], everybodys: set[int]) -> list[list[Any]]:
        """What comes first and is everybody's is a base of its own.

        What comes after it may be live, which would make all tests that have something in common with it shared.
        """
        common = list(itertools.takewhile(lambda definition: id(definition) in everybodys, new))
        closure = fixture_closure(item)
        asked = {id(closure[name][-1]) for d in common for name in d.argnames if name in closure}
        common += [d for d in new if id(d) in asked and d not in common]
        rest = [d for d in new if d not in common]
        return [group for group in (common, rest) if group]

    def announce(self, wanted_workers: int, deselected: int) -> None:
        """Send every item and the end of the collection."""
        config = self.session.config
        for index, plan in enumerate(self.items):
            fixtures = "\n".join(f"{plan.base_of.get(id(d), 0)} {d.argname}" for d in plan.session)
            strings = (text(plan.item.nodeid), text(str(plan.item.path)), text(fixtures))
            base, opens = plan.base, plan.opens_base
            send(native.KIND_ITEM, index, plan.unit, plan.flags, t0=base, t1=opens, strings=strings, with_next=True)
        maxfail = int(config.getvalue("maxfail") or 0)
        if config.getoption("stepwise", False):
            # What the stepwise plugin will stop at: the first failure, or with --stepwise-skip the second.
            stop = 2 if config.getoption("stepwise_skip", False) else 1
            maxfail = min(maxfail or stop, stop)
        verbosity = max(0, int(config.getoption("verbose", 0)))  # ini files and live logs have their say in it
        send(native.KIND_COLLECTED, len(self.items), maxfail, b=verbosity, t0=deselected, t1=wanted_workers)
